"""Edge maps for the images of others: `python -m training edges KIND FOLDER --body SMPL_DIR`.

Each person with a body that may be trusted is put where it agrees with the labelled joints, drawn alone before the
image's camera, and the contours of all are joined (overlap_edges.py); the map goes to `edges` in the set's folder,
where training looks for it. Images that have one are left alone, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from occpose_core.body.files import CAPSULES
from occpose_core.body.layer import BodyModel
from occpose_core.camera import rays_from_px
from occpose_core.dataset import DatasetError
from occpose_core.files import make_folder, write_atomically
from occpose_core.geometry import place_root
from occpose_core.imagesets import EVERYBODY, IMAGE_SPLITS, ImagePerson
from training.rendering.arguments import positive
from training.rendering.overlap_edges import need_canny, overlap_edges
from training.rendering.processes import pool
from training.rendering.raycast import Mesh, need_embree
from training.rendering.silhouettes import Alone, draw_alone

_REPORTS = 20
_AT_ONCE = 8  # images that a process is given


def edge_map(people: Sequence[ImagePerson], body: BodyModel) -> np.ndarray:
    """(H, W) float32 in [0, 1], the contours of all people of one image who have bodies that may be trusted."""
    drawn = [alone for person in people if person.fit_ok and (alone := _alone(person, body)) is not None]
    if not drawn:
        return np.zeros((people[0].height, people[0].width), dtype=np.float32)
    return overlap_edges(np.stack([one.grey for one in drawn]), [one.box_px[2] * one.box_px[3] for one in drawn])


def _alone(person: ImagePerson, body: BodyModel) -> Alone | None:
    """The person's body before its own camera; None if no place for it agrees with the labels."""
    rotations = Rotation.from_rotvec(person.pose).as_matrix().astype(np.float32)
    with torch.inference_mode():
        posed = body(torch.from_numpy(rotations)[None], torch.from_numpy(np.asarray(person.shape))[None])
    rays = rays_from_px(np.where(person.labelled[:, None], person.kpts_px, 0.0), person.camera)
    joints_m = posed.joints30_m[0].numpy()
    root_cam_m, placed = place_root(joints_m, rays, person.labelled.astype(np.float64))
    if not placed:
        return None
    mesh = Mesh(vertices_m=posed.vertices_m[0].numpy() + root_cam_m, faces=body.faces)
    return draw_alone(mesh, person.camera, np.eye(3), np.zeros(3))


def write_edges(images: Sequence[Sequence[ImagePerson]], body: str, workers: int) -> Iterable[int]:
    """Make the map of each image, given by its people; yields 1 for each. Raises as BodyModel does."""
    _prepared(body)
    if workers == 1:
        return (_write(people, body) for people in images)
    return _side_by_side(images, body, workers)


def _side_by_side(images: Sequence[Sequence[ImagePerson]], body: str, workers: int) -> Iterable[int]:
    with pool(workers) as processes:
        yield from processes.map(_write, images, [body] * len(images), chunksize=_AT_ONCE)


@cache
def _prepared(body: str) -> BodyModel:
    torch.set_num_threads(1)  # processes share the work, not threads
    cv2.setNumThreads(1)
    return BodyModel(body)


def _write(people: Sequence[ImagePerson], body: str) -> int:
    place = people[0].edge_place
    assert place is not None  # all readers say where
    levels = np.round(edge_map(people, _prepared(body)) * 255).astype(np.uint8)
    make_folder(place.parent)
    write_atomically(place, cv2.imencode(".png", levels)[1].tobytes(), force=True)
    return 1


def _missing(people: Iterable[ImagePerson]) -> list[list[ImagePerson]]:
    """The people of each image without a map of its own."""
    images: dict[Path, list[ImagePerson]] = {}
    for person in people:
        if person.edge_path is None:
            images.setdefault(person.image_path, []).append(person)
    return list(images.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; OccposeError on bad input."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training edges", description=__doc__, formatter_class=formatter)
    parser.add_argument("kind", choices=EVERYBODY, help="whose files they are")
    parser.add_argument("folder", type=Path, help="of the set")
    parser.add_argument("--body", required=True, metavar="DIR", help=f"SMPL's files, or {CAPSULES!r} for rendered sets")
    parser.add_argument("--split", choices=IMAGE_SPLITS, default="", help="people of one split (default: all)")
    parser.add_argument("--allow-pickle", action="store_true", help="open a set's pickled files, which you trust")
    parser.add_argument("--workers", type=positive, default=2, help="processes (default: %(default)s)")
    args = parser.parse_args(argv)
    need_embree()
    need_canny()
    found = EVERYBODY[args.kind](args.folder, args.split, allow_pickle=args.allow_pickle, body=args.body)
    if not any(person.fit_ok for person in found):
        raise DatasetError(f"nobody in {args.folder} has a body that may be trusted; edges are drawn from bodies")
    images = _missing(found)
    done = 0
    for done, _ in enumerate(write_edges(images, args.body, args.workers), start=1):
        if done * _REPORTS // len(images) > (done - 1) * _REPORTS // len(images):
            print(f"{done} of {len(images)} images", flush=True)
    print(f"{done} edge maps in {args.folder / 'edges'}" if done else f"{args.folder} has all its edge maps")
    return 0
