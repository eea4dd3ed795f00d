"""A small image model that is exported as the large ones are: a figure whose arm and size follow the image.

It answers with the cardboard person in the axes of the view. How red the crop is lifts the left wrist (m), a mark that
keypoints do not have; the mesh is the joints and two more corners. Joints are measured from a point off the pelvis, as
networks may do it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from occpose_core.checkpoint import METADATA_KEY, ModelInfo
from occpose_core.checksum import with_checksum
from occpose_core.runtime.image_engine import FACES_KEY, IMAGE_INPUTS, IMAGE_OUTPUTS, text_of_faces
from occpose_core.skeleton import H36M17
from tests.core.cardboard import FIGURE

SIZE = 32
FACES = np.array([[0, 17, 18], [4, 18, 17], [1, 2, 3]])
CORNERS = np.array([[0.3, 0.0, 0.2], [-0.3, 0.0, 0.2]])
_OFF_PELVIS_M = (0.02, -0.05, 0.01)
_WRIST = H36M17.index("left_wrist")
INFO = ModelInfo(
    name="tiny", family="sefd", form="own", config={}, parameters=0, outputs=IMAGE_OUTPUTS, image_size=SIZE
)


class TinyBody(nn.Module):
    """See above."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("figure", torch.tensor(FIGURE, dtype=torch.float32))
        self.register_buffer("corners", torch.tensor(CORNERS, dtype=torch.float32))

    def forward(self, image: Tensor, kpts: Tensor, visible: Tensor) -> tuple[Tensor, ...]:
        """image (B, 3, S, S), kpts (B, 17, 2), visible (B, 17) -> IMAGE_OUTPUTS."""
        colour = image.mean((2, 3))
        up = torch.zeros_like(self.figure)
        up[_WRIST, 1] = -1.0
        joints = self.figure + colour[:, :1, None] * up + torch.tensor(_OFF_PELVIS_M)
        corners = (self.corners + torch.tensor(_OFF_PELVIS_M)).expand(image.shape[0], -1, -1)
        rotations = torch.eye(3).expand(image.shape[0], 24, 3, 3)
        seen = (kpts * visible[..., None]).flatten(1)[:, :7]
        return joints, torch.cat([joints, corners], dim=1), rotations, torch.cat([colour, seen], dim=1)


def tiny_body(path: Path) -> Path:
    """Export the model."""
    model = TinyBody().eval()
    shapes = ((2, 3, SIZE, SIZE), (2, 17, 2), (2, 17))
    examples = {name: torch.zeros(shape) for name, shape in zip(IMAGE_INPUTS, shapes, strict=True)}
    any_number = torch.export.Dim("people", min=1)
    program = torch.onnx.export(
        model,
        kwargs=examples,
        input_names=list(IMAGE_INPUTS),
        output_names=list(IMAGE_OUTPUTS),
        dynamic_shapes={name: {0: any_number} for name in examples},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    metadata = {METADATA_KEY: INFO.to_json(), FACES_KEY: text_of_faces(FACES)}
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    path.write_bytes(with_checksum(proto.SerializeToString()))
    return path
