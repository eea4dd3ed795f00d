"""Small sets of images in the files of their authors; people stand before a camera of known intrinsics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.joints import SMPL30

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
CENTRE = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)


def write_json(path: Path, content: Any) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def touch(path: Path) -> Path:
    """An image of which nobody reads the pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def body_joints_m(joints: int, rng: np.random.Generator, depth_m: float = 4.0) -> np.ndarray:
    """(J, 3) of a cloud the size of a person, in the camera's axes."""
    return np.asarray(rng.normal(0, [0.2, 0.4, 0.2], (joints, 3)) + [0, 0, depth_m])


def projected(joints_cam_m: np.ndarray, focal: float = FOCAL) -> np.ndarray:
    """(J, 2) pixels."""
    return np.asarray(joints_cam_m[:, :2] / joints_cam_m[:, 2:] * focal + CENTRE)


def rendered_person(image: int, rng: np.random.Generator, **changes: Any) -> dict[str, Any]:
    """An annotation of the rendered set; the third joint is hidden and the fourth outside the image."""
    joints = body_joints_m(len(SMPL30), rng)
    seen = np.full(len(SMPL30), 2)
    seen[2:4] = 1, 0
    keypoints = np.concatenate([projected(joints), seen[:, None]], axis=1)
    return {
        "image_id": image,
        "category_id": 1,
        "bbox": [100.0, 20.0, 80.0, 180.0],
        "keypoints": keypoints.ravel().tolist(),
        "smpl": {
            "pose": rng.normal(0, 0.3, 72).tolist(),
            "shape": rng.normal(0, 1, 10).tolist(),
            "trans": joints[0].tolist(),
        },
        "joints_cam_m": joints.tolist(),
        "visible_share": 0.6,
        "subject": "s1",
        "sequence": "walk",
        "frame": 3,
        **changes,
    }


def rendered_content(people_of_image: list[int], splits: list[str], seed: int = 0) -> dict[str, Any]:
    """annotations.json with an image for each split, and people in the images that are named."""
    rng = np.random.default_rng(seed)
    images = [
        {
            "id": number,
            "file_name": f"images/{number:06d}.jpg",
            "edge_file": f"edges/{number:06d}.png",
            "width": WIDTH,
            "height": HEIGHT,
            "split": split,
            "camera": {"focal": [FOCAL, FOCAL], "princpt": list(CENTRE)},
        }
        for number, split in enumerate(splits)
    ]
    return {
        "info": {"body": "capsules", "license": "CC0", "motion": "0" * 64, "seed": 0},
        "images": images,
        "annotations": [{"id": n, **rendered_person(image, rng)} for n, image in enumerate(people_of_image)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(SMPL30)}],
    }


def write_rendered(folder: Path, content: dict[str, Any]) -> Path:
    """annotations.json and the images that it names."""
    for image in content["images"]:
        touch(folder / image["file_name"])
        touch(folder / image["edge_file"])
    write_json(folder / "annotations.json", content)
    return folder
