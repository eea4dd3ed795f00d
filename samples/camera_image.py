"""The camera's image of the sample's room, which the bag does not hold: floor, wall, furniture and dressed capsules.

Ray casting with NumPy: one ray a pixel through the lens of `scene.CAMERA`, distortion included, so that what is drawn
on the image by pixel coordinates lies where it should.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import scene

from occpose_core.camera import px_from_cam, rays_from_px
from occpose_core.skeleton import H36M17

_SIZE = (scene.CAMERA.width, scene.CAMERA.height)
_SMOOTHING = 2  # rays a pixel, in each direction
_WALL_Y_M = 7.2
_SUN = np.array([-0.45, -0.75, 0.65]) / np.linalg.norm([-0.45, -0.75, 0.65])  # towards it
_AMBIENT = 0.55
_FURNITURE_BGR = {"counter": (120, 150, 176), "shelf": (96, 118, 140), "armchair": (134, 122, 96)}
_SKIN_BGR, _FLOOR_BGR, _WALL_BGR, _SKIRTING_BGR = (150, 172, 202), (168, 186, 198), (214, 219, 222), (235, 238, 240)
_CLOTHES_BGR = (((146, 140, 92), (88, 76, 66)), ((112, 110, 158), (78, 92, 104)))  # shirt and trousers, by person
_TILE_M, _JOINT_M = 0.8, 0.012


# (joint, joint, radius in metres, what it wears)
_TRUNK = (
    ("pelvis", "spine", 0.125, "shirt"),
    ("spine", "thorax", 0.125, "shirt"),
    ("thorax", "nose", 0.06, "skin"),
    ("nose", "head_top", 0.095, "skin"),
    ("left_shoulder", "right_shoulder", 0.075, "shirt"),
    ("left_hip", "right_hip", 0.11, "trousers"),
)
_LIMBS = (
    ("hip", "knee", 0.08, "trousers"),
    ("knee", "ankle", 0.06, "trousers"),
    ("ankle", "ankle", 0.075, "trousers"),
    ("shoulder", "elbow", 0.055, "shirt"),
    ("elbow", "wrist", 0.042, "skin"),
    ("wrist", "wrist", 0.055, "skin"),
)
_PARTS = _TRUNK + tuple(
    (f"{side}_{a}", f"{side}_{b}", radius, wears) for side in ("left", "right") for a, b, radius, wears in _LIMBS
)


@dataclass(kw_only=True, eq=False)
class _Film:
    """What each ray has met: direction (H, W, 3) in the world, distance along it, colour, light."""

    ray: np.ndarray
    far: np.ndarray = field(init=False)
    bgr: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.far = np.full(self.ray.shape[:2], np.inf)
        self.bgr = np.zeros(self.ray.shape)

    def expose(self, at: tuple[slice, slice], distance: np.ndarray, normal: np.ndarray, bgr: np.ndarray) -> None:
        """Take over what is nearer than all before; distance is infinite where nothing is met."""
        light = _AMBIENT + (1 - _AMBIENT) * np.clip(normal @ _SUN, 0.0, 1.0)
        nearer = distance < self.far[at]
        self.far[at] = np.where(nearer, distance, self.far[at])
        self.bgr[at] = np.where(nearer[..., None], bgr * light[..., None], self.bgr[at])


def _rays(size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) directions in the world, of the rays through a finer image of the camera."""
    camera = scene.CAMERA
    x, y = ((np.arange(n) + 0.5) * full / n - 0.5 for n, full in zip(size, (camera.width, camera.height), strict=True))
    px = np.stack(np.meshgrid(x, y), axis=-1)
    flat = rays_from_px(px.reshape(-1, 2), camera)
    rays_cam = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
    return (rays_cam @ scene.CAM_FROM_WORLD).reshape(*px.shape[:2], 3)


def _room(film: _Film, feet_world_m: np.ndarray) -> None:
    """Floor with tiles and soft shadows, and the wall behind."""
    eye, ray = scene.EYE_WORLD_M, film.ray
    everywhere = (slice(None), slice(None))
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(ray[..., 2] < 0, -eye[2] / ray[..., 2], np.inf)
        wall = np.where(ray[..., 1] > 0, (_WALL_Y_M - eye[1]) / ray[..., 1], np.inf)
    floor = np.where(floor < wall, floor, np.inf)
    xy = eye[:2] + ray[..., :2] * np.where(np.isfinite(floor), floor, 0.0)[..., None]
    joint = (np.abs(xy / _TILE_M - np.rint(xy / _TILE_M)) * _TILE_M < _JOINT_M).any(axis=-1)
    shade = np.ones(floor.shape) - 0.12 * joint
    for box in scene.FURNITURE:
        gap = np.maximum(np.maximum(np.array(box.low[:2]) - xy, xy - np.array(box.high[:2])), 0.0)
        shade *= 1 - 0.35 * np.exp(-((gap**2).sum(axis=-1)) / 0.06)
    for foot in feet_world_m:
        shade *= 1 - 0.3 * np.exp(-((xy - foot[:2]) ** 2).sum(axis=-1) / 0.035)
    up, front = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
    film.expose(everywhere, floor, np.broadcast_to(up, ray.shape), np.array(_FLOOR_BGR) * shade[..., None])
    z = eye[2] + ray[..., 2] * np.where(np.isfinite(wall), wall, 0.0)
    bgr = np.where((z < 0.12)[..., None], _SKIRTING_BGR, _WALL_BGR) * (1 - 0.06 * np.exp(-z / 0.3))[..., None]
    film.expose(everywhere, wall, np.broadcast_to(front, ray.shape), bgr)


def _box(film: _Film, box: scene.Box) -> None:
    eye, ray = scene.EYE_WORLD_M, np.where(np.abs(film.ray) < 1e-9, 1e-9, film.ray)
    first, second = (np.array(box.low) - eye) / ray, (np.array(box.high) - eye) / ray
    near, leave = np.minimum(first, second), np.maximum(first, second).min(axis=-1)
    axis, enter = near.argmax(axis=-1), near.max(axis=-1)
    normal = np.eye(3)[axis] * -np.sign(ray)
    hit = np.where((enter < leave) & (leave > 0), enter, np.inf)
    film.expose((slice(None), slice(None)), hit, normal, np.array(_FURNITURE_BGR[box.name], dtype=np.float64))


def _capsule(film: _Film, a: np.ndarray, b: np.ndarray, radius: float, bgr: Sequence[int]) -> None:
    """A round rod from a to b; a ray meets its axis' cylinder or one of its end spheres."""
    at = _around(film, np.stack([a, b]), radius)
    ray, eye = film.ray[at], scene.EYE_WORLD_M
    best = np.full(ray.shape[:2], np.inf)
    axis, length = b - a, float(np.linalg.norm(b - a))
    dd = (ray**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for centre in (a, b):
            along = ray @ (eye - centre)
            root = along**2 - dd * (((eye - centre) ** 2).sum() - radius**2)
            best = np.fmin(best, np.where(root >= 0, (-along - np.sqrt(np.maximum(root, 0))) / dd, np.inf))
        if length > 1e-6:
            unit = axis / length
            across, offset = ray - (ray @ unit)[..., None] * unit, (eye - a) - ((eye - a) @ unit) * unit
            aa, ab = (across**2).sum(axis=-1), across @ offset
            root = ab**2 - aa * ((offset**2).sum() - radius**2)
            hit = np.where(root >= 0, (-ab - np.sqrt(np.maximum(root, 0))) / aa, np.inf)
            place = (eye - a) @ unit + hit * (ray @ unit)
            best = np.fmin(best, np.where((place > 0) & (place < length), hit, np.inf))
    point = eye + ray * np.where(np.isfinite(best), best, 0.0)[..., None]
    share = np.clip(((point - a) @ axis) / max(length**2, 1e-9), 0.0, 1.0)
    normal = (point - (a + share[..., None] * axis)) / radius
    film.expose(at, best, normal, np.array(bgr, dtype=np.float64))


def _around(film: _Film, points_world_m: np.ndarray, radius: float) -> tuple[slice, slice]:
    """The part of the film that a capsule can reach."""
    points_cam_m = scene.cam_from_world(points_world_m)
    scale = film.ray.shape[1] / scene.CAMERA.width
    reach = 1.3 * radius * scene.CAMERA.K[0, 0] * scale / points_cam_m[:, 2].min() + 4
    px = px_from_cam(points_cam_m, scene.CAMERA) * scale
    low, high = np.floor(px.min(axis=0) - reach).astype(int), np.ceil(px.max(axis=0) + reach).astype(int)
    low, high = np.clip(low, 0, None), np.clip(high, 0, film.ray.shape[1::-1])
    return slice(low[1], max(high[1], low[1])), slice(low[0], max(high[0], low[0]))


def camera_image(people_world_m: Sequence[np.ndarray], size: tuple[int, int] = _SIZE) -> np.ndarray:
    """(H, W, 3) uint8, blue first: the room with these people, each (17, 3) h36m17 joints in the world.

    size: width, height of the image; another than the camera's shows the same, coarser or finer.
    """
    film = _Film(ray=_rays((size[0] * _SMOOTHING, size[1] * _SMOOTHING)))
    feet = [joints[H36M17.index(f"{side}_ankle")] for joints in people_world_m for side in ("left", "right")]
    _room(film, np.array(feet).reshape(-1, 3))
    for box in scene.FURNITURE:
        _box(film, box)
    for number, joints in enumerate(people_world_m):
        shirt, trousers = _CLOTHES_BGR[number % len(_CLOTHES_BGR)]
        wear = {"shirt": shirt, "trousers": trousers, "skin": _SKIN_BGR}
        for first, second, radius, what in _PARTS:
            _capsule(film, joints[H36M17.index(first)], joints[H36M17.index(second)], radius, wear[what])
    fine = np.clip(film.bgr, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA))
