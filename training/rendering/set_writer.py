"""A rendered set on disk: `images`, `edges` and `annotations.json` (docs/data.md, "Rendered pictures").

Pictures are made in chunks, each with a file in `parts` until all are done, so that a run that was stopped goes on
where it was. What a picture shows depends on the seed, its split and its number alone, not on the number of processes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from occpose_core.body.joints import SMPL30
from occpose_core.body.layer import BodyModel
from occpose_core.dataset import SPLITS, read_sequences
from occpose_core.errors import OccposeError
from occpose_core.files import OutputError, make_folder, write_atomically
from training.rendering.labels import alone, labels_of
from training.rendering.overlap_edges import overlap_edges
from training.rendering.people import Actors
from training.rendering.picture import take_picture
from training.rendering.recordings import Recordings
from training.rendering.scenes import SIZE, Scene, draw_scene

BODY = "capsules"
ANNOTATIONS = "annotations.json"
_PICTURES = ("images", "edges")
_PARTS, _PLAN = "parts", "plan.json"
_CHUNK = 10  # pictures
_JPEG_QUALITY = 92


class RenderingError(OccposeError):
    """A set cannot be rendered as asked."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """`count` pictures of a split, from number `in_split` of the split on, which is number `first` of the set."""

    split: str
    in_split: int
    first: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is rendered. images: of each of SPLITS. motion_shares: each file's of the poses; None: by its subjects."""

    motion: tuple[Path, ...]
    images: tuple[int, ...]
    motion_shares: tuple[float, ...] | None
    seed: int

    def chunks(self) -> list[Chunk]:
        """All pictures of all splits, in order."""
        found, first = [], 0
        for split, images in zip(SPLITS, self.images, strict=True):
            found += [
                Chunk(split=split, in_split=at, first=first + at, count=min(_CHUNK, images - at))
                for at in range(0, images, _CHUNK)
            ]
            first += images
        return found


class Studio:
    """Everything that chunks are made with. Raises DatasetError, BodyFileError."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        torch.set_num_threads(1)  # processes share the work, not threads
        cv2.setNumThreads(1)
        self.plan, self._folder = plan, folder
        self.files = [read_sequences(path) for path in plan.motion]
        self._actors = Actors(BodyModel(BODY))
        self._recordings: dict[str, Recordings] = {}

    def recordings(self, split: str) -> Recordings:
        """The poses of a split. Raises DatasetError if there are none."""
        if split not in self._recordings:
            self._recordings[split] = Recordings(self.files, split, self.plan.motion_shares)
        return self._recordings[split]

    def make(self, chunk: Chunk) -> int:
        """Render a chunk, and write its part of the annotations, unless they are there; returns its pictures."""
        part = self._folder / _PARTS / _part(chunk)
        if not part.exists():
            made = [self._make(chunk.split, chunk.in_split + step, chunk.first + step) for step in range(chunk.count)]
            content = {
                "images": [image for image, _ in made],
                "annotations": [one for _, labels in made for one in labels],
            }
            write_atomically(part, json.dumps(content).encode())
        return chunk.count

    def _make(self, split: str, in_split: int, number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        rng = np.random.default_rng((self.plan.seed, SPLITS.index(split), in_split))
        scene = draw_scene(self.recordings(split), split, self._actors, rng)
        picture = take_picture(scene, rng)
        each = [alone(person, scene) for person in scene.people]
        areas = [one.box_px[2] * one.box_px[3] for one in each]
        edges = overlap_edges(np.stack([one.grey for one in each]), areas)
        names = {"file_name": f"images/{number:06d}.jpg", "edge_file": f"edges/{number:06d}.png"}
        self._write(names["file_name"], picture.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        self._write(names["edge_file"], np.round(edges * 255).astype(np.uint8), [])
        labels = [{"image_id": number, **label} for label in labels_of(scene, picture.person, each)]
        return {"id": number, **names, "split": split, **_camera(scene)}, labels

    def _write(self, name: str, pixels: np.ndarray, options: list[int]) -> None:
        _, encoded = cv2.imencode(Path(name).suffix, np.ascontiguousarray(pixels), options)
        write_atomically(self._folder / name, encoded.tobytes(), force=True)


def _camera(scene: Scene) -> dict[str, Any]:
    K = scene.camera.K
    camera = {"focal": [K[0, 0], K[1, 1]], "princpt": [K[0, 2], K[1, 2]]}
    return {"width": scene.camera.width, "height": scene.camera.height, "camera": camera}


def prepare_folder(folder: Path, studio: Studio) -> bool:
    """Make the folder ready; True if it holds the whole set already.

    A set that lacks a picture is made again. Raises OutputError if it holds a set, or a part of one, that was made
    otherwise, or files that are of none.
    """
    info = _info(studio)
    whole, started = folder / ANNOTATIONS, folder / _PARTS / _PLAN
    for path in (whole, started):
        if path.exists() and _read(path).get("info") != info:
            raise OutputError(f"{folder} holds pictures of another seed, number or motion; name another folder")
    if whole.exists() and _has_all(folder, _read(whole)):
        shutil.rmtree(folder / _PARTS, ignore_errors=True)  # of a run that ended between its last two steps
        return True
    for name in _PICTURES:
        if not (whole.exists() or started.exists()) and any((folder / name).glob("*")):
            raise OutputError(f"{folder / name} holds files of something else; name another folder")
    for name in (*_PICTURES, _PARTS):
        make_folder(folder / name)
    write_atomically(started, json.dumps({"info": info}).encode(), force=True)
    return False


def _has_all(folder: Path, content: dict[str, Any]) -> bool:
    """Whether every picture that a set's annotations name is there."""
    there = {f"{name}/{path.name}" for name in _PICTURES for path in (folder / name).glob("*")}
    return all(image[key] in there for image in content["images"] for key in ("file_name", "edge_file"))


def finish_folder(folder: Path, studio: Studio) -> int:
    """Join the parts to `annotations.json`; returns the number of labelled people."""
    parts = [_read(folder / _PARTS / _part(chunk)) for chunk in studio.plan.chunks()]
    labels = [label for part in parts for label in part["annotations"]]
    content = {
        "info": _info(studio),
        "categories": [{"id": 1, "name": "person", "keypoints": list(SMPL30)}],
        "images": [image for part in parts for image in part["images"]],
        "annotations": [{"id": number, **label} for number, label in enumerate(labels)],
    }
    write_atomically(folder / ANNOTATIONS, json.dumps(content).encode(), force=True)
    shutil.rmtree(folder / _PARTS)
    return len(labels)


def _part(chunk: Chunk) -> str:
    return f"{chunk.first:06d}.json"


def _read(path: Path) -> dict[str, Any]:
    """Raises OutputError if it is not one of these files."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise OutputError(f"{path} is damaged; remove it, or name another folder") from error


def _info(studio: Studio) -> dict[str, Any]:
    """What a set says of itself; two sets with the same are the same."""
    plan = studio.plan
    return {
        "description": "people rendered from recorded motion",
        "body": BODY,
        "size": list(SIZE),
        "seed": plan.seed,
        "images": dict(zip(SPLITS, plan.images, strict=True)),
        "motion_shares": list(plan.motion_shares) if plan.motion_shares else None,
        "motion": [{"file": file.path.name, "sha256": file.sha256} for file in studio.files],
        "license": "; ".join(file.license for file in studio.files),
    }
