"""People of a scene: recorded poses as posed bodies that stand on the floor, near each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from occpose_core.body.joints import SMPL24
from occpose_core.body.layer import BodyModel
from training.rendering.posing import pose_body
from training.rendering.raycast import Mesh
from training.rendering.recordings import RecordedPose, Recordings

_HOW_MANY = (0.4, 0.4, 0.2)  # shares of scenes with one, two, three people
_APART_M = (0.4, 1.5)  # between pelvises
_NEAREST_JOINTS_M = 0.14  # of two people
_TRIES = 12
_SHAPE_SD, _LARGEST_SHAPE = 1.0, 2.5
_ANKLE_M = 0.13  # a recorded ankle this high stands on the floor
_HIGHEST_JUMP_M = 0.6
_LEAST_WEIGHT = 1e-3  # of a vertex that a joint is the mean of


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """One posed body, world frame (z up, floor at 0).

    rotations: (24, 3, 3), the root's relative to the world. shape: (10,). pelvis_world_m: (3,). joints_world_m: (30, 3)
    m. flesh_m: (30,) distance of each joint to the farthest skin of those that it is the mean of.
    """

    rotations: np.ndarray
    shape: np.ndarray
    pelvis_world_m: np.ndarray
    joints_world_m: np.ndarray
    flesh_m: np.ndarray
    mesh: Mesh
    recorded: RecordedPose

    def moved(self, by_m: np.ndarray) -> Person:
        """The same person elsewhere."""
        return replace(
            self,
            pelvis_world_m=self.pelvis_world_m + by_m,
            joints_world_m=self.joints_world_m + by_m,
            mesh=replace(self.mesh, vertices_m=self.mesh.vertices_m + by_m),
        )


class Actors:
    """The body model that plays all people. rest_vertices_m: (V, 3), rest_joints_m: (24, 3), from the pelvis."""

    def __init__(self, body: BodyModel) -> None:
        self._body = body.eval()
        self.faces = body.faces
        regressor = torch.cat([body.joint_regressor, body.head_regressor]).numpy()
        self._skin = [np.flatnonzero(np.abs(row) > _LEAST_WEIGHT) for row in regressor]
        rest = self._pose(np.eye(3)[None, None].repeat(len(SMPL24), axis=1), np.zeros((1, 10)))
        self.rest_vertices_m, self.rest_joints_m = rest[0][0], rest[1][0, : len(SMPL24)]

    def play(self, recorded: list[RecordedPose], rng: np.random.Generator) -> list[Person]:
        """People of random shapes in recorded poses, on the floor above the origin."""
        rotations = pose_body(np.stack([pose.joints_world_m for pose in recorded]), self.rest_joints_m, rng)
        shape = np.clip(_SHAPE_SD * rng.standard_normal((len(recorded), 10)), -_LARGEST_SHAPE, _LARGEST_SHAPE)
        return self.embody(recorded, rotations, shape)

    def embody(self, recorded: Sequence[RecordedPose], rotations: np.ndarray, shape: np.ndarray) -> list[Person]:
        """Bodies in rotations (N, 24, 3, 3) of recorded poses, of shapes (N, 10), on the floor above the origin."""
        vertices, joints = self._pose(rotations, shape)
        return [
            Person(
                rotations=rotations[index],
                shape=shape[index],
                pelvis_world_m=np.zeros(3),
                joints_world_m=joints[index],
                flesh_m=self._flesh_m(vertices[index], joints[index]),
                mesh=Mesh(vertices_m=vertices[index], faces=self.faces),
                recorded=pose,
            ).moved(np.array([0.0, 0.0, _above_floor_m(pose) - vertices[index, :, 2].min()]))
            for index, pose in enumerate(recorded)
        ]

    def _flesh_m(self, vertices_m: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
        far = [
            np.linalg.norm(vertices_m[skin] - at, axis=-1).max() for skin, at in zip(self._skin, joints_m, strict=True)
        ]
        return np.array(far)

    def _pose(self, rotations: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, V, 3) and joints (N, 30, 3), m, from the pelvis."""
        with torch.inference_mode():
            posed = self._body(torch.from_numpy(rotations).float(), torch.from_numpy(shape).float())
        return posed.vertices_m.numpy().astype(np.float64), posed.joints30_m.numpy().astype(np.float64)


def draw_people(recordings: Recordings, actors: Actors, rng: np.random.Generator) -> list[Person]:
    """One to three people; those who find no room near the first are left out."""
    wanted = 1 + int(rng.choice(len(_HOW_MANY), p=_HOW_MANY))
    placed: list[Person] = []
    for person in actors.play([recordings.draw(rng) for _ in range(wanted)], rng):
        for _ in range(_TRIES if placed else 1):
            distance, angle = rng.uniform(*_APART_M) * bool(placed), rng.uniform(-np.pi, np.pi)
            here = person.moved(distance * np.array([np.cos(angle), np.sin(angle), 0.0]))
            if not any(_collide(here, other) for other in placed):
                placed.append(here)
                break
    return placed


def _above_floor_m(pose: RecordedPose) -> float:
    return float(np.clip(pose.joints_world_m[:, 2].min() - _ANKLE_M, 0.0, _HIGHEST_JUMP_M))


def _collide(person: Person, other: Person) -> bool:
    """Whether joints of the two are nearer than flesh allows; a cheap stand-in for their surfaces."""
    joints = slice(0, len(SMPL24))
    between = person.joints_world_m[joints, None] - other.joints_world_m[None, joints]
    return bool(np.linalg.norm(between, axis=-1).min() < _NEAREST_JOINTS_M)
