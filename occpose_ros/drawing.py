"""People drawn on a camera image with OpenCV; no ROS.

Measured joints are solid blue dots and bones solid blue lines; filled joints are orange rings and bones dashed orange
lines that fade as their standard deviation grows. Form says what colour says, so that it can be read without colours.
Everything has a dark edge, to be seen on any background.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from occpose_core.skeleton import H36M17, Skeleton
from occpose_core.types import Origin
from occpose_ros.adapters import confidence_of_sigma
from occpose_ros.appearance import FILLED_RGB, MEASURED_RGB, label_of, label_rgb

_Bgr = tuple[int, int, int]
_EDGE: _Bgr = (40, 30, 20)
_FAINTEST, _STRONGEST = 0.4, 0.95  # opacity of what is filled
_SHIFT = 4  # fractional bits of pixel coordinates
_ONE = 1 << _SHIFT
_LABEL_LETTERS = 24
# In units of the drawing, which is one pixel for a person of 240 px:
_BONE_WIDTH, _EDGE_WIDTH, _DASH = 2.0, 1.0, 9.0
_RADIUS, _RING_RADIUS, _RING_WIDTH = 3.5, 4.0, 1.8
_DASH_SHARE = 0.45  # of a period; round ends add to it
_UNIT_OF_PERSON = 1 / 240
_SMALLEST_UNIT = 0.8
_LARGEST_UNIT_OF_IMAGE = 1 / 400  # a close person does not get thick bones
_LABEL_UNIT_OF_IMAGE = 1 / 600
_LETTER_SCALE = 0.6
_STILL_PX = 1e-9  # a segment that moves less along an axis does not leave the image there
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def _bgr(rgb: tuple[float, float, float]) -> _Bgr:
    red, green, blue = (round(255 * value) for value in rgb)
    return blue, green, red


_MEASURED, _FILLED = _bgr(MEASURED_RGB), _bgr(FILLED_RGB)


@dataclass(frozen=True, kw_only=True, eq=False)
class PersonOnImage:
    """A person to draw. xy_px: (J, 2) pixels of the image, anything; origin: (J,) of Origin; sigma_m: (J,)."""

    id: str
    state: int
    xy_px: np.ndarray
    origin: np.ndarray
    sigma_m: np.ndarray


def draw_people(image_bgr: np.ndarray, people: Sequence[PersonOnImage], skeleton: Skeleton = H36M17) -> None:
    """Draw people on an image (H, W, 3) uint8, in place; those who look smaller, so are farther away, first.

    Joints that are unknown or not finite are left out, and so is what lies outside the image.
    """
    bones = np.array(skeleton.bones, dtype=np.int64)
    for person in sorted(people, key=_size_px):
        _draw_person(image_bgr, person, bones)
    for person in people:
        _draw_label(image_bgr, person)


def _usable(person: PersonOnImage) -> np.ndarray:
    return np.asarray((person.origin != Origin.UNKNOWN) & np.isfinite(person.xy_px).all(axis=-1))


def _size_px(person: PersonOnImage) -> float:
    xy_px = person.xy_px[_usable(person)]
    return float(np.ptp(xy_px, axis=0).max()) if len(xy_px) else 0.0


def _draw_person(image_bgr: np.ndarray, person: PersonOnImage, bones: np.ndarray) -> None:
    height, width = image_bgr.shape[:2]
    usable = _usable(person)
    measured = usable & (person.origin == Origin.MEASURED)
    unit = np.clip(
        _size_px(person) * _UNIT_OF_PERSON, _SMALLEST_UNIT, max(1.0, _LARGEST_UNIT_OF_IMAGE * min(height, width))
    )
    opacity = np.clip(confidence_of_sigma(person.sigma_m), _FAINTEST, _STRONGEST)
    xy_px = np.where(usable[:, None], person.xy_px, 0.0).astype(np.float64)

    margin = _RADIUS * unit
    segments, inside = clip_segments(xy_px[bones], width, height, margin)
    inside &= usable[bones].all(axis=1)
    solid = inside & measured[bones].all(axis=1)
    for number in np.flatnonzero(inside & ~solid):
        _dashed(image_bgr, segments[number], unit, float(opacity[bones[number]].min()))
    _lines(image_bgr, segments[solid], segments[solid], unit, _MEASURED)
    shown = usable & ((xy_px >= -margin) & (xy_px < (width + margin, height + margin))).all(axis=-1)
    for joint in np.flatnonzero(shown & ~measured):
        _ring(image_bgr, xy_px[joint], unit, float(opacity[joint]))
    for joint in np.flatnonzero(shown & measured):
        _dot(image_bgr, xy_px[joint], unit)


def clip_segments(
    segments_px: np.ndarray, width: int, height: int, margin: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Cut line segments (N, 2, 2) to the image and a margin (Liang and Barsky, 1984).

    Returns the segments, and (N,) bool: which of them are inside at all. Numbers must be finite.
    """
    start, step = segments_px[:, 0], segments_px[:, 1] - segments_px[:, 0]
    low, high = np.full(2, -margin), np.array([width - 1 + margin, height - 1 + margin])
    still, between = np.abs(step) < _STILL_PX, (start >= low) & (start <= high)
    safe = np.where(still, 1.0, step)
    first, second = (low - start) / safe, (high - start) / safe
    enter = np.where(still, np.where(between, -np.inf, np.inf), np.minimum(first, second)).max(axis=1)
    leave = np.where(still, np.inf, np.maximum(first, second)).min(axis=1)
    begin, end = np.maximum(enter, 0.0), np.minimum(leave, 1.0)
    inside = begin <= end
    begin, end = np.where(inside, begin, 0.0), np.where(inside, end, 0.0)
    clipped = np.stack([start + begin[:, None] * step, start + end[:, None] * step], axis=1)
    return clipped, inside


def _fixed(points_px: np.ndarray) -> np.ndarray:
    """OpenCV's coordinates with fractional bits."""
    return np.rint(points_px * _ONE).astype(np.int32)


def _pixels(width: float) -> int:
    return max(1, round(width))


def _lines(image_bgr: np.ndarray, edges_px: np.ndarray, segments_px: np.ndarray, unit: float, colour: _Bgr) -> None:
    """Line segments (N, 2, 2), and below them dark edges of others."""
    wide = _pixels((_BONE_WIDTH + 2 * _EDGE_WIDTH) * unit)
    for lines, width, paint in ((edges_px, wide, _EDGE), (segments_px, _pixels(_BONE_WIDTH * unit), colour)):
        if len(lines):
            cv2.polylines(image_bgr, list(_fixed(lines)), False, paint, width, cv2.LINE_AA, _SHIFT)


def _circle(image_bgr: np.ndarray, centre_px: np.ndarray, radius: float, colour: _Bgr, width: int) -> None:
    x, y = _fixed(centre_px).tolist()
    cv2.circle(image_bgr, (x, y), round(radius * _ONE), colour, width, cv2.LINE_AA, _SHIFT)


def _dot(image_bgr: np.ndarray, centre_px: np.ndarray, unit: float) -> None:
    _circle(image_bgr, centre_px, (_RADIUS + _EDGE_WIDTH) * unit, _EDGE, cv2.FILLED)
    _circle(image_bgr, centre_px, _RADIUS * unit, _MEASURED, cv2.FILLED)


def _blended(
    image_bgr: np.ndarray, points_px: np.ndarray, margin: float, opacity: float, draw: Callable[..., None]
) -> None:
    """Draw translucently around points (N, 2): draw(patch of the image, points in the patch)."""
    height, width = image_bgr.shape[:2]
    (low_x, low_y), (high_x, high_y) = points_px.min(axis=0).tolist(), points_px.max(axis=0).tolist()
    x0, y0 = max(int(low_x - margin), 0), max(int(low_y - margin), 0)
    x1, y1 = min(int(high_x + margin) + 2, width), min(int(high_y + margin) + 2, height)
    if x0 < x1 and y0 < y1:
        patch = image_bgr[y0:y1, x0:x1]
        layer = patch.copy()
        draw(layer, points_px - (x0, y0))
        cv2.addWeighted(layer, opacity, patch, 1.0 - opacity, 0.0, dst=patch)


def _dashed(image_bgr: np.ndarray, segment_px: np.ndarray, unit: float, opacity: float) -> None:
    def draw(layer: np.ndarray, ends_px: np.ndarray) -> None:
        start, step = ends_px[0], ends_px[1] - ends_px[0]
        count = max(1, round(float(np.hypot(*step)) / (_DASH * unit)))
        at = (np.arange(count)[:, None] + ((1 - _DASH_SHARE) / 2, (1 + _DASH_SHARE) / 2)) / count
        _lines(layer, ends_px[None], start + at[..., None] * step, unit, _FILLED)

    _blended(image_bgr, segment_px, (_BONE_WIDTH + _EDGE_WIDTH) * unit, opacity, draw)


def _ring(image_bgr: np.ndarray, centre_px: np.ndarray, unit: float, opacity: float) -> None:
    line, edge = _RING_WIDTH * unit, _EDGE_WIDTH * unit

    def draw(layer: np.ndarray, centres_px: np.ndarray) -> None:
        _circle(layer, centres_px[0], _RING_RADIUS * unit, _EDGE, _pixels(line + 2 * edge))
        _circle(layer, centres_px[0], _RING_RADIUS * unit, _FILLED, _pixels(line))

    _blended(image_bgr, centre_px[None], _RING_RADIUS * unit + line + 2 * edge, opacity, draw)


def _draw_label(image_bgr: np.ndarray, person: PersonOnImage) -> None:
    """The id above the highest joint, moved into the image; none if the whole person is outside."""
    height, width = image_bgr.shape[:2]
    xy_px = person.xy_px[_usable(person)]
    xy_px = xy_px[((xy_px >= 0) & (xy_px < (width, height))).all(axis=-1)]
    if not len(xy_px):
        return
    unit = max(1.0, min(height, width) * _LABEL_UNIT_OF_IMAGE)
    letters = _letters(label_of(_plain(person.id), person.state), unit)
    x, y = xy_px[np.argmin(xy_px[:, 1])]
    left = int(max(min(x - letters.shape[1] / 2, width - letters.shape[1]), 0))
    top = int(max(y - 3 * _RADIUS * unit - letters.shape[0], 0))
    plate = image_bgr[top : top + letters.shape[0], left : left + letters.shape[1]]
    cover = letters[: plate.shape[0], : plate.shape[1], None]
    plate[:] = plate * (0.25 * (1 - cover)) + cover * np.array(_bgr(label_rgb(person.state)))


@lru_cache(maxsize=256)
def _letters(text: str, unit: float) -> np.ndarray:
    """Text with a margin, (h, w) in 0..1. It is measured where it was drawn: versions of OpenCV differ in metrics."""
    scale, thick, pad = _LETTER_SCALE * unit, _pixels(1.4 * unit), _pixels(4 * unit)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, thick)
    room = np.zeros((3 * (height + below + pad), width + 4 * (height + pad)), np.uint8)
    cv2.putText(room, text, (height, 2 * (height + below)), _FONT, scale, 255, thick, cv2.LINE_AA)
    x, y, width, height = cv2.boundingRect(room)
    return np.pad(room[y : y + height, x : x + width], pad).astype(np.float32) / 255


def _plain(text: str) -> str:
    """What OpenCV's font can write, of a sensible length."""
    text = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return text if len(text) <= _LABEL_LETTERS else f"{text[: _LABEL_LETTERS - 3]}..."
