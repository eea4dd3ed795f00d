"""A small image model in the form that `occpose export` writes: a figure whose arm and size follow the image.

It answers with the cardboard person in the axes of the view. How red the crop is lifts the left wrist (m), a mark that
keypoints do not have; the mesh is the joints and two more corners. Joints are measured from a point off the pelvis, as
networks may do it. The first numbers of the shape are the crop's mean colour and the keypoints as they came.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from occpose_core.checkpoint import BODY_OUTPUTS, METADATA_KEY, ModelInfo
from occpose_core.runtime.image_engine import FACES_KEY, text_of_faces
from occpose_core.skeleton import H36M17
from tests.core.cardboard import FIGURE
from tests.onnx_files import save

SIZE = 32
FACES = np.array([[0, 17, 18], [4, 18, 17], [1, 2, 3]])
CORNERS = np.array([[0.3, 0.0, 0.2], [-0.3, 0.0, 0.2]])
INFO = ModelInfo(name="tiny", family="sefd", form="own", config={}, parameters=0, outputs=BODY_OUTPUTS, image_size=SIZE)
_OFF_PELVIS_M = np.array([0.02, -0.05, 0.01])
_UP = np.zeros_like(FIGURE)
_UP[H36M17.index("left_wrist"), 1] = -1.0

_CONSTANTS = {
    "figure": FIGURE + _OFF_PELVIS_M,
    "up": _UP,
    "corners": CORNERS + _OFF_PELVIS_M,
    "no_corners": np.zeros_like(CORNERS),
    "unturned": np.broadcast_to(np.eye(3), (24, 3, 3)),
    "no_turns": np.zeros((24, 3, 3)),
}
_INTEGERS = {"pixels": [2, 3], "0": [0], "1": [1], "2": [2], "7": [7], "last": [3], "flat": [0, -1]}
_NODES = [
    helper.make_node("ReduceMean", ["image", "pixels"], ["colour"], keepdims=0),
    helper.make_node("Slice", ["colour", "0", "1", "1"], ["red"]),
    helper.make_node("Unsqueeze", ["red", "2"], ["red_3"]),
    helper.make_node("Unsqueeze", ["red_3", "last"], ["red_4"]),
    helper.make_node("Mul", ["red_3", "up"], ["lifted"]),
    helper.make_node("Add", ["figure", "lifted"], ["joints_root_m"]),
    helper.make_node("Mul", ["red_3", "no_corners"], ["zero_corners"]),
    helper.make_node("Add", ["corners", "zero_corners"], ["all_corners"]),
    helper.make_node("Concat", ["joints_root_m", "all_corners"], ["vertices_root_m"], axis=1),
    helper.make_node("Mul", ["red_4", "no_turns"], ["zero_turns"]),
    helper.make_node("Add", ["unturned", "zero_turns"], ["rotations"]),
    helper.make_node("Unsqueeze", ["visible", "2"], ["visible_3"]),
    helper.make_node("Mul", ["kpts", "visible_3"], ["seen"]),
    helper.make_node("Reshape", ["seen", "flat"], ["seen_flat"]),
    helper.make_node("Slice", ["seen_flat", "0", "7", "1"], ["some_seen"]),
    helper.make_node("Concat", ["colour", "some_seen"], ["shape"], axis=1),
]


def tiny_body(path: Path) -> Path:
    """Write the model."""
    shapes = {
        "image": (3, SIZE, SIZE),
        "kpts": (17, 2),
        "visible": (17,),
        "joints_root_m": (17, 3),
        "vertices_root_m": (19, 3),
        "rotations": (24, 3, 3),
        "shape": (10,),
    }
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["people", *each]) for name, each in shapes.items()
    ]
    tensors = [numpy_helper.from_array(each[None].astype(np.float32), name) for name, each in _CONSTANTS.items()]
    tensors += [numpy_helper.from_array(np.array(each, dtype=np.int64), name) for name, each in _INTEGERS.items()]
    graph = helper.make_graph(_NODES, "tiny", values[:3], values[3:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(proto, {METADATA_KEY: INFO.to_json(), FACES_KEY: text_of_faces(FACES)})
    onnx.checker.check_model(proto)
    save(proto, path)
    return path
