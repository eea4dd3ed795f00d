"""A person on a stage before a camera, for tests of rendering."""

from __future__ import annotations

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from training.rendering.clothes import draw_clothes
from training.rendering.people import Actors, Person
from training.rendering.raycast import Mesh
from training.rendering.recordings import RecordedPose
from training.rendering.scenes import Light, Scene, Thing
from training.rendering.textures import draw_texture

_STANDING = {
    "pelvis": (0, 0, 0.93),
    "spine": (0, -0.02, 1.18),
    "thorax": (0, 0, 1.43),
    "nose": (0, 0.03, 1.55),
    "head_top": (0, 0.03, 1.7),
    "left_hip": (0.13, 0, 0.93),
    "left_knee": (0.13, 0.02, 0.5),
    "left_ankle": (0.13, -0.02, 0.08),
    "left_shoulder": (0.15, 0, 1.43),
    "left_elbow": (0.2, -0.03, 1.15),
    "left_wrist": (0.22, 0.1, 0.93),
}


def standing() -> np.ndarray:
    """(17, 3) m, z up: a person who looks along y, so that its left is at negative x."""
    left = [joint.replace("right_", "left_") for joint in H36M17.joints]
    side = np.where([joint.startswith("right_") for joint in H36M17.joints], 1.0, -1.0)
    return np.array([_STANDING[joint] for joint in left]) * np.stack([side, np.ones(17), np.ones(17)], axis=-1)


def someone(actors: Actors, seed: int = 0) -> Person:
    """Stands at the origin and looks along y."""
    pose = RecordedPose(joints_world_m=standing(), subject="s", sequence="q", frame=3)
    return actors.play([pose], np.random.default_rng(seed))[0]


def scene_of(actors: Actors, people: list[Person], things: list[Mesh], behind: bool = False) -> Scene:
    """Seen from 3 m before, or behind the people, at a height of 1 m."""
    rng = np.random.default_rng(0)
    side = -1.0 if behind else 1.0
    right, down, forward = [-side, 0, 0], [0, 0, -1], [0, -side, 0]
    camera = Camera(width=160, height=160, K=np.array([[180.0, 0, 79.5], [0, 180.0, 79.5], [0, 0, 1]]))
    dressed = [Thing(mesh=one.mesh, local_m=actors.rest_vertices_m, paint=draw_clothes("train", rng)) for one in people]
    standing_about = [
        Thing(mesh=mesh, local_m=mesh.vertices_m, paint=draw_texture("train", "wood", rng)) for mesh in things
    ]
    return Scene(
        people=tuple(people),
        things=(*dressed, *standing_about),
        room=(),
        camera=camera,
        cam_from_world=np.array([right, down, forward], dtype=float),
        position_world_m=np.array([0.0, 3.0 * side, 1.0]),
        light=Light(toward=np.array([0.0, 0.6, 0.8]), ambient=0.5, tint=np.ones(3)),
    )
