"""What is known of the people of a scene: keypoints, visibility, silhouettes and parameters of the body."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.camera import px_from_cam
from training.rendering.people import Person
from training.rendering.raycast import Raycaster
from training.rendering.scenes import Scene
from training.rendering.silhouettes import Alone, draw_alone

OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2  # COCO's visibility of a keypoint
LEAST_VISIBLE = 0.15  # share of the silhouette, and
LEAST_KEYPOINTS = 6  # visible ones: others are in the picture, but not among the labelled people
_AROUND_M = 0.03  # rays go to a joint and to four points around it
_MARGIN_M = 0.08


def alone(person: Person, scene: Scene) -> Alone:
    """The person's mesh alone, lit from the camera."""
    return draw_alone(person.mesh, scene.camera, scene.cam_from_world, scene.position_world_m)


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
