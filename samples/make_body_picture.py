"""Make docs/capsule_body.png: the capsule body in some poses, with its joints, and as its shape components stretch it.

. scripts/env.sh && python samples/make_body_picture.py [--out docs]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image as Picture
from scipy.spatial.transform import Rotation

from occpose_core.body.capsules import capsule_parts
from occpose_core.body.joints import SMPL24, SMPL30, SMPL_PARENTS
from occpose_core.body.layer import BodyModel
from occpose_core.body.shape_components import SHAPES
from occpose_core.errors import OccposeError
from training.rendering.clothes import Clothes
from training.rendering.raycast import Mesh, Raycaster
from training.rendering.textures import Texture

Angles = dict[str, tuple[float, float, float]]

WIDTH_PX, HEIGHT_PX = 1600, 400  # of a row
SAMPLES = 3  # a side, of a pixel
METRES = 2.12  # that a row is high
LOWEST_M = -0.06
PX_PER_M = HEIGHT_PX / METRES
# SMPL's axes -> the picture's: the people look out of it; x right, y into it, z up
PICTURE_FROM_REST = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
LIGHT = np.array([-0.45, -0.7, 0.55])
AMBIENT = 0.55
ARMS_DOWN: Angles = {
    "left_collar": (0, 0, -8),
    "right_collar": (0, 0, 8),
    "left_shoulder": (0, 0, -66),
    "right_shoulder": (0, 0, 66),
    "left_elbow": (0, -14, 0),
    "right_elbow": (0, 14, 0),
}
POSES: dict[str, Angles] = {
    "at rest": {"pelvis": (0, -45, 0)},
    "walk": ARMS_DOWN
    | {
        "pelvis": (0, -50, 0),
        "left_shoulder": (28, 0, -66),
        "right_shoulder": (-28, 0, 66),
        "right_elbow": (0, 40, 0),
        "left_hip": (-30, 0, 0),
        "right_hip": (20, 0, 0),
        "left_knee": (12, 0, 0),
        "right_knee": (42, 0, 0),
        "left_ankle": (10, 0, 0),
    },
    "sit": ARMS_DOWN
    | {
        "pelvis": (0, 40, 0),
        "left_elbow": (0, -75, 0),
        "right_elbow": (0, 75, 0),
        "left_hip": (-88, 0, 8),
        "right_hip": (-88, 0, -8),
        "left_knee": (90, 0, 0),
        "right_knee": (84, 0, 0),
    },
    "wave": ARMS_DOWN
    | {
        "pelvis": (0, 10, 0),
        "left_collar": (0, 0, 18),
        "left_shoulder": (0, 0, 40),
        "left_elbow": (0, -35, 40),
        "head": (0, 25, 8),
        "right_hip": (0, 0, -10),
    },
    "bow": ARMS_DOWN
    | {
        "pelvis": (0, 60, 0),
        "spine1": (32, 0, 0),
        "spine2": (26, 0, 0),
        "spine3": (14, 0, 0),
        "head": (-20, 0, 0),
        "left_shoulder": (0, -50, -60),
        "right_shoulder": (0, 50, 60),
    },
    "crouch": {
        "pelvis": (0, -45, 0),
        "spine1": (16, 0, 0),
        "spine2": (10, 0, 0),
        "left_shoulder": (0, -80, -15),
        "right_shoulder": (0, 80, 15),
        "left_hip": (-112, 0, 14),
        "right_hip": (-112, 0, -14),
        "left_knee": (132, 0, 0),
        "right_knee": (132, 0, 0),
        "left_ankle": (-22, 0, 0),
        "right_ankle": (-22, 0, 0),
    },
}
# shirt, trousers, shoes, skin, hair; how far sleeves reach from the pelvis, and how far down trousers do
CLOTHES = (
    ("#3d78b8", "#39405c", "#8a4b2f", "#e2b495", "#4a3020", 0.42, -0.85),
    ("#b5483c", "#4d4a45", "#2d2b2b", "#8a5a3c", "#1c1512", 0.70, -0.85),
    ("#5f8a58", "#c2ad87", "#4e3a2c", "#d49d78", "#6b4a2b", 0.42, -0.40),
    ("#d8a23c", "#43597a", "#e4e1da", "#5c3a26", "#14100e", 0.28, -0.85),
    ("#e6e2d8", "#5b4a6e", "#3a3a3e", "#efc9ae", "#b08a52", 0.70, -0.85),
    ("#6f6aa8", "#6d7f4c", "#7a2f2f", "#b07a55", "#8d8a86", 0.42, -0.85),
)
SHAPED = (("stature", -2.5), ("stature", 2.5), ("leg length", 2.5), ("girth", -2.5), ("girth", 2.5), ("belly", 2.5))


def clothes(number: int) -> Clothes:
    """A set of CLOTHES."""
    part, names = capsule_parts()
    *colours, sleeves_end_m, trousers_end_m = CLOTHES[number % len(CLOTHES)]
    shirt, trousers, shoes, skin, hair = (np.array(to_rgb(colour)) ** 1.25 for colour in colours)
    plain = {"pattern": "plain", "per_metre": 1.0, "axes": np.eye(3), "phases": np.zeros(6)}
    return Clothes(
        part=part,
        names=names,
        shirt=Texture(colours=np.stack([shirt, shirt]), **plain),
        trousers=Texture(colours=np.stack([trousers, trousers]), **plain),
        shoes=Texture(colours=np.stack([shoes, shoes]), **plain),
        skin=skin,
        hair=hair,
        sleeves_end_m=sleeves_end_m,
        trousers_end_m=trousers_end_m,
        shirt_end_m=-0.06,
    )


def rotations_of(pose: Angles) -> np.ndarray:
    """(24, 3, 3), the root's to the picture's axes."""
    rotations = np.tile(np.eye(3), (len(SMPL24), 1, 1))
    for joint, angles in pose.items():
        rotations[SMPL24.index(joint)] = Rotation.from_euler("XYZ", angles, degrees=True).as_matrix()
    rotations[0] = PICTURE_FROM_REST @ rotations[0]
    return rotations


def in_a_row(body: BodyModel, poses: list[Angles], shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, V, 3) and joints (N, 30, 3) m of people who stand side by side on the floor."""
    rotations = np.stack([rotations_of(pose) for pose in poses])
    with torch.inference_mode():
        posed = body(torch.from_numpy(rotations).float(), torch.from_numpy(shapes).float())
    vertices_m, joints_m = posed.vertices_m.double().numpy(), posed.joints30_m.double().numpy()
    step_m = WIDTH_PX / PX_PER_M / len(poses)
    at_m = np.zeros((len(poses), 1, 3))
    at_m[:, 0, 0] = (np.arange(len(poses)) + 0.5) * step_m - vertices_m[..., 0].mean(axis=1)
    at_m[:, 0, 2] = -vertices_m[..., 2].min(axis=1)
    return vertices_m + at_m, joints_m + at_m


def drawn(vertices_m: np.ndarray, rest_m: np.ndarray, faces: np.ndarray, wardrobe: list[Clothes]) -> np.ndarray:
    """(H, W, 3) in [0, 1]: the people of a row before white, seen from afar."""
    width, height = SAMPLES * WIDTH_PX, SAMPLES * HEIGHT_PX
    across, down = np.meshgrid((np.arange(width) + 0.5) / SAMPLES, (np.arange(height) + 0.5) / SAMPLES)
    origins_m = np.stack([across / PX_PER_M, np.full_like(across, -5.0), METRES + LOWEST_M - down / PX_PER_M], axis=-1)
    meshes = [Mesh(vertices_m=each, faces=faces) for each in vertices_m]
    hits = Raycaster(meshes).cast(origins_m.reshape(-1, 3), np.broadcast_to([0.0, 1.0, 0.0], (height * width, 3)))
    colours = np.ones((height * width, 3))
    for index, (mesh, worn) in enumerate(zip(meshes, wardrobe, strict=True)):
        here = np.flatnonzero(hits.mesh == index)
        corners, weights = faces[hits.triangle[here]], hits.weights[here, :, None]
        vertex = np.take_along_axis(corners, hits.weights[here].argmax(axis=-1)[:, None], axis=1)[:, 0]
        normals = (mesh.vertex_normals()[corners] * weights).sum(axis=1)
        lit = AMBIENT + (1.0 - AMBIENT) * np.clip(normals @ LIGHT / np.linalg.norm(LIGHT), 0.0, None)
        colours[here] = worn.at((rest_m[corners] * weights).sum(axis=1), vertex) * lit[:, None]
    linear = colours.reshape(HEIGHT_PX, SAMPLES, WIDTH_PX, SAMPLES, 3).mean(axis=(1, 3))
    return np.asarray(np.clip(linear, 0.0, 1.0) ** 0.8)


def draw_joints(axes: Axes, joints_m: np.ndarray) -> None:
    """SMPL's tree and the six points of the head over one person."""
    x, y = joints_m[:, 0] * PX_PER_M, (METRES + LOWEST_M - joints_m[:, 2]) * PX_PER_M
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            axes.plot(x[[joint, parent]], y[[joint, parent]], color="white", linewidth=1.0)
    own = np.arange(len(SMPL30)) < len(SMPL24)
    axes.scatter(x[own], y[own], s=12, color="#ff9d1e", edgecolor="black", linewidth=0.4, zorder=3)
    axes.scatter(x[~own], y[~own], s=9, color="#35c3ff", edgecolor="black", linewidth=0.4, zorder=3)


def picture(body: BodyModel) -> np.ndarray:
    """Both rows, RGB uint8."""
    shapes = np.zeros((len(SHAPED), len(SHAPES)))
    for row, (component, units) in enumerate(SHAPED):
        shapes[row, list(SHAPES).index(component)] = units
    told = [f"{component} {units:+.1f}" for component, units in SHAPED]
    rest_m = body.vertices_m.numpy() - (body.joint_regressor[0] @ body.vertices_m).numpy()
    figure = Figure(figsize=(WIDTH_PX / 100, 2 * (HEIGHT_PX + 24) / 100), dpi=100)
    rows = (
        (list(POSES), list(POSES.values()), np.zeros((len(POSES), len(SHAPES))), range(len(POSES))),
        (told, [ARMS_DOWN | {"pelvis": (0, -55, 0)}] * len(SHAPED), shapes, [0] * len(SHAPED)),
    )
    for row, (names, poses, shape, worn) in enumerate(rows):
        vertices_m, joints_m = in_a_row(body, poses, shape)
        axes = figure.add_axes((0, 0.5 * (1 - row), 1, HEIGHT_PX / 2 / (HEIGHT_PX + 24)))
        axes.imshow(drawn(vertices_m, rest_m, body.faces, [clothes(number) for number in worn]))
        axes.axis("off")
        if row == 0:
            draw_joints(axes, joints_m[0])
        for index, name in enumerate(names):
            axes.text((index + 0.5) * WIDTH_PX / len(names), -12, name, ha="center", va="center", fontsize=13)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="(default: docs)")
    args = parser.parse_args()
    try:
        drawing = picture(BodyModel())
    except OccposeError as error:
        print(error, file=sys.stderr)
        return 2
    path = args.out / "capsule_body.png"
    Picture.fromarray(drawing).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
