"""Sets of images of people, each in the files of its authors; all give the same ImagePerson. docs/data.md says more."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from occpose_core.dataset import SPLITS, DatasetError
from occpose_core.imagesets import coco, h36m_images, muco, pw3d_images, rendered
from occpose_core.imagesets.types import ImagePerson, ImageSet

__all__ = ["EVERYBODY", "IMAGE_SETS", "IMAGE_SPLITS", "ImagePerson", "ImageSet", "Reader", "read_image_set"]


class Reader(Protocol):
    """What reads one set.

    split: "train", "val", "test", or "" for all; 3DPW has others, too. allow_pickle: whether pickled files may be
    opened. body: a folder with SMPL's files or "capsules", by which fits are judged where the files do not say how good
    they are; "" for none.
    """

    def __call__(self, folder: Path, split: str = "", *, allow_pickle: bool = False, body: str = "") -> ImageSet:
        """Raise DatasetError in one sentence if the folder is not such a set."""


IMAGE_SETS: dict[str, Reader] = {
    "rendered": rendered.read,
    "coco": coco.read_coco,
    "mpii": coco.read_mpii,
    "crowdpose": coco.read_crowdpose,
    "3dpw": pw3d_images.read,
    "h36m": h36m_images.read,
    "muco": muco.read,
}


# Everybody in the images, where the reader of a set leaves people out: for what all of them cast into the picture.
EVERYBODY: dict[str, Reader] = {**IMAGE_SETS, "muco": muco.read_everybody}

# What `split` may be: the splits of all sets, and the parts of 3DPW that occlusion is measured on.
IMAGE_SPLITS = (*SPLITS, *pw3d_images.SUBSETS)


def read_image_set(
    name: str,
    folder: str | Path,
    split: str = "",
    *,
    allow_pickle: bool = False,
    body: str = "",
    may_be_empty: bool = False,
) -> ImageSet:
    """Read a set by its kind, a key of IMAGE_SETS; the rest is as Reader has it.

    Raises DatasetError also if it has nobody of the split, unless it may be empty: not every set has every split.
    """
    if name not in IMAGE_SETS:
        raise DatasetError(f"unknown set of images {name!r}; known: {', '.join(IMAGE_SETS)}")
    found = IMAGE_SETS[name](Path(folder), split, allow_pickle=allow_pickle, body=body)
    if not found.people and not may_be_empty:
        raise DatasetError(f"{folder} has no people" + (f" of split {split!r}" if split else ""))
    return found
