"""SEFD on 3DCrowdNet: from an image of a person and occluded 2D joints to a body mesh.

Choi et al., Learning to Estimate Robust 3D Human Mesh from In-the-Wild Crowded Scenes, CVPR 2022; Yang et al., SEFD:
Learning to Distill Complex Pose and Occlusion, ICCV 2023. The 2D joints are drawn as maps and join what the ResNet's
stem makes of the image, and of an edge map beside it; of the deep features a volume is made for each of 15 joints, and
a graph of these joints gives the body's rotations (through a latent pose prior), shape and camera.

Image, maps and 2D joints are those of the crop, x right and y down, -1 and 1 at its borders; the answer has the axes of
the person view. The camera is the papers' distant one, not the one that took the image: it is there for the losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from occpose_core.body.joints import GRAPH15, H36M17_IN_SMPL30, SMPL24, SMPL30
from occpose_core.body.rotations import rotation_from_6d
from occpose_core.crops import CROP_HALF_WIDTH
from occpose_core.errors import OccposeError
from occpose_core.models.edges import EDGES, PLAIN_EDGES, EdgeSource, edge_source, no_edges
from occpose_core.models.heatmaps import gaussian_maps, sample, soft_argmax
from occpose_core.models.joint_graph import JointGraph
from occpose_core.models.pose_model import full_precision
from occpose_core.models.pose_prior import POSED_JOINTS, PosePriorDecoder
from occpose_core.models.resnet import BACKBONES, ResNet, fold_norms
from occpose_core.skeleton import H36M17

SHAPES = 10
FOCAL = 5000 / 128  # of the papers' camera, in half crops
HALF_WIDTH_M = 2.8  # most that half a crop may be at the person; that of a grown person who stands is half of it
MIN_SCORE = 0.05  # below which a 2D joint is not seen

_SIGMA = 2.5 / 64  # of the joints' maps, in widths of the crop
_MIN_DEPTH_M = 1.0  # of a point that is projected
_MAPS_GAIN = 10.0  # of the weights for the joints' maps at the start
_HEAD_SD = 0.001  # of the last layers' weights at the start
# Root rotation of a person who faces the camera, as rotation_from_6d takes it.
_FACING = (1.0, 0.0, 0.0, -1.0, 0.0, 0.0)

_PELVIS = H36M17.index("pelvis")
# SMPL30's joints as rows of h36m17, any row where there is none, and whether there is one.
_SOURCES = {int(place): row for row, place in enumerate(H36M17_IN_SMPL30)}
_FROM_H36M17 = [_SOURCES.get(place, 0) for place in range(len(SMPL30))]
_IS_THERE = [float(place in _SOURCES) for place in range(len(SMPL30))]


@dataclass(frozen=True, kw_only=True)
class SefdConfig:
    """Sizes and kind of the network; the defaults are the published student. Raises OccposeError.

    backbone: of resnet.BACKBONES. widths: of its stages, before the expansion of bottlenecks. image_size: pixels of the
    crop. last_stride: of its last stage, whose cells are the volumes' x and y. volume: cells of their depth. graph:
    channels of the joints' graph. edge: "none" (the baseline, three channels), "given" (the map is an input: the
    teacher) or a kind of edges.EDGES, made of the image. blind: the same network with image and edges put to 0, which
    is told the 2D joints alone. body: "capsules" or the folder of SMPL's files. prior_frozen: the pose prior is not
    trained with the rest.
    """

    backbone: str = "resnet50"
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    image_size: int = 256
    last_stride: int = 2
    volume: int = 8
    graph: int = 128
    edge: str = "canny"
    blind: bool = False
    body: str = "capsules"
    latent: int = 32
    prior_frozen: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON knows no tuples
        for what, given, known in (
            ("backbone", self.backbone, tuple(BACKBONES)),
            ("kind of edges", self.edge, ("none", "given", *EDGES)),
            ("last stride", self.last_stride, (1, 2)),
        ):
            if given not in known:
                raise OccposeError(f"unknown {what} {given!r} of SEFD; known: {', '.join(map(str, known))}")
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise OccposeError(f"SEFD needs the widths of four stages, got {self.widths}")
        if self.image_size < 32 or self.image_size % 32:
            raise OccposeError(f"SEFD needs an image size that is a multiple of 32, got {self.image_size}")

    @property
    def channels(self) -> int:
        """Of the stem's input: RGB, and the edge map unless there is none."""
        return 3 if self.edge == "none" else 4


class Sefd(nn.Module):
    """The network with its body model. Teacher and student differ in nothing but where the edge map comes from."""

    edges: EdgeSource | None  # what makes the map; set it where that takes a file, see edges.edge_source

    def __init__(self, config: SefdConfig) -> None:
        super().__init__()
        from occpose_core.body.layer import BodyModel

        self.config = config
        self.backbone = ResNet(config.backbone, config.channels, config.widths, config.last_stride)
        stem, deep = config.widths[0], self.backbone.channels[-1]
        joined = nn.Conv2d(stem + len(SMPL30), stem, 3, padding=1)
        with torch.no_grad():  # maps are nearly empty: unless they are loud, a fresh network takes long to hear them
            joined.weight[:, stem:] *= _MAPS_GAIN
        self.fusion = nn.Sequential(joined, nn.BatchNorm2d(stem), nn.ReLU())
        self.position = nn.Conv2d(deep, len(GRAPH15) * config.volume, 1)
        self.graph = JointGraph(deep + 4, config.graph)
        joints = len(GRAPH15) * config.graph
        self.root = _head(joints, _FACING)
        self.latent = _head(joints, (0.0,) * config.latent)
        self.shape = _head(joints, (0.0,) * SHAPES)
        self.camera = _head(joints, (0.0,) * 3)
        self.prior = PosePriorDecoder(config.latent)
        self.prior.requires_grad_(not config.prior_frozen)
        self.body = BodyModel(config.body)
        self.edges = PLAIN_EDGES.get(config.edge)

    def train(self, mode: bool = True) -> Sefd:
        """As any module, but a frozen prior stays as it is when it answers: without dropout."""
        super().train(mode)
        self.prior.train(mode and not self.config.prior_frozen)
        return self

    def edge_map(self, image: Tensor, edge: Tensor | None = None) -> Tensor | None:
        """The map (B, 1, S, S) that goes with an image (B, 3, S, S), None for the baseline; edge: as in forward."""
        if self.config.edge == "none":
            return None
        if self.config.edge == "given":
            return no_edges(image) if edge is None else edge
        if self.edges is None:  # said when the map is first missed
            self.edges = edge_source(self.config.edge)
        return self.edges(image)

    def forward(self, image: Tensor, kpts: Tensor, visible: Tensor, edge: Tensor | None = None) -> dict[str, Any]:
        """Answer for B people.

        image: (B, 3, S, S) RGB in 0 to 1. kpts: (B, 30, 2), SMPL30 in the crop, of any value where not seen. visible:
        (B, 30) scores; joints below MIN_SCORE or outside the crop are not seen. edge: (B, 1, S, S) for the kind "given"
        alone, none = zeros; a network of another kind never looks at it, for it may show what no camera sees.
        Returns `features`, a list of the four stages' (B, C, H, W); `heat_joints` (B, 15, 3), GRAPH15 in the crop with
        depth in DEPTH_M, and `heat_score` (B, 15); `rotations` (B, 24, 3, 3), the root's into the view's axes, others
        relative to their parents; `latent` (B, L); `shape` (B, 10); `camera` (B, 3) raw, as camera_m reads it;
        `vertices_m` (B, V, 3), `joints30_m` (B, 30, 3) and `joints17_m` (B, 17, 3) from the pelvis in the view's axes;
        `projected` (B, 30, 2), joints30_m in the crop.
        """
        return self.answer(image, kpts, visible, self.edge_map(image, edge))

    def answer(self, image: Tensor, kpts: Tensor, visible: Tensor, edge: Tensor | None) -> dict[str, Any]:
        """As forward, with the map as the stem takes it, None for the baseline."""
        seen = (visible > MIN_SCORE) & (kpts.abs() <= 1).all(-1)
        given = image if edge is None else torch.cat([image, edge.to(image.dtype)], dim=1)
        stem = self.backbone.stem(torch.zeros_like(given) if self.config.blind else given)
        maps = gaussian_maps(kpts, seen, stem.shape[-1], _SIGMA * stem.shape[-1]).to(stem.dtype)
        features = self.backbone.stages(self.fusion(torch.cat([stem, maps], dim=1)))
        volumes = self.position(features[-1]).unflatten(1, (len(GRAPH15), self.config.volume))
        places, score = soft_argmax(volumes)  # (B, 15, 3), (B, 15)
        at = sample(features[-1], places[..., :2].detach())
        joints = torch.cat([at, places.to(at.dtype), score[..., None].to(at.dtype)], dim=-1)
        body = self._body(self.graph(joints))
        return {"features": features, "heat_joints": places, "heat_score": score, **body}

    def _body(self, x: Tensor) -> dict[str, Tensor]:
        """From the graph's (B, 15 C) to the mesh, in single precision."""
        with full_precision(x):
            x = x.float()
            latent, shape, camera = self.latent(x), self.shape(x), self.camera(x)
            hands = torch.eye(3, device=x.device).expand(x.shape[0], len(SMPL24) - 1 - POSED_JOINTS, 3, 3)
            rotations = torch.cat([rotation_from_6d(self.root(x))[:, None], self.prior(latent), hands], dim=1)
            body = self.body(rotations, shape)
            return {
                "rotations": rotations,
                "latent": latent,
                "shape": shape,
                "camera": camera,
                "vertices_m": body.vertices_m,
                "joints30_m": body.joints30_m,
                "joints17_m": body.joints17_m,
                "projected": projected(body.joints30_m, camera),
            }

    def fold(self) -> None:
        """Leave no batch norm, for deployment; equal in evaluation mode."""
        fold_norms(self)
        self.graph.fold()

    def deployed(self) -> DeployedSefd:
        """The form that is exported; it shares this network's weights."""
        return DeployedSefd(self)


class DeployedSefd(nn.Module):
    """What the node runs: 2D joints as keypoint models take them, and no answers that only losses need."""

    def __init__(self, model: Sefd) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, kpts: Tensor, visible: Tensor, edge: Tensor | None = None) -> dict[str, Tensor]:
        """Answer for B people.

        image: (B, 3, S, S) RGB in 0 to 1, the crop of the person view. kpts: (B, 17, 2), h36m17 in the normalised
        person view. visible: (B, 17). edge: (B, 1, S, S), where the map comes from outside the graph.
        Returns `joints_root_m` (B, 17, 3), `vertices_root_m` (B, V, 3), `rotations` (B, 24, 3, 3), `shape` (B, 10).
        """
        rows = torch.tensor(_FROM_H36M17, device=kpts.device)
        missing = visible.new_tensor(_IS_THERE)
        kpts, visible = kpts.index_select(1, rows) / CROP_HALF_WIDTH, visible.index_select(1, rows) * missing
        answer = self.model.answer(image, kpts, visible, self.model.edge_map(image) if edge is None else edge)
        joints = answer["joints17_m"]
        pelvis = joints[:, _PELVIS : _PELVIS + 1]  # by h36m17's regressor, not SMPL's joint
        return {
            "joints_root_m": joints - pelvis,
            "vertices_root_m": answer["vertices_m"] - pelvis,
            "rotations": answer["rotations"],
            "shape": answer["shape"],
        }


def camera_m(camera: Tensor) -> Tensor:
    """Where the pelvis is from the papers' camera, (B, 3) m, of the network's raw (B, 3)."""
    depth = FOCAL * HALF_WIDTH_M * torch.sigmoid(camera[:, 2:])
    return torch.cat([camera[:, :2], depth], dim=-1)


def projected(joints_m: Tensor, camera: Tensor) -> Tensor:
    """Joints (B, J, 3) m from the pelvis in the crop (B, J, 2), by the network's raw camera (B, 3)."""
    points = joints_m + camera_m(camera)[:, None]
    return FOCAL * points[..., :2] / points[..., 2:].clamp(min=_MIN_DEPTH_M)


def _head(inputs: int, start: Sequence[float]) -> nn.Linear:
    """A last layer that starts by giving the same to everybody, nearly."""
    head = nn.Linear(inputs, len(start))
    nn.init.normal_(head.weight, std=_HEAD_SD)
    with torch.no_grad():
        head.bias.copy_(torch.tensor(start))
    return head
