"""Make docs/sefd.jpg: test pictures, and over them the bodies that an image model answers with.

    python samples/make_mesh_picture.py MODEL --images rendered [--split test] [--input gt]

MODEL: an .onnx or .safetensors file. --images: a set that `python -m training render` has made. --input: the 2D joints
that the model is told, "gt" = those that are not hidden, "detector" = with a detector's errors. Shown are pictures that
lie evenly spread among those in which somebody is occluded; the bodies are not looked at for the choice. Needs
`pip install '.[train,sefd]'`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from occpose_core.body_evaluation import DETECTORS, Seen, see
from occpose_core.body_truth import TrueBodyModel
from occpose_core.camera import px_from_rays, rays_from_cam, view_of
from occpose_core.crops import person_crops
from occpose_core.errors import OccposeError
from occpose_core.geometry import place_root
from occpose_core.imagesets import read_image_set
from occpose_core.imagesets.pictures import read_edges, read_picture
from occpose_core.models.edges import canny_edges
from occpose_core.runtime.image_engine import ImageEngine, load_image_model, network_images
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from training.rendering.picture import pixel_rays
from training.rendering.raycast import NOTHING, Mesh, Raycaster

PICTURES, ACROSS_PX = 4, 400  # how many, and how wide one is shown
COLOURS = np.array([[0.35, 0.62, 0.95], [0.98, 0.66, 0.25], [0.45, 0.82, 0.48]])  # of people
TRUTH_RGB = np.array([0.72, 0.72, 0.72])
OPAQUE = 0.85
TOLERANCES = (1.0, 0.7, 0.5, 0.35, 0.25)  # of places, normalised units
SIDE_M = 2.6  # that a view from the side is high
ROWS = (
    "picture, 2D joints",
    "answer",
    "from the right;\ntruth in grey",
    "what teachers see besides:\nedges of the true bodies",
    "what students see besides:\nCanny edges of the picture",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bodies:
    """The people of one picture. rays (P, 17, 2), given (P, 17) bool: what the detector says. roots_cam_m: (P, 3).

    answered_m, true_m: (P, V, 3) from the pelvis, in the camera's axes. faces: (F, 3).
    """

    rays: np.ndarray
    given: np.ndarray
    roots_cam_m: np.ndarray
    answered_m: np.ndarray
    true_m: np.ndarray
    faces: np.ndarray


def chosen(seen: Seen) -> list[np.ndarray]:
    """Rows of the people of some pictures."""
    numbered = enumerate(person.image_path for person in seen.people)
    pictures = [np.array([row for row, _ in rows]) for _, rows in groupby(numbered, key=lambda each: each[1])]
    occluded = [rows for rows in pictures if seen.occluded[rows].any()]
    if not occluded:
        raise OccposeError("nobody in these pictures is occluded; render more")
    spread = np.linspace(0, len(occluded) - 1, min(PICTURES, len(occluded)) + 2)[1:-1]
    return [occluded[index] for index in spread.round().astype(int)]


def ask(engine: ImageEngine, seen: Seen, rows: np.ndarray, truth: TrueBodyModel) -> Bodies:
    """What the model answers about the people of one picture."""
    people, rays, given = [seen.people[row] for row in rows], seen.rays[rows], seen.score[rows] > 0
    camera, size, views = people[0].camera, engine.info.image_size, view_of(rays, given)
    images = network_images(person_crops(read_picture(people[0]), camera, views, size))
    edges = network_images(person_crops(read_edges(people[0]), camera, views, size)) if engine.takes_edges else None
    answer = engine.run(images, views.normalise(rays) * given[..., None], given.astype(np.float32), edges)
    roots = placed(views.to_cam(answer.joints_root_m), rays, given, views.scale)
    return Bodies(
        rays=rays,
        given=given,
        roots_cam_m=roots,
        answered_m=views.to_cam(answer.vertices_root_m),
        true_m=truth.of(people).vertices_m.astype(np.float64),
        faces=engine.faces,
    )


def placed(joints_root_m: np.ndarray, rays: np.ndarray, given: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Where the pelvises (P, 3) m are, in the camera's axes; a joint that does not fit the others counts less and less.

    joints_root_m: (P, 17, 3). rays: (P, 17, 2). given: (P, 17) bool. scale: (P,), of the views.
    """
    weight = given.astype(np.float64)
    for tolerance in TOLERANCES:
        roots, _ = place_root(joints_root_m, rays, weight)
        seen_at = rays_from_cam(joints_root_m + roots[:, None])
        off = np.linalg.norm(seen_at - rays, axis=-1) / scale[:, None]
        weight = given / (1.0 + (off / tolerance) ** 2)  # Cauchy's
    return np.asarray(place_root(joints_root_m, rays, weight)[0])


def shaded(
    meshes_m: list[np.ndarray], faces: np.ndarray, colours: np.ndarray, origins_m: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (H, W, 3) in [0, 1] of what rays (H, W, 3) meet of meshes, and whether they meet anything."""
    rays = directions.reshape(-1, 3)
    hits = Raycaster([Mesh(vertices_m=mesh, faces=faces) for mesh in meshes_m]).cast(origins_m, rays)
    normals = np.zeros_like(rays, dtype=np.float64)
    for index, mesh in enumerate(meshes_m):
        here = np.flatnonzero(hits.mesh == index)
        corners = Mesh(vertices_m=mesh, faces=faces).vertex_normals()[faces[hits.triangle[here]]]
        normals[here] = (corners * hits.weights[here, :, None]).sum(axis=1)
    facing = np.abs((normals * rays).sum(-1)) / np.linalg.norm(rays, axis=-1)
    met = hits.mesh != NOTHING
    rgb = colours[np.where(met, hits.mesh, 0)] * (0.35 + 0.65 * facing)[:, None]
    return rgb.reshape(directions.shape), met.reshape(directions.shape[:2])


def enlarged(picture: np.ndarray) -> np.ndarray:
    """As wide as it is shown, in [0, 1]."""
    height = round(ACROSS_PX * picture.shape[0] / picture.shape[1])
    return np.asarray(cv2.resize(picture, (ACROSS_PX, height), interpolation=cv2.INTER_CUBIC)) / 255.0


def with_joints(picture: np.ndarray, bodies: Bodies, camera: Camera) -> np.ndarray:
    """The picture with the detected joints, and the bones between them."""
    drawn, scale = (255 * np.clip(enlarged(picture), 0, 1)).astype(np.uint8), ACROSS_PX / camera.width
    for person, (rays, given) in enumerate(zip(bodies.rays, bodies.given, strict=True)):
        px = ((px_from_rays(rays, camera) + 0.5) * scale - 0.5).round().astype(int).tolist()
        colour = (255 * COLOURS[person % len(COLOURS)]).tolist()
        for start, end in H36M17.bones:
            if given[start] and given[end]:
                cv2.line(drawn, px[start], px[end], colour, 1, cv2.LINE_AA)
        for joint in np.flatnonzero(given):
            cv2.circle(drawn, px[joint], 3, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(drawn, px[joint], 2, colour, -1, cv2.LINE_AA)
    return drawn / 255.0


def over_picture(picture: np.ndarray, bodies: Bodies, camera: Camera) -> np.ndarray:
    """The answered surfaces over the picture."""
    drawn = enlarged(picture)
    x, y = (
        (np.arange(shown) + 0.5) * full / shown - 0.5
        for shown, full in zip(drawn.shape[1::-1], (camera.width, camera.height), strict=True)
    )
    directions = pixel_rays(camera, np.stack(np.meshgrid(x, y), axis=-1))
    meshes = list(bodies.answered_m + bodies.roots_cam_m[:, None])
    rgb, met = shaded(meshes, bodies.faces, COLOURS[np.arange(len(meshes)) % len(COLOURS)], np.zeros(3), directions)
    return np.where(met[..., None], OPAQUE * rgb + (1 - OPAQUE) * drawn, drawn)


def from_the_right(bodies: Bodies, height_px: int) -> np.ndarray:
    """Answers and true bodies, pelvis on pelvis, each person in a place of their own; to the right is away."""
    count = len(bodies.answered_m)
    px_per_m = height_px / SIDE_M
    across, down = np.meshgrid(np.arange(ACROSS_PX) + 0.5, np.arange(height_px) + 0.5)
    step_m = ACROSS_PX / px_per_m / count
    places = np.stack([np.zeros(count), np.full(count, SIDE_M / 2), (np.arange(count) + 0.5) * step_m], axis=-1)
    origins = np.stack([np.full_like(across, 9.0), down / px_per_m, across / px_per_m], axis=-1)
    directions = np.broadcast_to([-1.0, 0.0, 0.0], origins.shape)
    drawn = np.ones(origins.shape)
    truth = np.tile(TRUTH_RGB, (count, 1))
    for meshes_m, colours, opaque in (
        (bodies.true_m, truth, 1.0),
        (bodies.answered_m, COLOURS[np.arange(count) % len(COLOURS)], 0.6),
    ):
        meshes = list(meshes_m + places[:, None])
        rgb, met = shaded(meshes, bodies.faces, colours, origins.reshape(-1, 3), directions)
        drawn[met] = opaque * rgb[met] + (1 - opaque) * drawn[met]
    return drawn


def run_time_edges(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) in [0, 1]."""
    with torch.inference_mode():
        edges = canny_edges(torch.from_numpy(network_images(picture[None])))[0, 0].numpy()
    return np.repeat(np.clip(edges, 0, 1)[..., None], 3, axis=-1)


def column(engine: ImageEngine, seen: Seen, rows: np.ndarray, truth: TrueBodyModel) -> list[np.ndarray]:
    """What is shown of one picture, as ROWS."""
    person = seen.people[rows[0]]
    picture, bodies = read_picture(person), ask(engine, seen, rows, truth)
    answered = over_picture(picture, bodies, person.camera)
    return [
        with_joints(picture, bodies, person.camera),
        answered,
        from_the_right(bodies, len(answered)),
        np.repeat(read_edges(person), 3, axis=-1) / 255.0,
        run_time_edges(picture),
    ]


def joined(columns: list[list[np.ndarray]]) -> np.ndarray:
    """All columns with the names of the rows, RGB uint8."""
    left, gap, heights = 215, 6, [len(shown) * ACROSS_PX / shown.shape[1] for shown in columns[0]]
    width, height = left + len(columns) * (ACROSS_PX + gap), sum(heights) + gap * len(heights)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    top = 0.0
    for row, (name, tall) in enumerate(zip(ROWS, heights, strict=True)):
        figure.text((left - 12) / width, 1 - (top + tall / 2) / height, name, ha="right", va="center")
        for number, shown in enumerate(columns):
            at = (left + number * (ACROSS_PX + gap)) / width, 1 - (top + tall) / height
            axes = figure.add_axes((*at, ACROSS_PX / width, tall / height))
            axes.imshow(np.clip(shown[row], 0, 1), aspect="auto")
            axes.axis("off")
        top += tall + gap
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--split", default="test", help="(default: test)")
    parser.add_argument("--input", choices=list(DETECTORS), default="gt", help="2D joints (default: gt)")
    parser.add_argument("--seed", type=int, default=0, help="of the detector's errors (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="(default: docs)")
    args = parser.parse_args()
    try:
        images = read_image_set("rendered", args.images, args.split)
        engine, truth = load_image_model(args.model), TrueBodyModel(images)
        seen = see(images, args.seed, H36M17.name, args.input)
        picture = joined([column(engine, seen, rows, truth) for rows in chosen(seen)])
    except OccposeError as error:
        print(error, file=sys.stderr)
        return 2
    path = args.out / "sefd.jpg"
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
