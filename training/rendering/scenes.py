"""Scenes: people of one split, furniture before and behind them, a room, a light and a camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from occpose_core.camera import rays_from_cam
from occpose_core.simulation import RIGS, Views, draw_views
from occpose_core.types import Camera
from training.rendering.clothes import Clothes, draw_clothes
from training.rendering.furniture import draw_furniture
from training.rendering.people import Actors, Person, draw_people
from training.rendering.raycast import NOTHING, Mesh, Raycaster
from training.rendering.recordings import Recordings
from training.rendering.rooms import draw_room
from training.rendering.textures import Texture, draw_texture

SIZE = (320, 240)
_RIG = replace(RIGS["train"], sizes=(SIZE,))
_VIEWS = 32  # cameras to choose from
_SEEN_SHARE = 0.7  # of all joints in the picture, at least
_HEIGHT_PX = (90.0, 235.0)  # of people, of the largest
_IN_FRONT, _BEHIND = (0.2, 0.45, 0.35), (0.2, 0.3, 0.3, 0.2)  # shares of scenes with 0, 1, 2 ... pieces
_TRIES = 6
_LEAST_SEEN = 0.3  # of each person's joints not behind furniture


@dataclass(frozen=True, kw_only=True, eq=False)
class Thing:
    """A mesh of the world with what paints it; local_m: (V, 3), its vertices where its texture is at home."""

    mesh: Mesh
    local_m: np.ndarray
    paint: Texture | Clothes


@dataclass(frozen=True, kw_only=True, eq=False)
class Light:
    """toward: (3,) unit, to the sun or lamp. ambient: share of light that comes from everywhere. tint: (3,) RGB."""

    toward: np.ndarray
    ambient: float
    tint: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """World frame: z up, floor at 0. cam_from_world: (3, 3). position_world_m: (3,) of the camera.

    things: first the people, in their order, then furniture; room: what casts no shadow.
    """

    people: tuple[Person, ...]
    things: tuple[Thing, ...]
    room: tuple[Thing, ...]
    camera: Camera
    cam_from_world: np.ndarray
    position_world_m: np.ndarray
    light: Light

    def in_camera(self, points_world_m: np.ndarray) -> np.ndarray:
        """(..., 3) m, world -> camera."""
        return np.asarray((points_world_m - self.position_world_m) @ self.cam_from_world.T)


def draw_scene(recordings: Recordings, split: str, actors: Actors, rng: np.random.Generator) -> Scene:
    """A random scene; textures and furniture are those of the split."""
    people = draw_people(recordings, actors, rng)
    views, chosen = _look(people, rng)
    camera_at = views.position_world_m[chosen]
    furniture = _furniture(split, people, camera_at, rng)
    dressed = [
        Thing(mesh=person.mesh, local_m=actors.rest_vertices_m, paint=draw_clothes(split, rng)) for person in people
    ]
    room = draw_room(split, people, camera_at, rng)
    return Scene(
        people=tuple(people),
        things=(*dressed, *furniture),
        room=tuple(Thing(mesh=mesh, local_m=mesh.vertices_m, paint=texture) for mesh, texture in room),
        camera=views.camera(chosen),
        cam_from_world=views.cam_from_world[chosen],
        position_world_m=camera_at,
        light=_light(rng),
    )


def _look(people: Sequence[Person], rng: np.random.Generator) -> tuple[Views, int]:
    """The first of many drawn cameras that has the people in the picture, large enough; else the nearest to that."""
    pelvises = np.stack([person.pelvis_world_m for person in people])
    views = draw_views(_RIG, rng, np.broadcast_to(pelvises, (_VIEWS, *pelvises.shape)))
    joints = np.concatenate([person.joints_world_m for person in people])
    joints_cam = views.joints_cam_m(np.broadcast_to(joints, (_VIEWS, 1, *joints.shape)))[:, 0]
    seen = views.inside(joints_cam[:, None])[:, 0].mean(axis=-1)
    rows = rays_from_cam(joints_cam)[..., 1].reshape(_VIEWS, len(people), -1) * views.focal_px[:, None, None]
    height = np.ptp(rows, axis=-1).max(axis=-1)
    fits = (seen >= _SEEN_SHARE) & (height > _HEIGHT_PX[0]) & (height < _HEIGHT_PX[1])
    return views, int(np.argmax(fits if fits.any() else seen))


def _light(rng: np.random.Generator) -> Light:
    elevation, azimuth = np.radians(rng.uniform(25.0, 85.0)), rng.uniform(-np.pi, np.pi)
    toward = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    return Light(
        toward=np.array(toward), ambient=float(rng.uniform(0.45, 0.8)), tint=1.0 + 0.08 * rng.standard_normal(3)
    )


# --- furniture -------------------------------------------------------------------------------------------------------


def _furniture(split: str, people: Sequence[Person], camera_at_m: np.ndarray, rng: np.random.Generator) -> list[Thing]:
    """Before people, but never so that too little of one is seen, and behind them."""
    placed: list[Thing] = []
    before, behind = (int(rng.choice(len(shares), p=shares)) for shares in (_IN_FRONT, _BEHIND))
    for wanted in [True] * before + [False] * behind:
        for _ in range(_TRIES):
            thing = _piece(split, people, camera_at_m, wanted, rng)
            if thing is not None and _leaves_people_seen([*placed, thing], people, camera_at_m):
                placed.append(thing)
                break
    return placed


def _piece(
    split: str, people: Sequence[Person], camera_at_m: np.ndarray, before: bool, rng: np.random.Generator
) -> Thing | None:
    """A piece between a person and the camera, or beyond the person; None if somebody stands there."""
    local = draw_furniture(split, rng)
    person = people[int(rng.integers(len(people)))].pelvis_world_m
    away = (camera_at_m - person) * [1.0, 1.0, 0.0]
    distance = float(np.linalg.norm(away))
    away /= distance
    along = rng.uniform(0.25, max(0.3, 0.6 * distance)) if before else -rng.uniform(0.5, 2.5)
    aside = (0.35 if before else 1.0) * rng.standard_normal()
    at = person * [1, 1, 0] + along * away + aside * np.array([-away[1], away[0], 0.0])
    facing = np.arctan2(away[1], away[0]) + np.pi / 2 + np.radians(25.0) * rng.standard_normal()
    sine, cosine = np.sin(facing), np.cos(facing)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    low, high = local.vertices_m.min(axis=0), local.vertices_m.max(axis=0)
    near = [(person.mesh.vertices_m - at) @ turn for person in people] + [((camera_at_m - at) @ turn)[None]]
    margins = [0.02] * len(people) + [0.4]
    if any(_inside(points, low - margin, high + margin) for points, margin in zip(near, margins, strict=True)):
        return None
    mesh = replace(local, vertices_m=local.vertices_m @ turn.T + at)
    return Thing(mesh=mesh, local_m=local.vertices_m, paint=draw_texture(split, "wood", rng))


def _inside(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    return bool(((points > low) & (points < high)).all(axis=-1).any())


def _leaves_people_seen(things: Sequence[Thing], people: Sequence[Person], camera_at_m: np.ndarray) -> bool:
    caster = Raycaster([thing.mesh for thing in things])
    rays = np.concatenate([person.joints_world_m for person in people]) - camera_at_m
    hits = caster.cast(camera_at_m, rays)
    seen = (hits.mesh == NOTHING) | (hits.distance > 1.0)
    return bool(seen.reshape(len(people), -1).mean(axis=-1).min() >= _LEAST_SEEN)
