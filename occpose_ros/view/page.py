"""What the browser shows: the scene of a source's newest moment, under the controls of the panel."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.types import Camera, Origin
from occpose_ros.transforms import Transform
from occpose_ros.view.nodes import SceneNodes, Shown
from occpose_ros.view.panel import Panel
from occpose_ros.view.scene import FIELD_OF_VIEW_RAD, frustum_m, overlook, person_text, scene_of
from occpose_ros.view.source import Frames, Moment, Source

if TYPE_CHECKING:
    from viser import ViserServer

_SLOW_S = 0.5  # how often words change: people's heights, the status
_AHEAD_CAM_M = np.array([0.0, 0.0, 4.0])  # where people are looked for before there are any
_USUAL_ASPECT = 1.6  # of a window
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|])")

_Place = tuple[Camera | None, Transform, Transform | None]


class Page:
    """A page for a source; `update` it as often as it shall move. problem: why nobody can be shown, "" if nothing is
    wrong."""

    def __init__(self, server: ViserServer, source: Source, frames: Frames) -> None:
        self._server = server
        self._source = source
        self._frames = frames
        ground = "Ground" if frames.shown_frame else "Grid 1 m below camera"
        self._panel = Panel(server.gui, source.title, source.playback, ground)
        self._nodes = SceneNodes(server.scene)
        self._drawn: tuple[Moment | None, Shown, frozenset[str]] | None = None
        self._placed: _Place | None = None
        self._told_s = 0.0
        self._overlook: Callable[[float], tuple[np.ndarray, np.ndarray]] | None = None
        self._overlooks_people = False
        self._turned: set[int] = set()  # clients that have been turned to what there is to see
        self.problem = ""

    def update(self) -> bool:
        """Show the newest, if it is new or the user wants to see something else; whether people's places are known.

        As long as nobody looks nothing is drawn, and a recording waits.
        """
        looked_at = bool(self._server.get_clients())
        if not looked_at and self._source.playback is not None:
            self._source.playback.hold()
        shown = self._panel.poll()
        try:
            moment = self._source.moment()
            self.problem = ""
            if looked_at:
                self._draw(moment, shown)
                self._turn_clients()
        except OccposeError as error:  # of one message, or of TF: the next may be better
            moment, self.problem = None, str(error)
            self._draw(None, shown)
        if time.monotonic() - self._told_s >= _SLOW_S:
            self._told_s = time.monotonic()
            self._tell(moment)
        return moment is not None

    def _tell(self, moment: Moment | None) -> None:
        people = moment.people if moment else None
        self._panel.people.set({id: person_text(people, row) for row, id in enumerate(people.ids)} if people else {})
        self._panel.tell(_MARKDOWN.sub(r"\\\1", self.problem or self._source.status()))

    def _draw(self, moment: Moment | None, shown: Shown) -> None:
        """Raises TransformError if TF does not say where things are."""
        hidden_ids = self._panel.people.hidden_ids()
        now = moment, shown, hidden_ids
        if self._drawn is not None and self._drawn[0] is moment and self._drawn[1:] == now[1:]:
            return
        self._drawn = None
        with self._server.atomic():
            self._nodes.show(shown)
            if moment is None:
                self._nodes.clear()
            else:
                self._draw_people(moment, hidden_ids)
        self._drawn = now

    def _draw_people(self, moment: Moment, hidden_ids: frozenset[str]) -> None:
        transforms, stamp_ns = self._source.transforms, moment.stamp_ns
        shown_from_msg = self._frames.shown_from(moment.frame_id, stamp_ns, transforms)
        scene = scene_of(moment.people, shown_from_msg, hidden_ids)
        self._nodes.set_people(scene.layers, scene.labels)
        self._place(moment.camera, shown_from_msg, self._frames.shown_from_ground(stamp_ns, transforms))
        if not self._overlooks_people:
            self._aim(moment, shown_from_msg)

    def _place(self, camera: Camera | None, shown_from_camera: Transform, shown_from_ground: Transform | None) -> None:
        """Draw camera and ground, unless they are where they were: most stand still."""
        now = camera, shown_from_camera, shown_from_ground
        if self._placed is None or not _same_place(now, self._placed):
            self._nodes.set_camera(None if camera is None else frustum_m(camera, shown_from_camera))
            self._nodes.set_ground(shown_from_ground)
            self._placed = now

    def _aim(self, moment: Moment, shown_from_msg: Transform) -> None:
        """Everybody is to look at the people, now and after `Reset view`; at where they may be if there are none."""
        people = moment.people
        shown_m = people.joints_m[people.origin != Origin.UNKNOWN]
        self._overlooks_people = len(shown_m) > 0
        if self._overlook is None or self._overlooks_people:
            people_m = shown_from_msg.apply(np.median(shown_m, axis=0) if len(shown_m) else _AHEAD_CAM_M)
            self._overlook = partial(overlook, people_m, shown_from_msg, moment.camera)
            self._turned.clear()
            _turn(self._server.initial_camera, *self._overlook(_USUAL_ASPECT))

    def _turn_clients(self) -> None:
        """Turn those who have not been turned yet."""
        for id, client in self._server.get_clients().items():
            if self._overlook is not None and id not in self._turned:
                self._turned.add(id)
                _turn(client.camera, *self._overlook(client.camera.aspect))


def _turn(camera: Any, eye_m: np.ndarray, focus_m: np.ndarray) -> None:
    camera.position, camera.look_at, camera.fov = tuple(eye_m), tuple(focus_m), FIELD_OF_VIEW_RAD


def _same_place(one: _Place, other: _Place) -> bool:
    return one[0] is other[0] and _same(one[1], other[1]) and _same(one[2], other[2])


def _same(one: Transform | None, other: Transform | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one.rotation, other.rotation) and np.array_equal(one.translation_m, other.translation_m)
