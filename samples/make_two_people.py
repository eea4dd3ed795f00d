"""Make two_people.mcap: two people walk past furniture, as a 2D detector would see them, with the true 3D poses.

    python samples/make_two_people.py --data cmu_h36m17_30fps.npz [--out samples/two_people.mcap] [--force]

--data: an OccKP-1 data file with the CMU subjects 02 and 49 (both in the test split: no shipped model has seen them).
Everything is drawn from one seed; README.md beside this file says what the bag holds and how it was chosen.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import scene
from detector import coco_keypoints
from motion import Clip, Walker, best_loop, clip_from_positions
from recording import RATE_HZ, Person, write

from occpose_core.camera import px_from_cam
from occpose_core.dataset import Sequences, read_sequences
from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17
from occpose_ros.bag import BagWriter

SEED = 20
FADE = 12  # frames in which one clip passes into the next


def recording_of(sequences: Sequences, name: str) -> np.ndarray:
    found = np.flatnonzero(sequences.name == name)
    if not len(found):
        raise OccposeError(f"{sequences.path} has no sequence {name!r}; give the CMU data file")
    return sequences.motion(int(found[0])).joints_world_m


def walk_of(positions_world_m: np.ndarray, shortest: int, fade: int = FADE) -> Clip:
    begin, end = best_loop(positions_world_m, fade=fade, shortest=shortest)
    return clip_from_positions(positions_world_m, begin, end, fade=fade)


def first_path(sequences: Sequences) -> np.ndarray:
    """Subject 02 comes in from the left, works behind the counter, passes behind the shelf, returns and leaves."""
    bends = clip_from_positions(recording_of(sequences, "02_06"), 60, 210, fade=FADE)
    washes = clip_from_positions(recording_of(sequences, "02_10"), 15, 125, fade=FADE)
    walker = Walker(walk_of(recording_of(sequences, "02_01"), shortest=28), (-4.2, 4.9), 0.0, fade=FADE)
    return np.array(
        walker.walk_to((-1.5, 4.3))
        + walker.perform(bends)
        + walker.walk_to((0.9, 3.9))
        + walker.walk_to((2.5, 5.0))
        + walker.walk_to((0.3, 5.5))
        + walker.walk_to((-0.6, 5.3))
        + walker.perform(washes)
        + walker.walk_to((-6.0, 4.6))
    )


def second_path(sequences: Sequences) -> np.ndarray:
    """Subject 49 comes in from the right and walks two rounds through the room, behind and before the other."""
    walker = Walker(walk_of(recording_of(sequences, "49_01"), shortest=60), (4.4, 5.4), np.pi, fade=FADE)
    way = (
        *((1.6, 5.0), (-0.9, 4.9), (-2.2, 5.6), (0.0, 6.0), (1.4, 4.9)),
        *((0.5, 4.0), (-1.3, 4.1), (-2.4, 5.0), (5.0, 4.9)),
    )
    return np.array([joints for target in way for joints in walker.walk_to(target)])


def head_points_cam_m(joints_cam_m: np.ndarray) -> dict[str, np.ndarray]:
    """Eyes and ears, which the recordings lack, set on the head by its axis and the shoulders; (T, 3) each."""
    nose, top = (joints_cam_m[:, H36M17.index(name)] for name in ("nose", "head_top"))
    left = joints_cam_m[:, H36M17.index("left_shoulder")] - joints_cam_m[:, H36M17.index("right_shoulder")]
    left /= np.linalg.norm(left, axis=-1, keepdims=True)
    up = (top - nose) / np.linalg.norm(top - nose, axis=-1, keepdims=True)
    front = np.cross(left, up)
    sides = (("left", 1.0), ("right", -1.0))
    eyes = {f"{side}_eye": nose + 0.035 * up + sign * 0.032 * left - 0.01 * front for side, sign in sides}
    return eyes | {f"{side}_ear": nose + 0.03 * up + sign * 0.075 * left - 0.09 * front for side, sign in sides}


def in_image(points_cam_m: np.ndarray) -> np.ndarray:
    """(..., P) bool for (..., P, 3)."""
    px = px_from_cam(points_cam_m, scene.CAMERA)
    inside = (px >= 0).all(axis=-1) & (px[..., 0] < scene.CAMERA.width) & (px[..., 1] < scene.CAMERA.height)
    return np.asarray(inside & (points_cam_m[..., 2] > 0.1))


def in_sight(points_cam_m: np.ndarray, others_cam_m: list[np.ndarray]) -> np.ndarray:
    """(T, P) bool: inside the image, and neither furniture nor another person is between the camera and the point.

    others_cam_m: (T', 17, 3) each; a shorter one has left the room.
    """
    hidden = scene.hidden_by_furniture(scene.world_from_cam(points_cam_m))
    for other in others_cam_m:
        both = min(len(other), len(points_cam_m))
        hidden[:both] |= scene.hidden_by_person(points_cam_m[:both], other[:both])
    return in_image(points_cam_m) & ~hidden


def person(path_world_m: np.ndarray, others_world_m: list[np.ndarray], frames: int, rng: np.random.Generator) -> Person:
    """See a path (T, 17, 3) through the detector; before the end of the bag the person may have left the room."""
    joints_cam_m = scene.cam_from_world(path_world_m)
    others_cam_m = [scene.cam_from_world(other) for other in others_world_m]
    sight = in_sight(joints_cam_m, others_cam_m) & ~scene.hidden_by_own_trunk(joints_cam_m)
    head_cam_m = head_points_cam_m(joints_cam_m)
    head_px = {name: px_from_cam(point, scene.CAMERA) for name, point in head_cam_m.items()}
    head_sight = {name: in_sight(point[:, None], others_cam_m)[:, 0] for name, point in head_cam_m.items()}
    true_px = px_from_cam(joints_cam_m, scene.CAMERA)
    xy_px, coco_score = coco_keypoints(true_px, sight, head_px, head_sight, RATE_HZ, rng)

    def lasting(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros((frames - len(values), *values.shape[1:]), values.dtype)])

    return Person(
        joints_world_m=lasting(path_world_m),
        in_image=lasting(in_image(joints_cam_m).any(axis=-1)),
        in_sight=lasting(sight),
        xy_px=lasting(xy_px),
        score=lasting(coco_score),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("two_people.mcap"))
    parser.add_argument("--force", action="store_true")
    args = parser.parse_args()
    try:
        sequences = read_sequences(args.data)
        paths = [first_path(sequences), second_path(sequences)]
        frames = max(map(len, paths))
        rng = np.random.default_rng(SEED)
        people = [person(path, [p for p in paths if p is not path], frames, rng) for path in paths]
        with BagWriter(args.out, force=args.force) as bag:
            write(bag, people)
    except OccposeError as error:
        print(error, file=sys.stderr)
        return 2
    hidden = 1 - np.concatenate([each.in_sight[each.in_image] for each in people]).mean()
    print(f"{args.out}: {frames / RATE_HZ:.1f} s, {hidden:.0%} of the joints of people in the image out of sight")
    return 0


if __name__ == "__main__":
    sys.exit(main())
