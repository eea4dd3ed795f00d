"""A scene in viser: a handful of nodes for everybody, however many people there are, and only what changed is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from occpose_core.types import Origin
from occpose_ros.appearance import FILLED_RGB, MEASURED_RGB
from occpose_ros.transforms import Transform
from occpose_ros.view.scene import SHOWN_ORIGINS, Label, Layer

if TYPE_CHECKING:
    from viser import SceneApi

_RGB = {Origin.MEASURED: MEASURED_RGB, Origin.FILLED: FILLED_RGB}
_CAMERA_RGB = (0.8, 0.8, 0.8)
_JOINT_RADIUS_M = 0.03
_BONE_WIDTH_M = 0.025
_FRUSTUM_WIDTH_M = 0.008
_SIGMA_OPACITY = 0.25
_LABEL_HEIGHT_M = 0.12
_LABEL_STEP_M = 0.01  # a label that has moved by less stays
_MOST_LABELS = 20  # that move in one image
_GROUND_M = 20.0
_LIGHT, _LIGHT_FROM_ABOVE = 1.5, 0.8
_BELOW_CAMERA_M = 1.0  # of the grid, where nobody knows where the ground is


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the user wants to see."""

    measured: bool = True
    filled: bool = True
    sigma: bool = True
    names: bool = True
    camera: bool = True
    ground: bool = True

    def layer(self, kind: Origin) -> bool:
        """Whether joints of this origin are wanted."""
        return self.measured if kind == Origin.MEASURED else self.filled


class _Node:
    """A node that is made when there is something to show, and hidden, not sent, when there is nothing."""

    def __init__(self, add: Callable[..., Any]) -> None:
        self._add = add
        self._handle: Any = None
        self._empty = True
        self.wanted = True

    def set(self, **arrays: np.ndarray) -> None:
        """Properties with one row for each thing that is shown."""
        self._empty = not len(next(iter(arrays.values())))
        if not self._empty:
            if self._handle is None:
                self._handle = self._add(**arrays)
            for name, array in arrays.items():
                setattr(self._handle, name, array)
        self.show()

    def show(self) -> None:
        """Show it if it is wanted and there is something."""
        if self._handle is not None:
            self._handle.visible = self.wanted and not self._empty


class _Names:
    """A label above each person: one node a person, so not all of a crowd's move in every image."""

    def __init__(self, scene: SceneApi) -> None:
        self._scene = scene
        self._wanted = True
        self._handles: dict[str, Any] = {}
        self._told: dict[str, Label] = {}  # in the order in which they were told
        self._made = count()

    def set(self, labels: Mapping[str, Label]) -> None:
        """Exactly these."""
        for id in self._told.keys() - labels.keys():
            self._told.pop(id)
            self._handles.pop(id).remove()
        for id in labels.keys() - self._told.keys():
            self._handles[id] = self._add(labels[id])
            self._told[id] = labels[id]
        changed = [id for id, told in self._told.items() if _differ(told, labels[id])]
        for id in changed[:_MOST_LABELS]:
            label = labels[id]
            self._handles[id].text, self._handles[id].position = label.text, label.position_m
            del self._told[id]  # to the end: the others have their turn first
            self._told[id] = label

    def _add(self, label: Label) -> Any:
        return self._scene.add_label(
            f"/names/{next(self._made)}", label.text, position=label.position_m, anchor="bottom-center",
            font_size_mode="scene", font_scene_height=_LABEL_HEIGHT_M, visible=self._wanted,
        )  # fmt: skip

    def show(self, wanted: bool) -> None:
        """Whether they are wanted."""
        if wanted != self._wanted:
            self._wanted = wanted
            for handle in self._handles.values():
                handle.visible = wanted


def _differ(one: Label, other: Label) -> bool:
    return one.text != other.text or math.dist(one.position_m, other.position_m) > _LABEL_STEP_M


def _spheres(scene: SceneApi, name: str, rgb: tuple[float, float, float], **properties: Any) -> _Node:
    """Spheres of radius 1; properties batched_positions, batched_wxyzs, batched_scales."""
    from trimesh.creation import icosphere

    ball = icosphere(subdivisions=2)
    properties |= {"batched_colors": _bytes(rgb), "lod": "off", "cast_shadow": False, "receive_shadow": False}
    return _Node(
        lambda **arrays: scene.add_batched_meshes_simple(name, ball.vertices, ball.faces, **arrays, **properties)
    )


def _lines(scene: SceneApi, name: str, rgb: tuple[float, float, float], width_m: float) -> _Node:
    """Lines from end to end; property points (M, 2, 3)."""
    return _Node(lambda points: scene.add_line_segments(name, points, _bytes(rgb), thickness=width_m))


def _bytes(rgb: tuple[float, float, float]) -> np.ndarray:
    return np.round(255 * np.array(rgb)).astype(np.uint8)


class SceneNodes:
    """Everything that is shown, on a server. `set_...` says what there is, `show` which of it."""

    def __init__(self, scene: SceneApi) -> None:
        self._joints = {kind: _spheres(scene, f"/joints/{kind.name}", _RGB[kind]) for kind in SHOWN_ORIGINS}
        self._bones = {kind: _lines(scene, f"/bones/{kind.name}", _RGB[kind], _BONE_WIDTH_M) for kind in SHOWN_ORIGINS}
        self._sigma = {
            kind: _spheres(scene, f"/sigma/{kind.name}", _RGB[kind], opacity=_SIGMA_OPACITY) for kind in SHOWN_ORIGINS
        }
        self._frustum = _lines(scene, "/camera", _CAMERA_RGB, _FRUSTUM_WIDTH_M)
        self._names = _Names(scene)
        self._ground = scene.add_grid(
            "/ground", _GROUND_M, _GROUND_M, position=(0.0, 0.0, -_BELOW_CAMERA_M), cell_color=(70, 70, 70),
            section_color=(110, 110, 110), shadow_opacity=0.0,
        )  # fmt: skip
        # Mild light from everywhere, for colours tell measured from filled; no shadows, which take long to draw.
        scene.configure_default_lights(enabled=False)
        scene.configure_environment_map(hdri=None)
        scene.add_light_ambient("/light/all_round", intensity=_LIGHT)
        scene.add_light_directional("/light/above", intensity=_LIGHT_FROM_ABOVE, position=(0.0, 0.0, 1.0))

    def set_people(self, layers: Mapping[Origin, Layer], labels: Mapping[str, Label]) -> None:
        """Joints, bones and uncertainty of measured and filled joints, and names."""
        for kind, layer in layers.items():
            unturned = np.tile(np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32), (len(layer.joints_m), 1))
            radii_m = np.full(len(unturned), _JOINT_RADIUS_M, dtype=np.float32)
            at = {"batched_positions": layer.joints_m, "batched_wxyzs": unturned}
            self._joints[kind].set(**at, batched_scales=radii_m)
            if self._sigma[kind].wanted:
                self._sigma[kind].set(**at, batched_scales=layer.sigma_m)
            self._bones[kind].set(points=layer.bones_m)
        self._names.set(labels)

    def clear(self) -> None:
        """Nobody is there. Camera and ground stay."""
        nothing = Layer(joints_m=np.zeros((0, 3)), sigma_m=np.zeros(0), bones_m=np.zeros((0, 2, 3)))
        self.set_people(dict.fromkeys(SHOWN_ORIGINS, nothing), {})

    def set_camera(self, frustum_m: np.ndarray | None) -> None:
        """What the camera sees, (8, 2, 3) lines; None if it is not known."""
        self._frustum.set(points=np.zeros((0, 2, 3), dtype=np.float32) if frustum_m is None else frustum_m)

    def set_ground(self, shown_from_ground: Transform | None) -> None:
        """Where the plane z = 0 of the ground is; None if that is not known."""
        if shown_from_ground is not None:
            x, y, z, w = _quaternion_xyzw(shown_from_ground.rotation)
            self._ground.wxyz, self._ground.position = (w, x, y, z), shown_from_ground.translation_m

    def show(self, shown: Shown) -> None:
        """Show what is wanted."""
        for kind in SHOWN_ORIGINS:
            wanted = shown.layer(kind)
            self._joints[kind].wanted = self._bones[kind].wanted = wanted
            self._sigma[kind].wanted = wanted and shown.sigma
        self._frustum.wanted = shown.camera
        for node in (*self._joints.values(), *self._bones.values(), *self._sigma.values(), self._frustum):
            node.show()
        self._names.show(shown.names)
        self._ground.visible = shown.ground


def _quaternion_xyzw(rotation: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(rotation).as_quat()
