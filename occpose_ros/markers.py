"""Skeletons as RViz markers: four markers and a label for each person.

Layers (namespaces): `joints` and `bones` of measured joints, `filled_joints` and `filled_bones` where a joint is an
estimate, in another colour (appearance.py) and translucent, and `labels`. A joint fades as its standard deviation
grows; an unknown joint is left out.

RViz keeps a marker until its lifetime ends, it is replaced, or deleted; so an empty layer and a person who is gone are
deleted explicitly, and the lifetime is only the safety net for a node that died.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_core.types import Origin, Skeleton3D
from occpose_ros.adapters import confidence_of_sigma
from occpose_ros.appearance import FILLED_RGB, MEASURED_RGB, label_of, label_rgb
from occpose_ros.message_types import NANOSECONDS, MessageTypes

# layer (the end of the namespace) -> type: RViz re-creates a marker whose type changes, so a layer has one
LAYERS = {
    "joints": "SPHERE_LIST",
    "bones": "LINE_LIST",
    "filled_joints": "SPHERE_LIST",
    "filled_bones": "LINE_LIST",
    "labels": "TEXT_VIEW_FACING",
}
_STRENGTHS = np.array([[1.0], [0.6]], dtype=np.float32)  # alpha of measured and of filled joints that are sure
_MIN_ALPHA = 0.12
_ALPHA_STEPS = 128
_JOINT_DIAMETER_M = 0.06
_BONE_WIDTH_M = 0.025
_TEXT_HEIGHT_M = 0.12
_TEXT_ABOVE_HEAD_M = 0.2
LIFETIME_S = 0.5
_NO_BYTES = np.zeros(0, dtype=np.uint8)


def skeleton_markers(
    skeletons: Sequence[Skeleton3D],
    header: Any,
    previous_ids: Mapping[str, int],
    types: MessageTypes,
    *,
    lifetime_s: float = LIFETIME_S,
    reset: bool = False,
    camera: str = "",
) -> tuple[Any, dict[str, int]]:
    """Make a MarkerArray that shows exactly these people.

    header: std_msgs/Header of every marker, in the skeletons' frame. previous_ids: track id -> marker id, as the last
    call returned it ({} at first): people of it who are gone are deleted. reset: delete everything shown before.
    camera: goes before every namespace, so that several cameras may share a topic. Returns the
    array and the new ids. The skeletons' ids must differ and their numbers be finite.
    """
    base = marker_fields(header, lifetime_s, camera, types)
    ids = marker_ids([skeleton.id for skeleton in skeletons], {} if reset else previous_ids)
    markers = [_delete_all(base, types)] if reset else []
    palettes = _Palette(MEASURED_RGB, types), _Palette(FILLED_RGB, types)
    for skeleton in skeletons:
        markers += _person(skeleton, base | {"id": ids[skeleton.id]}, palettes, types)
    gone = [] if reset else [number for track, number in previous_ids.items() if track not in ids]
    markers += [_delete(base | {"id": number}, layer, types) for number in gone for layer in LAYERS]
    return types.MarkerArray(markers=markers), ids


def delete_all_markers(header: Any, types: MessageTypes) -> Any:
    """A MarkerArray that removes everything that its topic ever showed."""
    return types.MarkerArray(markers=[_delete_all(marker_fields(header, 0.0, "", types), types)])


def marker_ids(tracks: Iterable[str], previous_ids: Mapping[str, int]) -> dict[str, int]:
    """Marker id of each track: the one it had, else the smallest that was and is free.

    A number just given up is not handed out at once: one array cannot delete and add the same marker.
    """
    taken = set(previous_ids.values())
    fresh = (number for number in count() if number not in taken)
    return {track: previous_ids[track] if track in previous_ids else next(fresh) for track in tracks}


def marker_fields(header: Any, lifetime_s: float, camera: str, types: MessageTypes) -> dict[str, Any]:
    """Every field of a Marker, harmless, its namespace up to the layer: some constructors have no defaults."""
    seconds, nanoseconds = divmod(round(lifetime_s * NANOSECONDS), NANOSECONDS)
    return {
        "header": header,
        "ns": f"{camera}/" if camera else "",
        "id": 0,
        "type": types.Marker.SPHERE_LIST,
        "action": types.Marker.ADD,
        "pose": _pose((0.0, 0.0, 0.0), types),
        "scale": types.Vector3(x=1.0, y=1.0, z=1.0),
        "color": colour_to_msg(MEASURED_RGB, 1.0, types),
        "lifetime": types.Duration(sec=seconds, nanosec=nanoseconds),
        "frame_locked": False,
        "points": [],
        "colors": [],
        "texture_resource": "",
        "texture": types.CompressedImage(header=header, format="", data=types.sequence(_NO_BYTES)),
        "uv_coordinates": [],
        "text": "",
        "mesh_resource": "",
        "mesh_file": types.MeshFile(filename="", data=types.sequence(_NO_BYTES)),
        "mesh_use_embedded_materials": False,
    }


def _pose(position_m: tuple[float, float, float], types: MessageTypes) -> Any:
    x, y, z = position_m
    return types.Pose(position=types.Point(x=x, y=y, z=z), orientation=types.Quaternion(x=0.0, y=0.0, z=0.0, w=1.0))


def colour_to_msg(rgb: tuple[float, float, float], alpha: float, types: MessageTypes) -> Any:
    """std_msgs/ColorRGBA."""
    return types.ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=alpha)


class _Palette(dict[int, Any]):
    """Alpha in steps -> ColorRGBA of one colour, each made once: Python pays for every object in a message."""

    def __init__(self, rgb: tuple[float, float, float], types: MessageTypes) -> None:
        super().__init__()
        self._rgb, self._types = rgb, types

    def __missing__(self, step: int) -> Any:
        self[step] = colour = colour_to_msg(self._rgb, step / _ALPHA_STEPS, self._types)
        return colour


def _delete(base: dict[str, Any], layer: str, types: MessageTypes) -> Any:
    kind = getattr(types.Marker, LAYERS[layer])
    return types.Marker(**base | {"ns": base["ns"] + layer, "type": kind, "action": types.Marker.DELETE})


def _delete_all(base: dict[str, Any], types: MessageTypes) -> Any:
    return types.Marker(**base | {"action": types.Marker.DELETEALL})


def _person(
    skeleton: Skeleton3D, base: dict[str, Any], palettes: tuple[_Palette, _Palette], types: MessageTypes
) -> list[Any]:
    # Lists, not arrays: a person has 17 joints, which a loop goes through faster than numpy is called.
    origin, joints_cam_m = skeleton.origin.tolist(), skeleton.joints_cam_m.tolist()
    points = [types.Point(x=x, y=y, z=z) for x, y, z in joints_cam_m]
    alpha = np.clip(_STRENGTHS * confidence_of_sigma(skeleton.sigma_m), _MIN_ALPHA, 1.0)
    steps = np.rint(alpha * _ALPHA_STEPS).astype(int).tolist()
    measured = [joint for joint, of in enumerate(origin) if of == Origin.MEASURED]
    filled = [joint for joint, of in enumerate(origin) if of == Origin.FILLED]
    bones: tuple[list[int], list[int]] = [], []  # ends of measured ones, of others that can be drawn
    for bone in H36M17.bones:
        ends = {origin[joint] for joint in bone}
        if Origin.UNKNOWN not in ends:
            bones[Origin.FILLED in ends].extend(bone)

    def vertices(layer: str, joints: list[int], size_m: float, row: int) -> Any:
        """Spheres at joints, or lines between each two of them, coloured joint by joint."""
        if not joints:
            return _delete(base, layer, types)
        palette, step_of = palettes[row], steps[row]
        fields = {
            "ns": base["ns"] + layer,
            "type": getattr(types.Marker, LAYERS[layer]),
            "scale": types.Vector3(x=size_m, y=size_m, z=size_m),
            "points": [points[joint] for joint in joints],
            "colors": [palette[step_of[joint]] for joint in joints],
        }
        return types.Marker(**base | fields)

    return [
        vertices("joints", measured, _JOINT_DIAMETER_M, 0),
        vertices("bones", bones[0], _BONE_WIDTH_M, 0),
        vertices("filled_joints", filled, _JOINT_DIAMETER_M, 1),
        vertices("filled_bones", bones[1], _BONE_WIDTH_M, 1),
        _label(skeleton, [joints_cam_m[joint] for joint in measured + filled], base, types),
    ]


def _label(skeleton: Skeleton3D, joints_cam_m: list[list[float]], base: dict[str, Any], types: MessageTypes) -> Any:
    """Above the highest joint that can be drawn."""
    if not joints_cam_m:
        return _delete(base, "labels", types)
    x, y, z = min(joints_cam_m, key=lambda joint_cam_m: joint_cam_m[1])  # y points down
    fields = {
        "ns": base["ns"] + "labels",
        "type": getattr(types.Marker, LAYERS["labels"]),
        "pose": _pose((x, y - _TEXT_ABOVE_HEAD_M, z), types),
        "scale": types.Vector3(x=0.0, y=0.0, z=_TEXT_HEIGHT_M),
        "color": colour_to_msg(label_rgb(skeleton.state), 1.0, types),
        "text": label_of(skeleton.id, skeleton.state),
    }
    return types.Marker(**base | fields)
