"""What an image model answers of the people of one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from occpose_core.admission import Seen, count
from occpose_core.camera import view_of
from occpose_core.crops import person_crops
from occpose_core.person import People
from occpose_core.runtime.image_engine import ImageEngine, network_images
from occpose_core.scale import network_stature_m
from occpose_core.types import Camera

# The image of a step, (H, W, 3) uint8 RGB; or what gives it if it is needed, or None if it cannot be had.
StepImage: TypeAlias = np.ndarray | Callable[[], np.ndarray | None] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Bodies:
    """K people by their rows (K,): joints_root_m (K, 17, 3) and vertices_root_m (K, V, 3), axes of the camera.

    stature_gain: of the model that gave them.
    """

    rows: np.ndarray
    joints_root_m: np.ndarray
    vertices_root_m: np.ndarray
    stature_gain: float

    def stature_gains(self, of_others: float, people: int) -> np.ndarray:
        """(N, 1) for N people, of whom the others have their poses from a lifter."""
        gains = np.full((people, 1), of_others)
        gains[self.rows] = self.stature_gain
        return gains

    def meshes(self, people: People) -> dict[str, np.ndarray]:
        """Id -> vertices (V, 3) float32 m in the camera frame, of those whom this step has placed."""
        placed = (people.rows["started"] & (people.since_s == 0))[self.rows]
        rows = people.rows[self.rows[placed]]
        root = people.pose_cam_m(1.0)[0][self.rows[placed]]  # seen now, so that velocities do not matter
        scale = rows["height_m"] / network_stature_m(rows["size"])
        vertices = self.vertices_root_m[placed] * scale[:, None, None] + root[:, None]
        return dict(zip([people.ids[row] for row in self.rows[placed]], vertices.astype(np.float32), strict=True))


def bodies_of(
    engine: ImageEngine, image_rgb: StepImage, camera: Camera, seen: Seen, asked: np.ndarray, dropped: Counter[str]
) -> Bodies | None:
    """Answers of an image model for the people who are asked about, (P,) bool; None without image or people.

    seen: by the rows that Bodies has. People whose answer is not finite are left out and counted. Raises CropError.
    """
    if image_rgb is None or not np.count_nonzero(asked):
        return None
    image = image_rgb() if callable(image_rgb) else image_rgb
    if image is None:
        return None
    rows = asked.nonzero()[0]
    rays, visible = seen.rays[rows], seen.visible[rows]
    views = view_of(rays, visible)
    images = network_images(person_crops(image, camera, views, engine.info.image_size))
    kpts = views.normalise(rays) * visible[..., None]
    answer = engine.run(images, kpts, visible.astype(np.float32))
    joints, vertices = views.to_cam(answer.joints_root_m), views.to_cam(answer.vertices_root_m)
    finite = np.isfinite(joints).all(axis=(1, 2)) & np.isfinite(vertices).all(axis=(1, 2))
    count(dropped, "body_non_finite", ~finite)
    return Bodies(
        rows=rows[finite],
        joints_root_m=joints[finite],
        vertices_root_m=vertices[finite],
        stature_gain=engine.info.stature_gain,
    )
