"""What a viewer shows, as arrays: joints, bones and uncertainty of measured and of filled joints, names, the camera.

Everything is in the frame that is shown, whose z points up. Nothing here knows how it is drawn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.camera import rays_from_px
from occpose_core.errors import OccposeError
from occpose_core.skeleton import Skeleton, get_skeleton
from occpose_core.types import Camera, Origin, State
from occpose_ros.appearance import label_of
from occpose_ros.transforms import Transform

# Of origins a viewer shows, and UNKNOWN joints are not shown.
SHOWN_ORIGINS = (Origin.MEASURED, Origin.FILLED)
# Where nothing else is known: the camera looks along x of the shown frame, with its image upright (REP-103).
LEVEL_FROM_OPTICAL = Transform(
    rotation=np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), translation_m=np.zeros(3)
)
FIELD_OF_VIEW_RAD = 0.9  # of whoever looks, from the lower to the upper edge of the window
_FRUSTUM_DEPTH_M = 0.5
_LABEL_ABOVE_HEAD_M = 0.15
_BEHIND_M = 0.7  # so far behind the camera stands who looks, for the camera to be in sight
_HALF_WIDTH = 0.6  # of an image at a metre, if the camera is not known
_IN_SIGHT = 0.6  # so much of the image's width is to be in the window
_ASIDE_RAD, _ABOVE_RAD = 0.26, 0.26


class SceneError(OccposeError):
    """A message cannot be shown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """P people of a Skeleton3DArray in one array each.

    ids: unique. states: (P,) of State. joints_m: (P, J, 3) float32, in the message's frame. sigma_m: (P, J) one
    standard deviation. origin: (P, J) of Origin; UNKNOWN also where a number is not finite. heights_m, metric: (P,).
    """

    layout: Skeleton
    ids: tuple[str, ...]
    states: np.ndarray
    joints_m: np.ndarray
    sigma_m: np.ndarray
    origin: np.ndarray
    heights_m: np.ndarray
    metric: np.ndarray


def people_from_msg(msg: Any) -> People:
    """Read a Skeleton3DArray; SceneError or LayoutError if its arrays do not fit its layout."""
    layout = get_skeleton(msg.layout)
    joints, people = len(layout.joints), msg.people
    for person in people:
        sizes = (len(person.position), len(person.std_dev), len(person.origin))
        if sizes != (3 * joints, joints, joints):
            raise SceneError(
                f"person {person.id!r} has {sizes[0]} coordinates, {sizes[1]} deviations and {sizes[2]} origins, and"
                f" {layout.name} has {joints} joints; ask whoever publishes the skeletons"
            )
    joints_m = np.array([person.position for person in people], dtype=np.float32).reshape(-1, joints, 3)
    sigma_m = np.array([person.std_dev for person in people], dtype=np.float32).reshape(-1, joints)
    origin = np.array([person.origin for person in people], dtype=np.uint8).reshape(-1, joints)
    finite = np.isfinite(joints_m).all(axis=-1) & np.isfinite(sigma_m)
    return People(
        layout=layout,
        ids=_unique([person.id for person in people]),
        states=np.array([person.state for person in people], dtype=np.uint8),
        joints_m=np.where(finite[..., None], joints_m, 0.0),
        sigma_m=np.where(finite, np.maximum(sigma_m, 0.0), 0.0),
        origin=np.where(finite, origin, Origin.UNKNOWN),
        heights_m=np.array([person.height for person in people], dtype=np.float32),
        metric=np.array([person.metric for person in people], dtype=bool),
    )


def _unique(ids: list[str]) -> tuple[str, ...]:
    """Ids that differ: whoever has none, or that of somebody else, is told by the place in the message."""
    seen: dict[str, None] = {}
    for place, id in enumerate(ids):
        seen[id if id and id not in seen else f"{id or '?'} ({place})"] = None
    return tuple(seen)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What there is of one origin: joints_m (N, 3) and sigma_m (N,) of them, bones_m (M, 2, 3) from end to end."""

    joints_m: np.ndarray
    sigma_m: np.ndarray
    bones_m: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Label:
    """A text above somebody's head."""

    text: str
    position_m: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """People in the frame that is shown. layers: by origin. labels: by id."""

    layers: Mapping[Origin, Layer]
    labels: Mapping[str, Label]


def scene_of(people: People, shown_from_msg: Transform, hidden_ids: Collection[str] = ()) -> Scene:
    """Everybody but `hidden_ids`, in the frame that is shown.

    A bone is measured if both of its ends are, filled if one end is filled, and left out if one is unknown.
    """
    chosen = np.array([id not in hidden_ids for id in people.ids], dtype=bool)
    joints_m = shown_from_msg.apply(people.joints_m[chosen]).astype(np.float32)
    sigma_m, origin = people.sigma_m[chosen], people.origin[chosen]
    bones = np.array(people.layout.bones, dtype=np.int64)
    worse_end = origin[:, bones].max(axis=-1)  # (P, B): Origin goes from MEASURED to UNKNOWN
    ends_m = joints_m[:, bones]  # (P, B, 2, 3)
    layers = {
        kind: Layer(
            joints_m=joints_m[origin == kind], sigma_m=sigma_m[origin == kind], bones_m=ends_m[worse_end == kind]
        )
        for kind in SHOWN_ORIGINS
    }
    labels = {
        people.ids[person]: Label(text=label_of(people.ids[person], int(people.states[person])), position_m=position_m)
        for person, position_m in zip(np.flatnonzero(chosen), _above_heads(joints_m, origin), strict=True)
        if position_m is not None
    }
    return Scene(layers=layers, labels=labels)


def _above_heads(joints_m: np.ndarray, origin: np.ndarray) -> list[tuple[float, float, float] | None]:
    """For each person a place above the highest joint that is shown; None if none is."""
    heights_m = np.where(origin == Origin.UNKNOWN, -np.inf, joints_m[..., 2])
    highest = joints_m[np.arange(len(joints_m)), heights_m.argmax(axis=-1)] + (0.0, 0.0, _LABEL_ABOVE_HEAD_M)
    known = np.asarray(np.isfinite(heights_m).any(axis=-1))
    return [(x, y, z) if there else None for (x, y, z), there in zip(highest.tolist(), known, strict=True)]


def person_text(people: People, person: int) -> str:
    """A person in a list: id, height and where that is from, and whether the person is only predicted."""
    height = f"{people.heights_m[person]:.2f} m"
    text = f"{people.ids[person]}: {height if people.metric[person] else f'{height} assumed'}"
    return f"{text}, hidden" if people.states[person] == State.OCCLUDED else text


def frustum_m(camera: Camera, shown_from_camera: Transform) -> np.ndarray:
    """What the camera sees, up to half a metre before it: (8, 2, 3) lines, four from the lens and four around the
    image, with its lens's distortion at the corners."""
    right, bottom = camera.width - 0.5, camera.height - 0.5  # pixel centres are at integer coordinates
    corners_px = np.array([(-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom)])
    rays = rays_from_px(corners_px, camera)
    corners_cam_m = _FRUSTUM_DEPTH_M * np.concatenate([rays, np.ones((4, 1))], axis=-1)
    corners_m, lens_m = shown_from_camera.apply(corners_cam_m), shown_from_camera.translation_m
    edges = [(lens_m, corner_m) for corner_m in corners_m]
    edges += list(zip(corners_m, np.roll(corners_m, -1, axis=0), strict=True))
    return np.array(edges, dtype=np.float32)


def overlook(
    people_m: np.ndarray, shown_from_camera: Transform, camera: Camera | None, aspect: float
) -> tuple[np.ndarray, np.ndarray]:
    """From where to look at first, and at which point: from behind the camera, a little aside and above.

    That point is as far away and as high as people are, but in the middle of the camera's image: others may come from
    the other side. people_m: (3,) in the frame that is shown. camera: None if not known. aspect: of the window, width
    over height; in a narrow one people are farther away.
    """
    lens_m, way_m = shown_from_camera.translation_m, people_m - shown_from_camera.translation_m
    ahead = _level(shown_from_camera.rotation[:, 2], way_m)
    focus_m = np.array([*(lens_m + (ahead @ way_m) * ahead)[:2], people_m[2]])
    away_m = float(np.linalg.norm(way_m))
    half_width_m = away_m * (_HALF_WIDTH if camera is None else camera.width / (2.0 * camera.K[0, 0]))
    fitting_m = _IN_SIGHT * half_width_m / (np.tan(FIELD_OF_VIEW_RAD / 2) * aspect)
    right, up = np.array([ahead[1], -ahead[0], 0.0]), np.array([0.0, 0.0, 1.0])
    back = np.cos(_ABOVE_RAD) * (np.sin(_ASIDE_RAD) * right - np.cos(_ASIDE_RAD) * ahead) + np.sin(_ABOVE_RAD) * up
    return focus_m + max(away_m + _BEHIND_M, fitting_m) * back, focus_m


def _level(*directions: np.ndarray) -> np.ndarray:
    """(3,) the level part of the first direction that is not upright, as a unit vector; x if all are."""
    for direction in directions:
        length, level = np.linalg.norm(direction), np.array([*direction[:2], 0.0])
        if np.linalg.norm(level) > 0.3 * length:
            return level / np.linalg.norm(level)
    return np.array([1.0, 0.0, 0.0])
