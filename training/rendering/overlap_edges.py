"""The contours of everybody in a picture, also where others or furniture hide them: what a teacher may see.

Each person's mesh is drawn alone on white, its edges are found (the magnitude of the gradient after non-maximum
suppression, the first half of Canny's), widened by the size of the person, added up and clipped to 1 (SEFD, ICCV 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from occpose_core.errors import OccposeError

# Side of the square that edges are dilated with, by the largest area of the person's box (SEFD's project page).
_DILATION = ((16**2, 1), (64**2, 3), (128**2, 5), (256**2, 7))
_LARGEST_DILATION = 9
_ROOM_PX = 16


class EdgesError(OccposeError):
    """Kornia is not installed."""


def need_canny() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Kornia's Canny: (N, 1, H, W) -> magnitude and edges. Raises EdgesError with how to install it."""
    try:
        from kornia.filters import canny
    except ImportError as error:
        raise EdgesError("edges need the package kornia: pip install 'occpose[sefd]'") from error
    return canny


def canny_magnitude(grey: np.ndarray) -> np.ndarray:
    """Magnitude of edges after non-maximum suppression: (H, W) in [0, 1] -> (H, W) float32. Raises EdgesError."""
    canny = need_canny()
    with torch.inference_mode():
        magnitude, _ = canny(torch.from_numpy(grey.astype(np.float32))[None, None], hysteresis=False)
    return np.asarray(magnitude[0, 0].numpy())


def dilation_px(box_area_px: float) -> int:
    """Side of the square that the edges of a person with a box of this area are widened with."""
    return next((side for area, side in _DILATION if box_area_px <= area), _LARGEST_DILATION)


def overlap_edges(alone: np.ndarray, box_areas_px: Sequence[float]) -> np.ndarray:
    """Contours of all people.

    alone: (P, H, W) grey pictures in [0, 1], each person alone on white. Returns (H, W) float32 in [0, 1].
    """
    total = np.zeros(alone.shape[1:], dtype=np.float32)
    for grey, area in zip(alone, box_areas_px, strict=True):
        rows, columns = (np.flatnonzero((grey < 1.0).any(axis=axis)) for axis in (1, 0))
        if len(rows):
            window, side = (_span(rows), _span(columns)), dilation_px(area)
            total[window] += cv2.dilate(canny_magnitude(grey[window]), np.ones((side, side), dtype=np.uint8))
    return np.asarray(np.clip(total, 0.0, 1.0))


def _span(drawn: np.ndarray) -> slice:
    """Of the rows or columns with more than white, with room for the widest edges as far as the picture goes."""
    return slice(max(int(drawn[0]) - _ROOM_PX, 0), int(drawn[-1]) + 1 + _ROOM_PX)
