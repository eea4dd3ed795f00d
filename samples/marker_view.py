"""Draw markers as RViz would, without RViz: the picture that rviz/occpose.rviz gives of a MarkerArray.

Perspective of RViz's orbit view, the grid and axes of the layout, and the kinds of marker that occpose publishes
(SPHERE_LIST, LINE_LIST, TEXT_VIEW_FACING) or its sample bag holds (CUBE), by RViz's rules: a list's colours hold if
there is one for each point, a line is so many metres wide, letters are as high as scale.z. Far things first; no
shadows, as in RViz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

_FIELD_OF_VIEW_RAD = np.radians(45.0)  # vertical, of RViz
_SMOOTHING = 2
_LINE_PIECES = 6  # a line changes colour along its length
_LETTER_PX = 21.0  # height of OpenCV's letters at scale 1
_FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
_LAMP = np.array([0.4, 0.3, 0.85]) / np.linalg.norm([0.4, 0.3, 0.85])
_AXES_RGB = np.eye(3) * 0.8

_Stroke = tuple[float, Callable[[np.ndarray], None]]


@dataclass(kw_only=True)
class OrbitView:
    """Where RViz looks from: angles in radians, lengths in metres, in the fixed frame."""

    distance_m: float
    focal_point_m: tuple[float, float, float]
    pitch: float
    yaw: float

    @classmethod
    def of_layout(cls, path: Path) -> OrbitView:
        """The current view of an .rviz file."""
        view = yaml.safe_load(path.read_text())["Visualization Manager"]["Views"]["Current"]
        focus = view["Focal Point"]
        return cls(
            distance_m=view["Distance"],
            focal_point_m=(focus["X"], focus["Y"], focus["Z"]),
            pitch=view["Pitch"],
            yaw=view["Yaw"],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedFrame:
    """RViz's fixed frame as seen from the camera's optical frame (x right, y down, z forward).

    rotation: (3, 3), translation_m: (3,): they map points of the optical frame into the fixed one. floor_z_m: where the
    grid lies in it; None: where the layout says.
    """

    rotation: np.ndarray
    translation_m: np.ndarray
    floor_z_m: float | None = None

    def of_cam(self, points_cam_m: np.ndarray) -> np.ndarray:
        """(..., 3) optical frame -> fixed frame."""
        return np.asarray(points_cam_m @ self.rotation.T + self.translation_m)


# what the launch file publishes as occpose_view: x forward, y left, z up
OCCPOSE_VIEW = FixedFrame(
    rotation=np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), translation_m=np.zeros(3)
)


class _Canvas:
    """Things to draw, each with its depth, and the way from the camera's frame by the fixed one to pixels."""

    def __init__(self, view: OrbitView, size: tuple[int, int], frame: FixedFrame) -> None:
        self.frame = frame
        self.size = (size[0] * _SMOOTHING, size[1] * _SMOOTHING)
        self.focal_px = self.size[1] / 2 / np.tan(_FIELD_OF_VIEW_RAD / 2)
        back = np.array(
            [np.cos(view.yaw) * np.cos(view.pitch), np.sin(view.yaw) * np.cos(view.pitch), np.sin(view.pitch)]
        )
        self.eye_m = np.array(view.focal_point_m) + view.distance_m * back
        right = np.cross(-back, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        self._rotation = np.stack([right, np.cross(-back, right), -back])
        self.strokes: list[_Stroke] = []

    def seen(self, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) and depths (N,) of points in the fixed frame; behind the eye the depth is not positive."""
        seen = (points_m - self.eye_m) @ self._rotation.T
        depth = np.where(seen[:, 2] > 0.05, seen[:, 2], np.nan)
        return seen[:, :2] / depth[:, None] * self.focal_px + np.array(self.size) / 2, np.nan_to_num(depth, nan=-1.0)

    def polygon(self, corners_px: np.ndarray, depth: float, rgb: np.ndarray, alpha: float) -> None:
        """Add a convex polygon."""
        if np.isfinite(corners_px).all():
            self.strokes.append((depth, lambda image: _blend(image, corners_px, rgb, alpha)))

    def line(self, ends_m: np.ndarray, width_m: float, rgba: np.ndarray) -> None:
        """Add a line that faces the eye; ends (2, 3), colours (2, 4)."""
        at = np.linspace(0.0, 1.0, _LINE_PIECES + 1)[:, None]
        px, depth = self.seen(ends_m[0] + at * (ends_m[1] - ends_m[0]))
        colours = rgba[0] + (at[1:] + at[:-1]) / 2 * (rgba[1] - rgba[0])
        along = px[-1] - px[0]
        across = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-9)
        half = np.maximum(width_m * self.focal_px / np.where(depth > 0, depth, np.nan) / 2, 0.5)[:, None] * across
        for i in range(_LINE_PIECES):
            corners = np.stack([px[i] - half[i], px[i] + half[i], px[i + 1] + half[i + 1], px[i + 1] - half[i + 1]])
            self.polygon(corners, float(depth[i : i + 2].mean()), colours[i, :3], float(colours[i, 3]))

    def image(self, background: int) -> np.ndarray:
        """Everything, far things first; blue first."""
        image = np.full((self.size[1], self.size[0], 3), background, np.uint8)
        for _, draw in sorted(self.strokes, key=lambda stroke: -stroke[0]):
            draw(image)
        half = (self.size[0] // _SMOOTHING, self.size[1] // _SMOOTHING)
        return np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA))


def _bgr(rgb: np.ndarray) -> tuple[float, ...]:
    return tuple((np.clip(rgb[::-1], 0.0, 1.0) * 255).tolist())


def _blend(image: np.ndarray, corners_px: np.ndarray, rgb: np.ndarray, alpha: float) -> None:
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners_px.min(axis=0)).astype(int) - 1, 0, (width, height))
    high = np.clip(np.ceil(corners_px.max(axis=0)).astype(int) + 2, 0, (width, height))
    patch = image[low[1] : high[1], low[0] : high[0]]
    if patch.size:
        layer = patch.copy()
        cv2.fillConvexPoly(layer, np.rint((corners_px - low) * 16).astype(np.int32), _bgr(rgb), cv2.LINE_8, 4)
        cv2.addWeighted(layer, alpha, patch, 1 - alpha, 0.0, dst=patch)


def _sphere(canvas: _Canvas, centre_m: np.ndarray, diameter_m: float, rgba: np.ndarray) -> None:
    px, depth = canvas.seen(centre_m[None])
    radius = diameter_m / 2 * canvas.focal_px / depth[0]

    def draw(image: np.ndarray) -> None:
        (x0, y0), (x1, y1) = np.floor(px[0] - radius).astype(int), np.ceil(px[0] + radius).astype(int) + 1
        x0, y0 = max(x0, 0), max(y0, 0)
        patch = image[y0:y1, x0:x1]
        if not patch.size:
            return
        y, x = np.mgrid[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]]
        u, v = (x - px[0, 0]) / radius, (y - px[0, 1]) / radius
        inside = u**2 + v**2 <= 1
        towards = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
        light = 0.5 + 0.5 * np.clip(0.35 * u * -1 - 0.55 * v + 0.76 * towards, 0, 1)
        colour = np.array(_bgr(rgba[:3])) * light[..., None]
        cover = (inside * rgba[3])[..., None]
        patch[:] = np.rint(patch * (1 - cover) + colour * cover).astype(np.uint8)

    if depth[0] > 0:
        canvas.strokes.append((float(depth[0]) - diameter_m / 2, draw))


def _text(canvas: _Canvas, at_m: np.ndarray, height_m: float, rgba: np.ndarray, text: str) -> None:
    px, depth = canvas.seen(at_m[None])
    scale = height_m * canvas.focal_px / depth[0] / _LETTER_PX

    def draw(image: np.ndarray) -> None:
        thick = max(1, round(2.2 * scale))
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        corner = (round(px[0, 0] - width / 2), round(px[0, 1] + height / 2))
        cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, _bgr(rgba[:3]), thick, cv2.LINE_AA)

    if depth[0] > 0:
        canvas.strokes.append((float(depth[0]) - 1.0, draw))


def _cube(canvas: _Canvas, corners_m: np.ndarray, rgba: np.ndarray) -> None:
    centre = corners_m.mean(axis=0)
    px, depth = canvas.seen(corners_m)
    for face in map(list, _FACES):
        middle = corners_m[face].mean(axis=0)
        normal = (middle - centre) / np.linalg.norm(middle - centre)
        if normal @ (canvas.eye_m - middle) > 0:
            light = 0.6 + 0.4 * max(float(normal @ _LAMP), 0.0)
            canvas.polygon(px[face], float(depth[face].mean()), rgba[:3] * light, float(rgba[3]))


def _rgba(colour: Any) -> np.ndarray:
    return np.array([colour.r, colour.g, colour.b, colour.a])


def _xyz(point: Any) -> np.ndarray:
    return np.array([point.x, point.y, point.z])


def _rotated(points: np.ndarray, pose: Any) -> np.ndarray:
    """Points (N, 3) of a marker in its header's frame."""
    q, p = pose.orientation, np.array([pose.orientation.x, pose.orientation.y, pose.orientation.z])
    twice = 2 * np.cross(p, points)
    return np.asarray(points + q.w * twice + np.cross(p, twice) + _xyz(pose.position))


def _add_marker(canvas: _Canvas, marker: Any) -> None:
    """Put one marker of the camera's optical frame on the canvas, if its kind is drawn here."""
    points = np.array([_xyz(point) for point in marker.points]).reshape(-1, 3)
    points_m = canvas.frame.of_cam(_rotated(points, marker.pose))
    each = len(marker.colors) == len(marker.points)
    colours = np.array([_rgba(marker.colors[i] if each else marker.color) for i in range(len(points))]).reshape(-1, 4)
    if marker.type == marker.SPHERE_LIST:
        for point, colour in zip(points_m, colours, strict=True):
            _sphere(canvas, point, marker.scale.x, colour)
    elif marker.type == marker.LINE_LIST:
        for i in range(0, len(points_m), 2):
            canvas.line(points_m[i : i + 2], marker.scale.x, colours[i : i + 2])
    elif marker.type == marker.TEXT_VIEW_FACING:
        at_m = canvas.frame.of_cam(_xyz(marker.pose.position))
        _text(canvas, at_m, marker.scale.z, _rgba(marker.color), marker.text)
    elif marker.type == marker.CUBE:
        unit = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
        corners_m = canvas.frame.of_cam(_rotated(unit * _xyz(marker.scale), marker.pose))
        _cube(canvas, corners_m, _rgba(marker.color))


def _add_surroundings(canvas: _Canvas, layout: dict[str, Any]) -> None:
    """Grid and axes of the layout."""
    for display in layout["Displays"]:
        if display["Class"] == "rviz_default_plugins/Grid":
            count, cell = display["Plane Cell Count"], display["Cell Size"]
            offset = np.array([display["Offset"][axis] for axis in "XYZ"], dtype=np.float64)
            offset[2] = offset[2] if canvas.frame.floor_z_m is None else canvas.frame.floor_z_m
            rgb = np.array([int(part) for part in display["Color"].split(";")]) / 255
            rgba = np.tile([*rgb, display["Alpha"]], (2, 1))
            half = count * cell / 2
            for at in np.linspace(-half, half, count + 1):
                for ends in ([[at, -half, 0], [at, half, 0]], [[-half, at, 0], [half, at, 0]]):
                    canvas.line(np.array(ends) + offset, 0.012, rgba)
        elif display["Class"] == "rviz_default_plugins/Axes":
            for axis, rgb in zip(np.eye(3), _AXES_RGB, strict=True):
                ends = np.stack([np.zeros(3), axis * display["Length"]])
                canvas.line(ends, 2 * display["Radius"], np.tile([*rgb, 1.0], (2, 1)))


def pixels_of(points_cam_m: np.ndarray, size: tuple[int, int], view: OrbitView, frame: FixedFrame) -> np.ndarray:
    """Where points (N, 3) of the camera's optical frame are in such a picture, (N, 2)."""
    return _Canvas(view, size, frame).seen(frame.of_cam(points_cam_m))[0] / _SMOOTHING


def marker_view(
    markers: Iterable[Any],
    layout_file: Path,
    size: tuple[int, int],
    view: OrbitView | None = None,
    frame: FixedFrame = OCCPOSE_VIEW,
) -> np.ndarray:
    """(H, W, 3) uint8, blue first: markers in the camera's optical frame as RViz would show them.

    size: width, height. view: another than that of the layout.
    """
    layout = yaml.safe_load(layout_file.read_text())["Visualization Manager"]
    canvas = _Canvas(view or OrbitView.of_layout(layout_file), size, frame)
    _add_surroundings(canvas, layout)
    for marker in markers:
        if marker.action == marker.ADD:
            _add_marker(canvas, marker)
    background = int(layout["Global Options"]["Background Color"].split(";")[0])
    return canvas.image(background)
