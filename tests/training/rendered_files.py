"""A small image set in the format of `python -m training render`: people of the generated body before plain walls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from occpose_core.body.joints import SMPL30
from occpose_core.body.layer import BodyModel

WIDTH, HEIGHT, FOCAL_PX = 96, 80, 80.0
_CENTRE_PX = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
_UPSIDE = Rotation.from_rotvec([np.pi, 0.0, 0.0])  # SMPL's y is up, the camera's down: a person who faces it
_VISIBLE, _HIDDEN = 2, 1


def _people(rng: np.random.Generator, count: int, body: BodyModel) -> list[dict[str, Any]]:
    people = []
    for index in range(count):
        pose = 0.25 * rng.standard_normal((24, 3))
        pose[22:] = 0
        turn = Rotation.from_rotvec([0.0, rng.uniform(-1, 1), 0.0])
        pose[0] = (_UPSIDE * turn).as_rotvec()
        shape = rng.uniform(-1, 1, size=10)
        rotations = torch.tensor(Rotation.from_rotvec(pose).as_matrix()[None], dtype=torch.float32)
        with torch.no_grad():
            posed = body(rotations, torch.tensor(shape[None], dtype=torch.float32))
        root = np.array([0.9 * index - 0.3, 0.0, rng.uniform(2.6, 3.4)])
        people.append(
            {
                "pose": pose,
                "shape": shape,
                "trans": root,
                "joints_cam_m": posed.joints30_m[0].numpy() + root,
                "vertices_cam_m": posed.vertices_m[0].numpy() + root,
            }
        )
    return people


def _pixels(points_cam_m: np.ndarray) -> np.ndarray:
    return FOCAL_PX * points_cam_m[:, :2] / points_cam_m[:, 2:] + _CENTRE_PX


def _annotation(person: dict[str, Any], number: int, image: int, rng: np.random.Generator) -> dict[str, Any]:
    px = _pixels(person["joints_cam_m"])
    inside = ((px >= 0) & (px <= [WIDTH - 1, HEIGHT - 1])).all(axis=1)
    seen = np.where(rng.random(len(px)) < 0.25 * (number % 3), _HIDDEN, _VISIBLE) * inside
    low, high = px.min(axis=0), px.max(axis=0)
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "keypoints": np.column_stack([px, seen]).ravel().tolist(),
        "smpl": {
            "pose": person["pose"].ravel().tolist(),
            "shape": person["shape"].tolist(),
            "trans": person["trans"].tolist(),
        },
        "joints_cam_m": person["joints_cam_m"].tolist(),
        "visible_share": 1.0,
        "subject": f"person_{number}",
        "sequence": "stands",
        "frame": 0,
    }


def write_rendered(folder: Path, images: int = 4, people: int = 2, splits: tuple[str, ...] = ("train", "val")) -> Path:
    """So many images of each split; returns the folder."""
    rng, body = np.random.default_rng(0), BodyModel("capsules")
    for place in ("images", "edges"):
        (folder / place).mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(images * len(splits)):
        picture = np.full((HEIGHT, WIDTH, 3), rng.integers(256, size=3), dtype=np.uint8)
        edges = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        for person in _people(rng, people, body):
            hull = cv2.convexHull(np.rint(_pixels(person["vertices_cam_m"])).astype(np.int32))
            cv2.fillConvexPoly(picture, hull, rng.integers(256, size=3).tolist())
            cv2.polylines(edges, [hull], True, 255)
            annotations.append(_annotation(person, len(annotations), number, rng))
        cv2.imwrite(str(folder / "images" / f"{number:06d}.jpg"), picture)
        cv2.imwrite(str(folder / "edges" / f"{number:06d}.png"), edges)
        rows.append(
            {
                "id": number,
                "file_name": f"{number:06d}.jpg",
                "edge_file": f"{number:06d}.png",
                "width": WIDTH,
                "height": HEIGHT,
                "split": splits[number % len(splits)],
                "camera": {"focal": [FOCAL_PX] * 2, "princpt": list(_CENTRE_PX)},
            }
        )
    content = {
        "info": {"body": "capsules", "license": "public domain", "seed": 0},
        "images": rows,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(SMPL30)}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder
