"""What RViz 2 demands of markers, rule by rule, checked on messages of rclpy and of rosbags alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

ADD, DELETE, DELETEALL = 0, 2, 3
CUBE, SPHERE, CYLINDER, ARROW = 1, 2, 3, 0
LINE_STRIP, LINE_LIST, CUBE_LIST, SPHERE_LIST, POINTS, TEXT, TRIANGLE_LIST = 4, 5, 6, 7, 8, 9, 11
COLOURED_LISTS = (LINE_STRIP, LINE_LIST, CUBE_LIST, SPHERE_LIST, POINTS)
MAX_LIFETIME_S = 5.0


def _rgba(colour: Any) -> np.ndarray:
    return np.array([colour.r, colour.g, colour.b, colour.a])


def _xyz(point: Any) -> np.ndarray:
    return np.array([point.x, point.y, point.z])


def _quaternion(marker: Any) -> np.ndarray:
    q = marker.pose.orientation
    return np.array([q.x, q.y, q.z, q.w])


def _numbers(marker: Any) -> np.ndarray:
    parts = [_xyz(marker.pose.position), _quaternion(marker), _xyz(marker.scale), _rgba(marker.color)]
    parts += [_xyz(point) for point in marker.points] + [_rgba(colour) for colour in marker.colors]
    return np.concatenate(parts)


def _lifetime_s(marker: Any) -> float:
    return float(marker.lifetime.sec + marker.lifetime.nanosec * 1e-9)


def _valid_colours(marker: Any) -> bool:
    return all((rgba >= 0).all() and (rgba <= 1).all() and rgba[3] > 0
               for rgba in map(_rgba, [marker.color, *marker.colors]))  # fmt: skip


# name -> whether one marker of any action keeps the rule
ALWAYS: dict[str, Callable[[Any], bool]] = {
    "action is ADD, DELETE or DELETEALL": lambda m: m.action in (ADD, DELETE, DELETEALL),
    "id is an int32 of at least 0": lambda m: 0 <= m.id < 2**31,
    "pose, scale, colours and points are finite": lambda m: bool(np.isfinite(_numbers(m)).all()),
    "orientation is a unit quaternion": lambda m: abs(np.linalg.norm(_quaternion(m)) - 1.0) < 1e-6,
    "frame_id is set and has no leading slash": lambda m: m.header.frame_id.strip("/") == m.header.frame_id != "",
    "frame_locked is off": lambda m: not m.frame_locked,
    "namespace is set": lambda m: m.ns != "" or m.action == DELETEALL,
}

# name -> whether one ADDed marker keeps the rule
WHEN_ADDED: dict[str, Callable[[Any], bool]] = {
    "lifetime is finite": lambda m: 1e-4 < _lifetime_s(m) <= MAX_LIFETIME_S,
    "colours lie in 0..1 and alpha is above 0": _valid_colours,
    "a list has points": lambda m: m.type not in COLOURED_LISTS or len(m.points) > 0,
    "a LINE_LIST has an even number of points": lambda m: m.type != LINE_LIST or len(m.points) % 2 == 0,
    "lines are wider than 0": lambda m: m.type not in (LINE_LIST, LINE_STRIP) or m.scale.x > 0,
    "a list has no colours or one for each point": lambda m: len(m.colors) in (0, len(m.points)),
    "a body has a size": lambda m: (
        m.type not in (CUBE, SPHERE, CYLINDER, CUBE_LIST, SPHERE_LIST) or bool((_xyz(m.scale) > 0).all())
    ),
    "an arrow has 0 or 2 points and a width": lambda m: (
        m.type != ARROW or (len(m.points) != 1 and m.scale.x + m.scale.y != 0)
    ),
    "triangles have three points each, and there are some": lambda m: (
        m.type != TRIANGLE_LIST or (len(m.points) > 0 and len(m.points) % 3 == 0)
    ),
    "triangles have a scale, and one colour for all, or there is no light": lambda m: (
        m.type != TRIANGLE_LIST or (bool((_xyz(m.scale) != 0).all()) and not m.colors)
    ),
    "a text has characters and a height": lambda m: m.type != TEXT or (m.text.strip() != "" and m.scale.z > 0),
}


def _array_faults(array: Any, types: dict[tuple[str, int], int]) -> Iterator[str]:
    keys = Counter((m.ns, m.id) for m in array.markers)
    yield from (f"{key} stands {n} times in one array" for key, n in keys.items() if n > 1)
    actions = [m.action for m in array.markers]
    if DELETEALL in actions[1:]:
        yield "DELETEALL is not the first of its array"
    for marker in array.markers:
        rules = ALWAYS | WHEN_ADDED if marker.action == ADD else ALWAYS
        name = f"({marker.ns!r}, {marker.id})"
        yield from (f"{name} breaks: {rule}" for rule, keeps in rules.items() if not keeps(marker))
        if marker.action == ADD and types.setdefault((marker.ns, marker.id), marker.type) != marker.type:
            yield f"{name} changes its type"


def marker_array_faults(arrays: Iterable[Any]) -> list[str]:
    """Every breach of RViz's rules in MarkerArrays given in the order of publication; [] if there is none."""
    types: dict[tuple[str, int], int] = {}
    return [f"array {number}: {fault}" for number, array in enumerate(arrays) for fault in _array_faults(array, types)]


def shown_after(arrays: Iterable[Any]) -> dict[tuple[str, int], Any]:
    """(ns, id) -> marker that RViz shows after these arrays, lifetimes aside."""
    shown: dict[tuple[str, int], Any] = {}
    for array in arrays:
        for marker in array.markers:
            if marker.action == DELETEALL:
                shown.clear()
            elif marker.action == DELETE:
                shown.pop((marker.ns, marker.id), None)
            else:
                shown[marker.ns, marker.id] = marker
    return shown
