"""A small image model as `occpose export` writes them: a standing body that bends as the image gets brighter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from occpose_core.body.joints import SMPL24
from occpose_core.checkpoint import BODY_OUTPUTS, METADATA_KEY, ModelInfo
from occpose_core.runtime.image_engine import FACES_KEY, text_of_faces
from occpose_core.skeleton import H36M17
from tests.onnx_files import save
from tests.ros.people import standing_cam_m

SIZE = 32
_RINGS, _AROUND = 12, 16
_HALF_M = (0.25, 0.86, 0.15)


def ellipsoid() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) m around the pelvis and outward triangles (F, 3) of a closed surface as large as a body."""
    polar = np.linspace(0, np.pi, _RINGS + 1)[1:-1, None]
    turn = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)[None]
    ring = np.stack(np.broadcast_arrays(np.sin(polar) * np.cos(turn), -np.cos(polar), np.sin(polar) * np.sin(turn)), -1)
    poles = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    top, bottom = len(ring.reshape(-1, 3)), len(ring.reshape(-1, 3)) + 1
    number = np.arange(top).reshape(_RINGS - 1, _AROUND)
    after = np.roll(number, -1, axis=1)
    sides = [[number[:-1], number[1:], after[:-1]], [after[:-1], number[1:], after[1:]]]
    caps = [[np.full(_AROUND, top), number[0], after[0]], [np.full(_AROUND, bottom), after[-1], number[-1]]]
    faces = np.concatenate([np.stack(np.broadcast_arrays(*side), -1).reshape(-1, 3) for side in [*sides, *caps]])
    return np.concatenate([ring.reshape(-1, 3), poles]) * _HALF_M, faces


def bending_body(path: Path, *, gain: float = 0.5, **changes: Any) -> Path:
    """Write the model; its wrists and the surface's right half move away by `gain` m times the mean of the image.

    changes: of its ModelInfo; with {"edge": "given"} in its config it takes an edge map, and does not look at it.
    """
    info = {
        "name": "bends",
        "family": "sefd",
        "form": "small",
        "config": {},
        "parameters": 0,
        "outputs": BODY_OUTPUTS,
        "image_size": SIZE,
    }
    proto = _model(gain)
    if "edge" in changes.get("config", {}):
        proto.graph.input.append(helper.make_tensor_value_info("edge", TensorProto.FLOAT, ["people", 1, SIZE, SIZE]))
    entries = {METADATA_KEY: ModelInfo(**info | changes).to_json(), FACES_KEY: text_of_faces(ellipsoid()[1])}
    helper.set_model_props(proto, entries)
    save(proto, path)
    return path


def _model(gain: float) -> onnx.ModelProto:
    standing = standing_cam_m(distance_m=0.0)
    joints = standing - standing[H36M17.index("pelvis")]
    vertices, _ = ellipsoid()
    bends = np.zeros_like(joints)
    bends[[H36M17.index("left_wrist"), H36M17.index("right_wrist")], 2] = gain
    away = np.where(vertices[:, :1] > 0, [[0.0, 0.0, gain]], 0.0)
    constants = {
        "joints": joints,
        "joints_bend": bends,
        "vertices": vertices,
        "vertices_bend": away,
        "unturned": np.broadcast_to(np.eye(3), (len(SMPL24), 3, 3)),
        "nothing": np.zeros(1),
        "shapes": np.zeros(10),
    }
    tensors = [numpy_helper.from_array(value[None].astype(np.float32), name) for name, value in constants.items()]
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "image_axes")
    column = numpy_helper.from_array(np.array([-1, 1, 1]), "column")
    block = numpy_helper.from_array(np.array([-1, 1, 1, 1]), "block")
    last = numpy_helper.from_array(np.array([2]), "last")
    first = numpy_helper.from_array(np.array([1]), "first")
    nodes = [
        helper.make_node("ReduceMean", ["image", "image_axes"], ["brightness_4"], keepdims=1),
        helper.make_node("Reshape", ["brightness_4", "column"], ["brightness"]),
        helper.make_node("Mul", ["brightness", "joints_bend"], ["joints_moved"]),
        helper.make_node("Add", ["joints", "joints_moved"], ["joints_root_m"]),
        helper.make_node("Mul", ["brightness", "vertices_bend"], ["vertices_moved"]),
        helper.make_node("Add", ["vertices", "vertices_moved"], ["vertices_root_m"]),
        helper.make_node("Mul", ["brightness_4", "nothing"], ["zero"]),
        helper.make_node("Reshape", ["zero", "block"], ["zeros"]),
        helper.make_node("Add", ["unturned", "zeros"], ["rotations"]),
        helper.make_node("ReduceSum", ["kpts", "last"], ["sums"], keepdims=0),
        helper.make_node("Mul", ["sums", "visible"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "first"], ["sum"], keepdims=1),
        helper.make_node("Add", ["shapes", "sum"], ["shape"]),
    ]
    inputs = {
        "image": ["people", 3, SIZE, SIZE],
        "kpts": ["people", len(joints), 2],
        "visible": ["people", len(joints)],
    }
    outputs = dict(zip(BODY_OUTPUTS, ([len(joints), 3], [len(vertices), 3], [len(SMPL24), 3, 3], [10]), strict=True))
    graph = helper.make_graph(
        nodes,
        "bends",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["people", *shape]) for name, shape in outputs.items()],
        [*tensors, axes, column, block, last, first],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
