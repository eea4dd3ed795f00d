"""Write what the people of the sample bag look like to a network, to compare engines on.

    python samples/make_golden.py [--out occpose_core/weights/golden.npz] [--force]

reads samples/two_people.mcap. The same bag gives the same arrays.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np

from occpose_core.camera import rays_from_px
from occpose_core.errors import OccposeError
from occpose_core.files import write_atomically
from occpose_core.golden import FILE, FRAMES, STRETCHES
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Keypoints2D
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.bag import BagReader

_BAG = Path(__file__).with_name("two_people.mcap")


def read_people(path: Path) -> tuple[list[list[Keypoints2D]], Camera]:
    """The people of each image, and their camera."""
    with BagReader(path) as bag:
        images = [list(keypoints_from_occpose_msg(record.message).people) for record in bag.messages(["/keypoints"])]
        return images, camera_from_msg(next(iter(bag.messages(["/camera_info"]))).message)


def stretches(images: list[list[Keypoints2D]], camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Rays (STRETCHES, FRAMES, J, 2) and scores (STRETCHES, FRAMES, J) of people, from all over the bag.

    Each stretch begins with an image that has its person, and goes on whether the next ones have or not.
    """
    ids = sorted({person.id for people in images for person in people})
    xy_px = np.zeros((len(ids), len(images), len(H36M17.joints), 2))
    score = np.zeros(xy_px.shape[:3], dtype=np.float32)
    for image, people in enumerate(images):
        for person in people:
            row = ids.index(person.id)
            xy_px[row, image], score[row, image] = person.xy_px, person.score
    rays = np.where(score[..., None] > 0, rays_from_px(xy_px, camera), 0).astype(np.float32)
    people, starts = np.nonzero(score[:, : -FRAMES + 1].any(axis=2))
    chosen = np.linspace(0, len(starts) - 1, STRETCHES).astype(int)
    which = people[chosen, None], starts[chosen, None] + np.arange(FRAMES)
    return rays[which], score[which]


def main() -> int:
    """Read, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    args = parser.parse_args()
    rays, score = stretches(*read_people(_BAG))
    content = io.BytesIO()
    np.savez_compressed(content, rays=rays, score=score)
    try:
        write_atomically(args.out, content.getvalue(), args.force)
    except OccposeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
