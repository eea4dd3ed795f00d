"""Small sets of images in the files of their authors; people stand before a camera of known intrinsics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.body.files import read_body
from occpose_core.body.joints import H36M17_IN_SMPL30, SMPL30
from occpose_core.imagesets.coco import Files
from occpose_core.imagesets.fits import fitted_joints_m
from occpose_core.imagesets.muco import MUCO21
from occpose_core.skeleton import SKELETONS

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


# --- sets of the literature: bodies are the capsule figure, which stands for SMPL ------------------------------------

FACING = np.diag([1.0, -1.0, -1.0])  # camera from the body at rest: y down, the front towards the camera
# The camera of Human3.6M's and 3DPW's small sets, from a world with z up.
CAM_FROM_WORLD = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
T_M = np.array([0.1, 0.2, 4.0])


def bodies(count: int, rng: np.random.Generator, root: np.ndarray = FACING) -> tuple[np.ndarray, np.ndarray]:
    """Poses (N, 24, 3) and shapes (N, 10) of people who stand about; root: (3, 3), how they are turned."""
    pose = rng.normal(0, 0.2, (count, 24, 3))
    pose[:, 0] = (Rotation.from_matrix(root) * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    return pose, rng.normal(0, 0.7, (count, 10))


def joints17_m(pose: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """(N, 17, 3) of the figure, about its own origin."""
    return fitted_joints_m(read_body(), pose, shape)


def write_h36m(folder: Path, frames: list[int], worse_mm: float = 0.0, told: bool = False, **changes: Any) -> Path:
    """Subject 1, action 2, subaction 1, cameras 1 and 4. worse_mm: how far one joint of the first fit is off."""
    rng = np.random.default_rng(3)
    rest_up = Rotation.from_euler("x", 90, degrees=True).as_matrix()  # the body's y is the world's z
    pose, shape = bodies(len(frames), rng, rest_up)
    fitted_mm = joints17_m(pose, shape) * 1000
    true_mm = fitted_mm.copy()
    true_mm[0, :, 0] += worse_mm * np.where(np.arange(17) % 2, 1, -1)
    images, annotations = [], []
    for camera in (1, 4):
        for frame in frames:
            number = len(images)
            name = f"s_01_act_02_subact_01_ca_0{camera}/{frame:06d}.jpg"
            touch(folder / "images" / name)
            place = {"subject": 1, "action_idx": 2, "subaction_idx": 1, "cam_idx": camera, "frame_idx": frame}
            images.append({"id": number, "file_name": name, "width": 1000, "height": 1002, **place})
            annotations.append({"id": number, "image_id": number, "bbox": [300.0, 100, 300, 800]})
    lens = {"f": [1145.0, 1143.0], "c": [512.0, 515.0], "R": CAM_FROM_WORLD.tolist(), "t": (T_M * 1000).tolist()}
    per_frame = {str(frame): true_mm[row].tolist() for row, frame in enumerate(frames)}
    fits: dict[str, Any] = {
        str(frame): {"pose": pose[row].ravel().tolist(), "shape": shape[row].tolist(), "trans": [[0.0, 0, 0]]}
        for row, frame in enumerate(frames)
    }
    if told:
        for row, frame in enumerate(frames):
            fits[str(frame)]["fitted_3d_pose"] = fitted_mm[row].tolist()
    files = {
        "data": {"images": images, "annotations": annotations},
        "camera": {"1": lens, "4": lens},
        "joint_3d": {"2": {"1": per_frame}},
        "SMPL_NeuralAnnot": {"2": {"1": fits}},
        **changes,
    }
    for kind, content in files.items():
        if content is not None:
            write_json(folder / "annotations" / f"Human36M_subject1_{kind}.json", content)
    return folder


def write_muco(folder: Path, worse_mm: float = 0.0) -> Path:
    """Two images with two people each, of whom the second is nearer; the fit of the nearest of the first is worse."""
    rng = np.random.default_rng(4)
    pose, shape = bodies(4, rng)
    body17_m = joints17_m(pose, shape)
    images, annotations, fits = [], [], {}
    for number in range(4):
        image = number // 2
        joints_m = np.zeros((30, 3))
        joints_m[H36M17_IN_SMPL30] = body17_m[number] + [0, 0, 5.0 - number % 2]
        if number == 1:
            joints_m[:, 0] += worse_mm / 1000 * np.where(np.arange(30) % 2, 1, -1)
        cam_m = joints_m[[SMPL30.index(joint) for joint in MUCO21]] + [0, 0, 1e-6]
        cam_m[[MUCO21.index(f"{side}_{end}") for side in ("left", "right") for end in ("hand", "foot")], 2] = 4.0
        annotations.append(
            {
                "id": 10 + number,
                "image_id": image,
                "bbox": [80.0 + 10 * (number % 2), 40, 100, 160],
                "keypoints_cam": (cam_m * 1000).tolist(),
                "keypoints_img": projected(cam_m, 250.0).tolist(),
            }
        )
        fits[str(10 + number)] = {"pose": pose[number].ravel().tolist(), "shape": shape[number].tolist()}
        if number % 2 == 0:
            name = f"augmented_set/{image}.jpg"
            touch(folder / name)
            lens = {"f": [250.0, 250.0], "c": list(CENTRE)}
            images.append({"id": image, "file_name": name, "width": WIDTH, "height": HEIGHT, **lens})
    write_json(folder / "MuCo-3DHP.json", {"images": images, "annotations": annotations})
    write_json(folder / "smpl_param.json", fits)
    return folder


def write_coco(folder: Path, files: Files, split: str, off_px: float = 0.0, **changes: Any) -> Path:
    """One image with a fitted person, a person without a fit, a crowd and somebody of whom nothing is labelled."""
    rng = np.random.default_rng(5)
    names = files.joints if isinstance(files.joints, tuple) else SKELETONS[files.joints].joints
    pose, shape = bodies(1, rng)
    trans = np.array([0.0, 0.0, 4.0])
    body30_m = np.zeros((30, 3))
    body30_m[H36M17_IN_SMPL30] = joints17_m(pose, shape)[0]
    for point in ("nose", "left_eye", "right_eye", "left_ear", "right_ear"):
        body30_m[SMPL30.index(point)] = body30_m[SMPL30.index("head")]
    kpts_px = projected((body30_m + trans)[[SMPL30.index(name) for name in names]]) + off_px
    seen = np.full((len(names), 1), 2.0)
    seen[0] = 1
    keypoints = np.concatenate([kpts_px, seen], axis=1)
    keypoints[1] = 0
    fitted = {"id": 1, "image_id": 7, "bbox": [100.0, 40, 80, 170], "keypoints": keypoints.ravel().tolist()}
    unfitted = {**fitted, "id": 2, "bbox": [120.0, 40, 80, 170]}
    crowd = {**fitted, "id": 3, "iscrowd": 1}
    unlabelled = {**fitted, "id": 4, "keypoints": [0] * (3 * len(names))}
    size = (HEIGHT, WIDTH) if split in files.turned else (WIDTH, HEIGHT)
    image = {"id": 7, "file_name": "000007.jpg", "width": size[0], "height": size[1]}
    touch(folder / files.images[split] / image["file_name"])
    people = [fitted, unfitted, crowd, unlabelled]
    write_json(folder / "annotations" / files.annotations[split], {"images": [image], "annotations": people})
    parameters = {"pose": pose.ravel().tolist(), "shape": shape[0].tolist(), "trans": trans.tolist()}
    lens = {"focal": [FOCAL, FOCAL], "princpt": list(CENTRE)}
    if split in files.fits:
        fit = {"1": {"smpl_param": parameters, "cam_param": lens, **changes}}
        write_json(folder / "annotations" / files.fits[split][0], fit)
    return folder
