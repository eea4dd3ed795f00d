"""What is known of the people of a scene: keypoints, visibility, silhouettes and parameters of the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.camera import px_from_cam
from training.rendering.people import Person
from training.rendering.picture import pixel_grid, pixel_rays
from training.rendering.raycast import NOTHING, Raycaster
from training.rendering.scenes import Scene

OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2  # COCO's visibility of a keypoint
LEAST_VISIBLE = 0.15  # share of the silhouette, and
LEAST_KEYPOINTS = 6  # visible ones: others are in the picture, but not among the labelled people
_AROUND_M = 0.03  # rays go to a joint and to four points around it
_MARGIN_M = 0.08
_DARK, _BRIGHT = 0.25, 0.85  # of a person alone on white, seen edge on and face on
_MARGIN_PX = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Alone:
    """A person with nothing in front. grey: (H, W) in [0, 1], on white. silhouette: (H, W) bool. box_px: x, y, w, h."""

    grey: np.ndarray
    silhouette: np.ndarray
    box_px: tuple[float, float, float, float]


def alone(person: Person, scene: Scene) -> Alone:
    """The person's mesh alone, lit from the camera."""
    camera = scene.camera
    grey = np.ones((camera.height, camera.width), dtype=np.float32)
    silhouette = np.zeros(grey.shape, dtype=bool)
    vertices_px = px_from_cam(scene.in_camera(person.mesh.vertices_m), camera)
    low = np.clip(np.floor(vertices_px.min(axis=0)) - _MARGIN_PX, 0, grey.shape[::-1]).astype(int)
    high = np.clip(np.ceil(vertices_px.max(axis=0)) + _MARGIN_PX, 0, grey.shape[::-1]).astype(int)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    pixels = pixel_grid(camera)[window]
    if not pixels.size:
        return Alone(grey=grey, silhouette=silhouette, box_px=(0.0, 0.0, 0.0, 0.0))
    directions = pixel_rays(camera, pixels.reshape(-1, 2)) @ scene.cam_from_world
    hits = Raycaster([person.mesh]).cast(scene.position_world_m, directions)
    normals = _smooth(person, hits.triangle, hits.weights)
    facing = np.abs((normals * directions).sum(-1)) / np.linalg.norm(directions, axis=-1)
    met = hits.mesh != NOTHING
    grey[window] = np.where(met, _DARK + (_BRIGHT - _DARK) * np.sqrt(facing), 1.0).reshape(pixels.shape[:2])
    silhouette[window] = met.reshape(pixels.shape[:2])
    return Alone(grey=grey, silhouette=silhouette, box_px=_box(silhouette))


def _smooth(person: Person, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
    normals = person.mesh.vertex_normals()[person.mesh.faces[triangle]]
    return np.asarray((normals * weights[..., None]).sum(axis=1))


def _box(silhouette: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(silhouette.any(axis=1)), np.flatnonzero(silhouette.any(axis=0))
    if not len(rows):
        return (0.0, 0.0, 0.0, 0.0)
    x, y = int(columns[0]), int(rows[0])
    return (float(x), float(y), float(columns[-1] - x + 1), float(rows[-1] - y + 1))


def joints_seen(scene: Scene) -> np.ndarray:
    """(P, 30) bool: which joints the camera sees, whether or not they are inside the picture.

    Five rays go from the camera to the joint and to points 3 cm around it. A ray is blocked if what it meets first lies
    before the joint and is not the flesh around it: another person, furniture, or the person's own body, but that only
    if it lies 8 cm nearer than any skin around the joint could. A joint is seen unless most of its rays are blocked.
    """
    joints = np.stack([person.joints_world_m for person in scene.people])
    right, down = scene.cam_from_world[:2] * _AROUND_M
    around = np.stack([np.zeros(3), right, -right, down, -down])
    rays = (joints[:, :, None] + around - scene.position_world_m).reshape(-1, 3)
    hits = Raycaster([thing.mesh for thing in scene.things]).cast(scene.position_world_m, rays)
    before_m = ((1.0 - hits.distance) * np.linalg.norm(rays, axis=-1)).reshape(*joints.shape[:2], len(around))
    own = hits.mesh.reshape(before_m.shape) == np.arange(len(joints))[:, None, None]
    flesh_m = np.stack([person.flesh_m for person in scene.people]) + _MARGIN_M
    blocked = before_m > np.where(own, flesh_m[..., None], 0.0)
    return np.asarray(blocked.sum(axis=-1) <= len(around) // 2)


def labels_of(scene: Scene, person_seen: np.ndarray, silhouettes: list[Alone]) -> list[dict[str, Any]]:
    """COCO-style annotations, without numbers, of the people of whom enough is seen.

    person_seen: (H, W) int, the index of the person that a pixel shows.
    """
    seen = joints_seen(scene)
    found = []
    for index, (person, one) in enumerate(zip(scene.people, silhouettes, strict=True)):
        visible_share = float((person_seen == index).sum() / max(int(one.silhouette.sum()), 1))
        label = _label(scene, person, seen[index], one, visible_share)
        if visible_share >= LEAST_VISIBLE and label["keypoints"][2::3].count(VISIBLE) >= LEAST_KEYPOINTS:
            found.append(label)
    return found


def _label(scene: Scene, person: Person, seen: np.ndarray, one: Alone, visible_share: float) -> dict[str, Any]:
    joints_cam_m = scene.in_camera(person.joints_world_m)
    kpts_px = px_from_cam(joints_cam_m, scene.camera)
    size = np.array([scene.camera.width, scene.camera.height])
    inside = ((kpts_px >= -0.5) & (kpts_px < size - 0.5)).all(axis=-1) & (joints_cam_m[:, 2] > 0)
    state = np.where(inside, np.where(seen, VISIBLE, HIDDEN), OUTSIDE)
    rotations = person.rotations.copy()
    rotations[0] = scene.cam_from_world @ rotations[0]
    keypoints = [
        value
        for (x, y), v in zip(kpts_px.round(2).tolist(), state.tolist(), strict=True)
        for value in ((x, y, v) if v else (0.0, 0.0, 0))
    ]
    return {
        "category_id": 1,
        "bbox": one.box_px,
        "keypoints": keypoints,
        "smpl": {
            "pose": _rounded(Rotation.from_matrix(rotations).as_rotvec().ravel()),
            "shape": _rounded(person.shape),
            "trans": _rounded(scene.in_camera(person.pelvis_world_m)),
        },
        "joints_cam_m": np.round(joints_cam_m, 5).tolist(),
        "visible_share": round(visible_share, 4),
        "subject": person.recorded.subject,
        "sequence": person.recorded.sequence,
        "frame": person.recorded.frame,
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
