"""Make people_in_images.mcap: two people walk among furniture, with the camera's images, keypoints and the truth.

    python samples/make_people_in_images.py --data cmu_h36m17_30fps.npz [--out samples/people_in_images.mcap] [--force]

--data: as for make_two_people.py. The pictures are rendered with the tools of `python -m training render`, people,
furniture and textures being those of the test split: no model that was trained on such pictures has seen them. Needs
`pip install '.[train,sefd]'`. Everything is drawn from one seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scene
import torch
from detector import COCO17, coco_keypoints
from make_two_people import recording_of, walk_of
from motion import Walker, clip_from_positions
from recording import RATE_HZ, write
from recording import Person as Recorded
from scipy.ndimage import gaussian_filter1d

from occpose_core.body.joints import H36M17_IN_SMPL30, HEAD_POINTS, smpl30_index
from occpose_core.body.layer import BodyModel
from occpose_core.camera import px_from_cam
from occpose_core.dataset import Sequences, read_sequences
from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17
from occpose_ros.bag import BagWriter
from training.rendering.clothes import draw_clothes
from training.rendering.furniture import KINDS, joined
from training.rendering.labels import joints_seen
from training.rendering.people import Actors, Person
from training.rendering.picture import take_picture
from training.rendering.posing import pose_body
from training.rendering.raycast import Mesh
from training.rendering.recordings import RecordedPose
from training.rendering.rooms import draw_room
from training.rendering.scenes import Light, Scene, Thing
from training.rendering.textures import draw_texture

SEED, SPLIT = 28, "test"
EVERY = 2  # frames of the motion
FADE = 24  # of them, in which one clip passes into the next
SECONDS = 9.0
SHARE = 1 / 2  # of the size of the other sample's camera
QUALITY = 80  # of JPEG
SLOWLY_S = 0.4  # in which open angles change
SHAPE_SD = 0.8
# kind, x, y, turn in degrees
FURNITURE = (
    ("sofa", -1.15, 2.95, 176.0),
    ("rail", 1.35, 2.9, -5.0),
    ("plant", 0.35, 3.0, 0.0),
    ("barrels", 0.9, 6.0, 0.0),
)
LIGHT = Light(toward=np.array([-0.48, -0.62, 0.62]), ambient=0.62, tint=np.array([1.02, 1.0, 0.97]))
_TO_EDGE = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])  # 0 at the edge of a pixel, not its middle
CAMERA = replace(
    scene.CAMERA,
    width=round(SHARE * scene.CAMERA.width),
    height=round(SHARE * scene.CAMERA.height),
    K=np.linalg.inv(_TO_EDGE) @ np.diag([SHARE, SHARE, 1.0]) @ _TO_EDGE @ scene.CAMERA.K,
)
_PELVIS = H36M17.index("pelvis")


class SlowGenerator(np.random.Generator):
    """Normal numbers of which one is like the next, so that what is drawn for each frame moves slowly."""

    def standard_normal(self, size: Any = None, *_: Any, **__: Any) -> Any:
        """(T,) of standard deviation 1."""
        sd = SLOWLY_S * RATE_HZ / EVERY
        return gaussian_filter1d(super().standard_normal(size), sd, mode="wrap") * np.sqrt(2 * np.sqrt(np.pi) * sd)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """The room without people. things: its furniture."""

    things: tuple[Thing, ...]
    room: tuple[Thing, ...]

    def scene(self, people: Sequence[Person], dressed: Sequence[Thing]) -> Scene:
        """The room with people of one moment."""
        worn = [replace(thing, mesh=person.mesh) for person, thing in zip(people, dressed, strict=True)]
        return Scene(
            people=tuple(people),
            things=(*worn, *self.things),
            room=self.room,
            camera=CAMERA,
            cam_from_world=scene.CAM_FROM_WORLD,
            position_world_m=scene.EYE_WORLD_M,
            light=LIGHT,
        )


def paths(sequences: Sequences) -> list[np.ndarray]:
    """Subject 02 comes from the left and wipes behind the sofa; subject 49 crosses behind, turns, and goes before."""
    wipes = clip_from_positions(recording_of(sequences, "02_10"), 325, 435, fade=FADE)
    first = Walker(walk_of(recording_of(sequences, "02_01"), 28, FADE), (-3.0, 4.0), 0.0, fade=FADE)
    second = Walker(walk_of(recording_of(sequences, "49_01"), 60, FADE), (2.5, 4.4), np.pi, fade=FADE)
    wiped = first.walk_to((-1.3, 3.7)) + first.perform(wipes) + first.walk_to((1.4, 4.2)) + first.walk_to((4.5, 4.6))
    crossed = [joints for to in ((-0.6, 4.7), (-1.9, 4.9), (-0.6, 3.4), (4.0, 3.7)) for joints in second.walk_to(to)]
    frames = round(SECONDS * RATE_HZ)
    return [np.array(path)[:frames:EVERY] for path in (wiped, crossed)]


def body_of(path_world_m: np.ndarray, actors: Actors, rng: np.random.Generator) -> list[Person]:
    """The body at each frame of a path (T, 17, 3)."""
    offset = path_world_m[:, _PELVIS] * [1.0, 1.0, 0.0]
    joints = path_world_m - offset[:, None]
    poses = [RecordedPose(joints_world_m=one, subject="", sequence="", frame=frame) for frame, one in enumerate(joints)]
    rotations = pose_body(joints, actors.rest_joints_m, SlowGenerator(rng.bit_generator))
    shape = np.tile(SHAPE_SD * rng.standard_normal(10), (len(path_world_m), 1))
    return [person.moved(by) for person, by in zip(actors.embody(poses, rotations, shape), offset, strict=True)]


def stage(people: Sequence[Person], rng: np.random.Generator) -> Stage:
    """Furniture, and a room that holds everybody at all times."""
    things = []
    for kind, x_m, y_m, turn_deg in FURNITURE:
        local = joined(KINDS[kind](rng))
        sine, cosine = np.sin(np.radians(turn_deg)), np.cos(np.radians(turn_deg))
        turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        mesh = Mesh(vertices_m=local.vertices_m @ turn.T + [x_m, y_m, 0.0], faces=local.faces)
        things.append(Thing(mesh=mesh, local_m=local.vertices_m, paint=draw_texture(SPLIT, "wood", rng)))
    room = draw_room(SPLIT, people, scene.EYE_WORLD_M, rng)
    return Stage(
        things=tuple(things), room=tuple(Thing(mesh=mesh, local_m=mesh.vertices_m, paint=of) for mesh, of in room)
    )


def boxes(stage: Stage) -> list[scene.Box]:
    """What the furniture's markers show."""
    corners = [(thing.mesh.vertices_m.min(axis=0), thing.mesh.vertices_m.max(axis=0)) for thing in stage.things]
    return [
        scene.Box(name=kind, low=tuple(low), high=tuple(high))
        for (kind, *_), (low, high) in zip(FURNITURE, corners, strict=True)
    ]


def recorded(people: Sequence[Person], sight: np.ndarray, rng: np.random.Generator) -> Recorded:
    """One person of all frames as the bag has them. sight: (T, 30), whether the camera sees the joint."""
    joints_world_m = np.stack([person.joints_world_m for person in people])
    joints_px = px_from_cam(scene.cam_from_world(joints_world_m), CAMERA)
    inside = ((joints_px >= 0) & (joints_px < [CAMERA.width, CAMERA.height])).all(axis=-1)
    sight = sight & inside
    head = {name: smpl30_index(name) for name in HEAD_POINTS if name in COCO17.joints}
    xy_px, score = coco_keypoints(
        joints_px[:, H36M17_IN_SMPL30],
        sight[:, H36M17_IN_SMPL30],
        {name: joints_px[:, at] for name, at in head.items()},
        {name: sight[:, at] for name, at in head.items()},
        RATE_HZ / EVERY,
        rng,
    )
    return Recorded(
        joints_world_m=joints_world_m[:, H36M17_IN_SMPL30],
        in_image=inside.any(axis=-1),
        in_sight=sight[:, H36M17_IN_SMPL30],
        xy_px=xy_px,
        score=score,
    )


def jpegs(scenes: Sequence[Scene]) -> Iterator[np.ndarray]:
    """The camera's images; its exposure is the same in all."""
    for number, one in enumerate(scenes):
        rgb = take_picture(one, np.random.default_rng(SEED)).rgb
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(scenes)} images", end="", file=sys.stderr, flush=True)
        _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        yield data.reshape(-1)


def make(data: Path, out: Path, force: bool) -> str:
    """Make the bag; returns what is in it."""
    torch.set_num_threads(1)  # the same sums on every machine
    cv2.setNumThreads(1)
    rng = np.random.default_rng(SEED)
    actors = Actors(BodyModel())
    people = [body_of(path, actors, rng) for path in paths(read_sequences(data))]
    dressed = [
        Thing(mesh=person[0].mesh, local_m=actors.rest_vertices_m, paint=draw_clothes(SPLIT, rng)) for person in people
    ]
    room = stage([person for frames in people for person in frames], rng)
    scenes = [room.scene(moment, dressed) for moment in zip(*people, strict=True)]
    sight = np.stack([joints_seen(one) for one in scenes], axis=1)
    known = [recorded(frames, seen, rng) for frames, seen in zip(people, sight, strict=True)]
    with BagWriter(out, force=force) as bag:
        write(bag, known, CAMERA, boxes(room), RATE_HZ / EVERY, jpegs(scenes))
    hidden = 1 - np.concatenate([each.in_sight[each.in_image] for each in known]).mean()
    return f"{len(scenes)} images, {out.stat().st_size / 1e6:.1f} MB, {hidden:.0%} of people's joints out of sight"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("people_in_images.mcap"))
    parser.add_argument("--force", action="store_true")
    args = parser.parse_args()
    try:
        print(f"{args.out}: {make(args.data, args.out, args.force)}")
    except OccposeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
