"""PosePipeline: from 2D keypoints, message by message, to 3D skeletons. The only object of occpose that remembers.

A step admits people, gives names to those who have none, lifts all of them in one batch, scales them to their height,
places them on their rays, smooths them, and keeps the hidden alive by prediction until they are lost. With an image
model and an image, those who are seen get pose and surface from it, and all else as without.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from occpose_core.admission import Seen, admit, count
from occpose_core.answering import answer
from occpose_core.bodies import Bodies, StepImage, bodies_of
from occpose_core.camera import CameraView, PersonView, rays_from_cam
from occpose_core.errors import OccposeError
from occpose_core.geometry import place_root
from occpose_core.identities import Identities
from occpose_core.person import People, Rows, rows_where
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.refocusing import refocus, refocused
from occpose_core.runtime.engine import DEFAULT_SIGMA_M, FRAME_S, Lifted, views_for
from occpose_core.scale import Placed, check_heights, heights, known_heights_m, network_stature_m, observe
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, GroundPlane, Keypoints2D, Skeleton3D

if TYPE_CHECKING:
    from occpose_core.runtime import Engine
    from occpose_core.runtime.image_engine import ImageEngine

_SMALLEST_STATURE_M = 0.1  # a network that answers with less has collapsed


class PipelineError(OccposeError):
    """The engine does not fit the pipeline."""


@dataclass(frozen=True, kw_only=True)
class PipelineOutput:
    """What one step has to say.

    lost_ids: people of the last answer who are not in this one. dropped: reason -> count, of this step. reset: the past
    was forgotten because time went back or the camera frame changed. answered: False if the whole message was dropped;
    then there is nothing to publish. meshes: id -> (V, 3) float32 m in the camera frame, vertices of those of whom the
    image model has answered; ImageEngine.faces has the triangles.
    """

    stamp_ns: int
    skeletons: tuple[Skeleton3D, ...] = ()
    lost_ids: tuple[str, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    reset: bool = False
    answered: bool = True
    meshes: dict[str, np.ndarray] = field(default_factory=dict)


class PosePipeline:
    """Completes and lifts people; one instance per camera.

    engine: a lifter for h36m17. config: may be replaced between steps. own_prefix: of the ids of people whom the
    detector gives none; processes that follow each other should have different ones. body_engine: an image model, which
    gives poses and surfaces wherever a step has an image. Raises PipelineError.
    """

    def __init__(
        self,
        engine: Engine,
        config: PipelineConfig | None = None,
        own_prefix: str = "t",
        body_engine: ImageEngine | None = None,
    ) -> None:
        info = engine.info
        if info.layout != H36M17.name:
            raise PipelineError(f"model {info.name!r} has layout {info.layout!r}: choose a model of {H36M17.name}")
        if not info.lifts:
            raise PipelineError(f"model {info.name!r} gives no 3D joints: choose a lifter")
        if info.look_ahead_s > 0:
            raise PipelineError(
                f"model {info.name!r} answers {info.look_ahead_s:g} s late: choose one without look-ahead"
            )
        self.config = config or PipelineConfig()
        self._engine, self._body_engine = engine, body_engine
        self._identities = Identities(own_prefix)
        self._published: tuple[str, ...] = ()
        self.reset()

    def reset(self) -> None:
        """Forget everybody and the time; own ids given so far are not given again."""
        self._identities.reset()
        info = self._engine.info
        # A network that remembers where hidden joints were needs nobody else to do so; an image model does not.
        smooth = not info.remembers or self._body_engine is not None
        self._people = People(info.frames, info.state_size, fuse=not info.remembers, smooth=smooth)
        self._stamp_ns: int | None = None
        self._camera: Camera | None = None

    def step(
        self,
        people: Sequence[Keypoints2D],
        stamp_ns: int,
        camera: Camera,
        ground: GroundPlane | None = None,
        heights_m: Mapping[str, float] = MappingProxyType({}),
        image_rgb: StepImage = None,
    ) -> PipelineOutput:
        """Take the people of one image and answer with the skeletons of all who are seen or held.

        people: in h36m17, pixels of `camera`. stamp_ns: of the image. ground: the plane that people stand on, if it is
        known. heights_m: known statures by the id that goes out; they come before the setting for everybody, and that
        before the ground. image_rgb: (H, W, 3) uint8 of that image, distorted as the camera says, or a callable that
        gives it or None and is called only if it is needed; of no meaning without a body_engine. Raises PeopleError if
        somebody has not 17 joints, ScaleError if a height makes no sense, CropError if the image is none.
        """
        check_heights(heights_m)
        reset, ahead_s = False, FRAME_S
        if self._stamp_ns is not None:
            ahead_s = (stamp_ns - self._stamp_ns) * 1e-9
            moved = self._camera is not None and camera.frame_id != self._camera.frame_id
            reset = ahead_s < -self.config.backward_reset_s or moved
            if reset:
                self.reset()
            elif ahead_s <= 0:
                reason = "out_of_order" if ahead_s < 0 else "duplicate_stamp"
                return PipelineOutput(stamp_ns=stamp_ns, dropped={reason: 1}, answered=False)
        dropped: Counter[str] = Counter()
        ids, seen = admit(people, self.config, camera, dropped)
        if self._camera not in (None, camera) and refocused(self._camera, camera):
            refocus(self._people, self._camera, camera, seen)
        self._stamp_ns, self._camera = stamp_ns, camera
        self._people.advance(stamp_ns, self.config.gap_s)
        seen = self._identities.on_rows(ids, seen, self._people, self.config, dropped)
        if heights_m or self.config.target_height_m or not self._people.all_assumed:
            known_m = known_heights_m(self._people.ids, self.config.target_height_m, heights_m)
            self._people.scale_to(heights(self._people.rows["size"], known_m))
        self._people.push(seen.rays, seen.score)
        bodies = None
        if self._body_engine is not None:
            asked = seen.enough(self.config)
            bodies = bodies_of(self._body_engine, image_rgb, camera, seen, asked, dropped)
        filled_rays = self._lift(seen, ahead_s, ground, dropped, bodies)
        skeletons = answer(self._people, seen, filled_rays, camera, self.config)
        meshes = {} if bodies is None else bodies.meshes(self._people)
        self._people.keep(self._people.rows["started"])
        now = tuple(skeleton.id for skeleton in skeletons)
        lost = tuple(name for name in self._published if name not in now)
        self._published = now
        return PipelineOutput(
            stamp_ns=stamp_ns,
            skeletons=skeletons,
            lost_ids=lost,
            dropped=dict(dropped),
            reset=reset,
            meshes=meshes,
        )

    def _lift(
        self,
        seen: Seen,
        ahead_s: float,
        ground: GroundPlane | None,
        dropped: Counter[str],
        bodies: Bodies | None,
    ) -> np.ndarray | None:
        """Run the network for all of whom it can tell and update their rows; its 2D pose as rays (N, J, 2), if any.

        ahead_s: since the step before. bodies: whose poses come before the network's.
        """
        people, info, enough = self._people, self._engine.info, seen.enough(self.config)
        asked: Rows = slice(None) if info.remembers else rows_where(enough)
        if info.streaming and not isinstance(asked, slice):
            self._ask((~enough).nonzero()[0], ahead_s)  # the time of those who hide goes on too
        if not len(enough[asked]):
            return None
        view, lifted = self._ask(asked, ahead_s)
        assert lifted.joints_root_m is not None  # __init__ has refused other models
        joints = _on_rows(view.to_cam(lifted.joints_root_m), asked, len(people))
        sigma = None if lifted.sigma_m is None else _on_rows(lifted.sigma_m, asked, len(people))
        if bodies is not None:
            joints[bodies.rows] = bodies.joints_root_m
        root, placeable = place_root(joints, seen.rays, seen.score)
        poses = Placed(
            joints_root=joints,
            root=root,
            sigma=np.where(seen.visible, *DEFAULT_SIGMA_M) if sigma is None else sigma,
            rays=seen.rays,
            visible=seen.visible,
        )
        usable = poses.stature_m > _SMALLEST_STATURE_M  # 0 of those who were not asked or have no finite answer
        placed = usable & enough & placeable
        if np.count_nonzero(placed) < len(placed):
            useless = ~usable & (enough | info.remembers)
            count(dropped, "non_finite", useless)
            count(dropped, "not_placed", usable & enough & ~placeable)
            people.restart(useless)
            hidden = (usable & ~enough).nonzero()[0]
            self._predict(hidden, poses.at(hidden))
        which = rows_where(placed)
        self._place(which, poses if isinstance(which, slice) else poses.at(which), ground, bodies)
        if lifted.filled is None:
            return None
        filled_rays = _on_rows(view.rays(lifted.filled), asked, len(people))
        if bodies is not None:
            filled_rays[bodies.rows] = rays_from_cam(joints[bodies.rows] + root[bodies.rows, None])
        return filled_rays

    def _ask(self, which: Rows, ahead_s: float) -> tuple[PersonView | CameraView, Lifted]:
        """Run the network for some people, and keep what it wants to remember; its answers and their views."""
        people, info = self._people, self._engine.info
        rays, score = people.rows["rays"][which], people.rows["score"][which].copy()
        visible = score > 0
        views = views_for(info, rays, visible)
        kpts = views.normalise(rays) * visible[..., None]
        if info.streaming:
            # rows are stepped together, so that all have the same time; newcomers have none, whenever they come
            dt_s = np.full(len(people), ahead_s, dtype=np.float32)
            dt_s[people.newcomers] = FRAME_S
            lifted = self._engine.run(kpts, score, people.rows["state"][which].copy(), False, dt_s[which])
            people.rows["state"][which] = lifted.state
        else:
            lifted = self._engine.run(kpts, score)
        return views.at(-1), _finite(lifted)

    def _place(self, which: Rows, poses: Placed, ground: GroundPlane | None, bodies: Bodies | None) -> None:
        """Scale poses to the statures of their people, and take them into their rows."""
        people, config = self._people, self.config
        dt_s = people.since_s.copy()
        dt_s[people.newcomers] = FRAME_S
        own = self._engine.info.stature_gain
        gain = own if bodies is None else bodies.stature_gains(own, len(people))[which]
        size = observe(people.rows["size"][which], poses, ground, dt_s[which], config.stature_time_s, gain)
        scale = (people.rows["height_m"][which] / network_stature_m(size))[:, None]
        people.update(
            which,
            config,
            joints_root_m=poses.joints_root * scale[..., None],
            root_cam_m=poses.root * scale,
            sigma_m=poses.sigma * scale,
            size=size,
            visible=poses.visible,
        )

    def _predict(self, which: Rows, poses: Placed) -> None:
        """Take the network's answer for people who show too little to be placed; their size and way stay the same."""
        rows = self._people.rows[which]
        scale = (rows["height_m"] / network_stature_m(rows["size"]))[:, None]
        self._people.predict(
            which,
            self.config,
            joints_root_m=poses.joints_root * scale[..., None],
            sigma_m=poses.sigma * scale,
            visible=poses.visible,
        )


def _on_rows(values: np.ndarray, which: Rows, people: int) -> np.ndarray:
    """Values of some people as values (N, ...) of all, 0 of the others."""
    if isinstance(which, slice):
        return values
    of_all = np.zeros((people, *values.shape[1:]), dtype=values.dtype)
    of_all[which] = values
    return of_all


def _finite(lifted: Lifted) -> Lifted:
    """The answers, but 0 for people of whom a number that is said or kept is not finite, or a sigma is negative."""
    answers = {name: value for name, value in vars(lifted).items() if value is not None}
    # A sum of squares is finite only if all numbers are, and takes one call.
    finite = math.isfinite(sum(np.vdot(value, value) for value in answers.values()))
    if finite and (lifted.sigma_m is None or np.minimum.reduce(lifted.sigma_m, axis=None) >= 0):
        return lifted
    flat = {name: value.reshape(len(value), -1) for name, value in answers.items()}
    right = np.all([np.isfinite(value).all(axis=-1) for value in flat.values()], axis=0)
    if lifted.sigma_m is not None:
        right &= (lifted.sigma_m >= 0).all(axis=-1)
    kept = {name: np.where(right[:, None], value, 0) for name, value in flat.items()}
    return Lifted(**{name: value.reshape(answers[name].shape) for name, value in kept.items()})
