"""What becomes of people when the intrinsics of their camera change in mid-run.

A lens that zooms leaves people on their rays. A calibration that is corrected, or that takes the place of an assumed
one, leaves them on their pixels: then they have been elsewhere all the time. Which it is, the people show who are seen.
"""

from __future__ import annotations

import numpy as np

from occpose_core.admission import Seen
from occpose_core.camera import px_from_rays, rays_from_px
from occpose_core.person import People
from occpose_core.types import Camera

_BREATH = 0.01  # a lens that is focused changes its intrinsics by so much of the image's size; nothing is done for that


def refocused(before: Camera, now: Camera) -> bool:
    """Whether the intrinsics are others, by more than a lens that is focused changes them."""
    models = [(camera.distortion_model, camera.D.shape) for camera in (before, now)]
    return not (
        models[0] == models[1]
        and np.allclose(before.D, now.D, rtol=0.0, atol=_BREATH)
        and np.allclose(_relative(before), _relative(now), rtol=0.0, atol=_BREATH)
    )


def refocus(people: People, before: Camera, now: Camera, seen: Seen) -> None:
    """Bring people to other intrinsics; the next frames say anew where everybody is and how large.

    Until then, and while they are hidden, they stay on their rays or on their pixels, whichever is nearer to those who
    are `seen` through the new intrinsics.
    """
    rows = people.rows
    ray = people.ray
    moved = _on_pixels(ray, before, now)
    shown = seen.visible.any(axis=-1)
    if len(ray) and shown.any():
        counted = seen.visible[shown, :, None]
        centre = (seen.rays[shown] * counted).sum(axis=1) / counted.sum(axis=1)
        if _misfit(centre, moved) < _misfit(centre, ray):
            ray[:] = moved
            rows["rays"] = _on_pixels(rows["rays"], before, now)
            people.log_depth[:] += np.log(_relative(now)[0, 0] / _relative(before)[0, 0])
    rows["placed"] = False
    # what the ground told was seen through the old intrinsics
    rows["size"]["bone_weight"] = rows["size"]["log_likelihood"] = 0.0
    rows["size"]["ground_s"] = 0.0


def _on_pixels(rays: np.ndarray, before: Camera, now: Camera) -> np.ndarray:
    """Rays (..., 2) of the pixels that had these rays before; an image of another size is the same, resized."""
    grown = np.array([now.width / before.width, now.height / before.height])
    return rays_from_px((px_from_rays(rays, before) + 0.5) * grown - 0.5, now)


def _misfit(centre: np.ndarray, ray: np.ndarray) -> float:
    """Mean distance of each centre (P, 2) from the nearest ray (N, 2)."""
    return float(np.linalg.norm(centre[:, None] - ray, axis=-1).min(axis=1).mean())


def _relative(camera: Camera) -> np.ndarray:
    """(2, 3) K, as part of the image's size."""
    return np.asarray(camera.K[:2] / np.array([[camera.width], [camera.height]]))
