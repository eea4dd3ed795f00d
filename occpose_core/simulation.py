"""Simulated cameras and detectors: from 3D joints in a world to what a 2D detector would say.

Everything is batched over views and drawn from one generator, so that training and the benchmark share it. World
frames are z up with the floor at z = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from occpose_core.camera import rays_from_cam
from occpose_core.detector_errors import EVENT_S, INVERSION, JITTER, JITTER_SD, LIMB_END, MISS, score_of_error
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera

_MIN_DEPTH_M = 1.0  # no camera comes nearer to the person's path than this
_NEAR_PLANE_M = 0.1


@dataclass(frozen=True, kw_only=True)
class Rig:
    """Ranges that cameras are drawn from.

    lenses: (focal length / image width, horizontal distance in m) pairs of ranges; one is chosen. height_m: above
    the floor, ranges; one is chosen. pitch_deg: positive looks down. sizes: (width, height) px. radial: largest |k1|.
    """

    lenses: tuple[tuple[tuple[float, float], tuple[float, float]], ...]
    height_m: tuple[tuple[float, float], ...]
    pitch_deg: tuple[float, float]
    sizes: tuple[tuple[int, int], ...]
    radial: float


RIGS: dict[str, Rig] = {
    "train": Rig(
        lenses=(((0.8, 1.6), (2.0, 7.0)),),
        height_m=((0.5, 2.5),),
        pitch_deg=(-10.0, 40.0),
        sizes=((1280, 720),),
        radial=0.0,
    ),
    # Wide lenses stand near and long ones far: the other way round there is no whole person in the picture.
    "held-out": Rig(
        lenses=(((0.55, 0.8), (1.5, 2.0)), ((1.6, 2.2), (7.0, 10.0))),
        height_m=((0.3, 0.3), (2.5, 4.0)),
        pitch_deg=(-10.0, 60.0),
        sizes=((640, 480), (1920, 1080)),
        radial=0.15,
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """B simulated cameras.

    cam_from_world: (B, 3, 3). position_world_m: (B, 3). focal_px: (B,). size: (B, 2) int, width and height. k1: (B,).
    """

    cam_from_world: np.ndarray
    position_world_m: np.ndarray
    focal_px: np.ndarray
    size: np.ndarray
    k1: np.ndarray

    def joints_cam_m(self, joints_world_m: np.ndarray) -> np.ndarray:
        """(B, T, J, 3) world -> camera optical frame."""
        relative = joints_world_m - self.position_world_m[:, None, None]
        return np.asarray(relative @ np.swapaxes(self.cam_from_world, -1, -2)[:, None])

    def inside(self, joints_cam_m: np.ndarray) -> np.ndarray:
        """(B, T, J) bool: in front of the camera and inside the image; distortion at the border is neglected."""
        half_width = self.size / 2 / self.focal_px[:, None]
        rays = np.abs(rays_from_cam(joints_cam_m))
        in_picture = (rays < half_width[:, None, None]).all(axis=-1)
        return np.asarray(in_picture & (joints_cam_m[..., 2] > _NEAR_PLANE_M))

    def camera(self, index: int) -> Camera:
        """One view's intrinsics."""
        width, height = (int(side) for side in self.size[index])
        focal = float(self.focal_px[index])
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        k1 = float(self.k1[index])
        # the second coefficient keeps the mapping monotonic up to the corners of the widest lens
        D = np.array([k1, -0.2 * k1, 0.0, 0.0, 0.0]) if k1 else np.zeros(0)
        return Camera(width=width, height=height, K=K, D=D, distortion_model="plumb_bob" if k1 else "none")


def _between(rng: np.random.Generator, ranges: np.ndarray) -> np.ndarray:
    return np.asarray(rng.uniform(ranges[..., 0], ranges[..., 1]))


def draw_views(rig: Rig, rng: np.random.Generator, path_world_m: np.ndarray) -> Views:
    """Place one camera for each person's path so that it looks at the person.

    path_world_m: (B, T, 3) pelvis positions. The camera aims at the path's mean, a little beside it, and stands back
    until the path is nowhere nearer than a metre.
    """
    target = path_world_m.mean(axis=1)
    count = len(target)
    lens = np.array(rig.lenses)[rng.integers(len(rig.lenses), size=count)]  # (B, 2, 2)
    focal_per_width, distance = _between(rng, lens[:, 0]), _between(rng, lens[:, 1])
    height = _between(rng, np.array(rig.height_m)[rng.integers(len(rig.height_m), size=count)])
    size = np.array(rig.sizes)[rng.integers(len(rig.sizes), size=count)]
    azimuth = rng.uniform(-np.pi, np.pi, size=count)
    away = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(count)], axis=-1)
    nearest = distance - ((path_world_m - target[:, None]) * away[:, None]).sum(-1).max(axis=1)
    distance = distance + np.maximum(0.0, _MIN_DEPTH_M - nearest)
    position = target * [1, 1, 0] + away * distance[:, None] + height[:, None] * [0, 0, 1]

    half_fov = np.arctan(0.5 / focal_per_width)
    pitch = np.arctan2(height - target[:, 2], distance) + 0.15 * half_fov * rng.standard_normal(count)
    pitch = np.clip(pitch, *np.radians(rig.pitch_deg))
    yaw = azimuth + np.pi + half_fov * rng.uniform(-0.5, 0.5, size=count)
    return Views(
        cam_from_world=_look(yaw, pitch),
        position_world_m=position,
        focal_px=focal_per_width * size[:, 0],
        size=size,
        k1=rng.uniform(-rig.radial, rig.radial, size=count),
    )


def _look(yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """(B, 3, 3) cam_from_world of level cameras that look along yaw, pitched down by pitch; radians."""
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)], axis=-1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], axis=-1)
    return np.stack([right, np.cross(forward, right), forward], axis=-2)


# --- detectors -------------------------------------------------------------------------------------------------------

NOISE_SD, NOISE_RHO = 0.005, 0.9  # of the person's box, about 4.6 px at 1000 px; per frame at 30 Hz


def box_size(kpts: np.ndarray) -> np.ndarray:
    """Larger side of each person's box: (..., J, 2) -> (..., 1, 1), in the unit of the keypoints."""
    extent = kpts.max(axis=-2) - kpts.min(axis=-2)
    return np.asarray(extent.max(axis=-1)[..., None, None])


def _ar1(shape: tuple[int, ...], rho: float, rng: np.random.Generator) -> np.ndarray:
    """Unit-variance Gaussian noise, first-order autoregressive along axis 1."""
    noise = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        noise[:, t] = rho * noise[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return noise


def _events(probability: np.ndarray, shape: tuple[int, ...], rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Two-state Markov chains along axis 1 with the given stationary probability and a mean duration of EVENT_S."""
    leave = min(1.0, 1.0 / (EVENT_S * rate_hz))
    enter = leave * probability / (1 - probability)
    active = np.empty(shape, dtype=bool)
    active[:, 0] = rng.random(shape[:1] + shape[2:]) < probability
    for t in range(1, shape[1]):
        draw = rng.random(shape[:1] + shape[2:])
        active[:, t] = np.where(active[:, t - 1], draw >= leave, draw < enter)
    return active


Detector = Callable[[np.ndarray, float, np.random.Generator], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _ground_truth(
    kpts: np.ndarray, rate_hz: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return kpts, np.ones(kpts.shape[:-1]), np.ones(kpts.shape[:-1], dtype=bool)


def _noisy(kpts: np.ndarray, rate_hz: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rho = NOISE_RHO ** (30.0 / rate_hz)
    error = NOISE_SD * LIMB_END[:, None] * _ar1(kpts.shape, rho, rng)
    score = score_of_error(np.linalg.norm(error, axis=-1), rng)
    return kpts + error * box_size(kpts), score, np.ones(kpts.shape[:-1], dtype=bool)


def _detector(kpts: np.ndarray, rate_hz: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = kpts.shape[:-1]
    inverted = _events(np.full(shape[2:], INVERSION), shape, rate_hz, rng)[..., None]
    given, _, _ = _noisy(np.where(inverted, kpts[..., H36M17.mirror, :], kpts), rate_hz, rng)
    jitter = _events(JITTER, shape, rate_hz, rng)[..., None]
    given = given + jitter * JITTER_SD * box_size(kpts) * _ar1(kpts.shape, 0.9, rng)
    error = np.linalg.norm(given - kpts, axis=-1) / box_size(kpts)[..., 0]
    return given, score_of_error(error, rng), ~_events(MISS, shape, rate_hz, rng)


INPUTS: dict[str, Detector] = {"gt": _ground_truth, "noisy": _noisy, "detector": _detector}


def detect(
    name: str, kpts: np.ndarray, rate_hz: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a detector of that kind (a key of INPUTS) says of true keypoints.

    kpts: (B, T, J, 2) of `h36m17`, complete, pixels or rays: errors are relative to the person's box.
    Returns keypoints (B, T, J, 2), score (B, T, J) in [0, 1], and (B, T, J) bool: given at all (False = missed).
    """
    return INPUTS[name](kpts, rate_hz, rng)
