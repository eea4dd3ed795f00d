"""Turn short motion-capture clips into a person who walks a path: clips are looped, cross-faded and steered.

A clip is kept as what does not depend on where it was filmed: bone vectors in the person's own heading frame (x ahead,
y left, z up), the pelvis height and the pelvis' horizontal steps. World frames are z up, metres; one step is a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from occpose_core.skeleton import H36M17

_PELVIS = H36M17.index("pelvis")
_HIPS = H36M17.indices("left_hip", "right_hip")
_ANKLES = H36M17.indices("left_ankle", "right_ankle")
_BONES = np.array(H36M17.bones)


def _turn(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def heading(joints_world_m: np.ndarray) -> np.ndarray:
    """Direction that the hips face, (...) radians about z, for (..., J, 3)."""
    left = joints_world_m[..., _HIPS[0], :] - joints_world_m[..., _HIPS[1], :]
    return np.arctan2(-left[..., 0], left[..., 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """bones: (T, 16, 3) m, heading frame. height_m: (T,) of the pelvis. step_m: (T, 2) forward and left, to the next
    frame. turned: heading at the end less heading at the start, radians. loop: (first, last) frame that join smoothly.
    """

    bones: np.ndarray
    height_m: np.ndarray
    step_m: np.ndarray
    turned: float
    loop: tuple[int, int]

    @property
    def feet_apart_m(self) -> np.ndarray:
        """(T,) horizontal distance of the ankles."""
        joints = joints_from_bones(self.bones)
        return np.linalg.norm((joints[:, _ANKLES[0]] - joints[:, _ANKLES[1]])[:, :2], axis=-1)


def joints_from_bones(bones: np.ndarray) -> np.ndarray:
    """(..., 16, 3) bone vectors -> (..., 17, 3) joints relative to the pelvis; parents come before children."""
    joints = np.zeros((*bones.shape[:-2], len(H36M17.joints), 3))
    for (parent, child), vector in zip(_BONES, np.moveaxis(bones, -2, 0), strict=True):
        joints[..., child, :] = joints[..., parent, :] + vector
    return joints


def clip_from_positions(positions_world_m: np.ndarray, begin: int, end: int, fade: int) -> Clip:
    """Cut frames begin..end out of a recording (T, 17, 3), leaving room for a fade of that many frames behind."""
    joints = positions_world_m[begin : end + fade + 1].astype(np.float64)
    angles = np.unwrap(heading(joints))
    steps = np.diff(joints[:, _PELVIS, :2], axis=0)
    travelled = steps.sum(axis=0)
    # A walker's hips swing: the direction of travel is the steadier heading.
    walks = np.linalg.norm(travelled) > 1.0
    forward = float(np.arctan2(travelled[1], travelled[0])) if walks else float(angles[:5].mean())
    to_heading = _turn(-forward)
    bones = (joints[:, _BONES[:, 1]] - joints[:, _BONES[:, 0]]) @ to_heading.T
    steps_heading = np.append(steps, steps[-1:], axis=0) @ to_heading[:2, :2].T
    return Clip(
        bones=bones,
        height_m=joints[:, _PELVIS, 2],
        step_m=steps_heading,
        turned=0.0 if walks else float(angles[end - begin - 5 : end - begin].mean() - angles[:5].mean()),
        loop=(0, end - begin),
    )


def best_loop(positions_world_m: np.ndarray, fade: int, shortest: int) -> tuple[int, int]:
    """The (begin, end) frames of a walk whose poses and speeds are most alike, so that it can go round."""
    joints = positions_world_m - positions_world_m[:, _PELVIS : _PELVIS + 1]
    speed = np.diff(joints, axis=0, append=joints[-1:])
    state = np.concatenate([joints, 5.0 * speed], axis=-1).reshape(len(joints), -1)
    last = len(joints) - fade - 2
    pairs = [(a, b) for a in range(last - shortest) for b in range(a + shortest, last)]
    costs = [np.linalg.norm(state[a] - state[b]) for a, b in pairs]
    return pairs[int(np.argmin(costs))]


@dataclass(kw_only=True)
class _Voice:
    clip: Clip
    frame: int
    weight: float


class Walker:
    """A person who follows way points; a clip that begins fades over the ones still playing."""

    def __init__(self, walk: Clip, position_world_m: tuple[float, float], angle: float, fade: int) -> None:
        self._walk, self._fade = walk, fade
        self._voices = [_Voice(clip=walk, frame=0, weight=1.0)]
        self._lengths = np.linalg.norm(walk.bones, axis=-1).mean(axis=0)
        self._position = np.array(position_world_m, dtype=np.float64)
        self._angle, self._rate = angle, 0.0

    def _switch(self, clip: Clip, frame: int) -> None:
        self._voices.append(_Voice(clip=clip, frame=frame, weight=0.0))

    def _mixed(self, of_voice: Callable[[_Voice], np.ndarray]) -> np.ndarray:
        mixed = of_voice(self._voices[0])
        for voice in self._voices[1:]:
            mixed = (1.0 - voice.weight) * mixed + voice.weight * of_voice(voice)
        return mixed

    def _frame(self, turn: float) -> np.ndarray:
        """Advance one frame; (17, 3) joints in the world."""
        bones = self._mixed(lambda voice: voice.clip.bones[voice.frame])
        bones = bones * (self._lengths / np.linalg.norm(bones, axis=-1))[:, None]
        height = self._mixed(lambda voice: voice.clip.height_m[voice.frame])
        step = self._mixed(lambda voice: voice.clip.step_m[voice.frame])
        joints = joints_from_bones(bones) @ _turn(self._angle).T + np.append(self._position, height)
        self._angle += turn
        self._position = self._position + _turn(self._angle)[:2, :2] @ step
        for voice in self._voices:
            voice.frame = min(voice.frame + 1, len(voice.clip.bones) - 1)
        newest = self._voices[-1]
        newest.weight = min(1.0, newest.weight + 1.0 / self._fade)
        if newest.weight >= 1.0:
            self._voices = [newest]
        return joints

    def walk_to(self, target_world_m: tuple[float, float], *, reach_m: float = 0.35) -> list[np.ndarray]:
        """Walk until the target is within reach; the way bends smoothly."""
        frames: list[np.ndarray] = []
        while np.linalg.norm(np.array(target_world_m) - self._position) > reach_m:
            if len(frames) > 600:
                raise RuntimeError(f"way point {target_world_m} is never reached; it lies inside the turning circle")
            self._loop()
            frames.append(self._frame(self._steer(target_world_m)))
        return frames

    def _loop(self) -> None:
        begin, end = self._walk.loop
        if self._voices[-1].frame >= end:
            self._switch(self._walk, begin)

    def _steer(self, target_world_m: tuple[float, float]) -> float:
        """Turn for this frame, radians: toward the target at 100 degrees a second at most, eased in and out."""
        away = np.array(target_world_m) - self._position
        error = (np.arctan2(away[1], away[0]) - self._angle + np.pi) % (2 * np.pi) - np.pi
        wanted = np.clip(0.12 * error, -np.radians(100) / 30, np.radians(100) / 30)
        self._rate += 0.15 * (wanted - self._rate)
        return float(self._rate)

    def perform(self, clip: Clip) -> list[np.ndarray]:
        """Stop where the feet are together, play a clip on the spot, and get ready to walk on."""
        frames: list[np.ndarray] = []
        apart = self._walk.feet_apart_m
        while apart[self._voices[-1].frame] > np.quantile(apart, 0.2):
            self._loop()
            frames.append(self._frame(self._rate))
        self._switch(clip, 0)
        for _ in range(clip.loop[1]):
            self._rate *= 0.8
            frames.append(self._frame(self._rate))
        self._angle += clip.turned
        # The clip plays on while it fades out; what it has turned is now in the angle and so leaves its bones.
        self._voices[-1].clip = _rotated(clip, -clip.turned)
        self._switch(self._walk, int(np.argmin(apart[: self._walk.loop[1]])))
        return frames


def _rotated(clip: Clip, angle: float) -> Clip:
    turn = _turn(angle)
    return Clip(
        bones=clip.bones @ turn.T,
        height_m=clip.height_m,
        step_m=clip.step_m @ turn[:2, :2].T,
        turned=0.0,
        loop=clip.loop,
    )
