"""Label-free lifter: a depth for each joint and the camera's elevation, learned from 2D poses alone.

The trunk of ElePose (Wandt et al., "ElePose: Unsupervised 3D Human Pose Estimation by Predicting Camera Elevation and
Learning Normalizing Flows on 2D Poses", CVPR 2022) behind one fixed graph layer, as "3D_Occluded_HPE"
(github.com/XuyangHao123/3D_Occluded_HPE) has it. The batch norms that are made but never used there are left out, and
a pose is scaled by its own bones instead of by a constant of the data set, so that any camera at any distance will do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from occpose_core.models.pose_model import ModelConfig, PoseModel, full_precision, joint_inputs, take
from occpose_core.models.stature import stature
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M
from occpose_core.skeleton import H36M17

_JOINTS = len(H36M17.joints)
_PELVIS = H36M17.index("pelvis")
_PARENTS, _CHILDREN = (list(ends) for ends in zip(*H36M17.bones, strict=True))

DEPTH = 10.0  # of the pelvis, in units of the distance from pelvis to head top
_MIN_DEPTH = 1.0
_HEAD_SIZE = 0.1  # 2D distance from pelvis to head top of a person upright at that depth
_REACH = 4.0  # farthest that a joint may be from the pelvis, in distances from there to the head top: twice a hand's
_MIN_SIZE = 0.1  # of a pose in the person view, where that of a whole pose is about 1
_MIN_STATURE = 1.0  # people are 2.3 of these distances tall

# Mean lengths of Human3.6M's bones relative to their mean, by the joint at the far end.
_BONE_RATIO = {
    "hip": 0.5246,
    "knee": 1.7387,
    "ankle": 1.7132,
    "spine": 0.9316,
    "thorax": 0.9793,
    "nose": 0.4482,
    "head_top": 0.4407,
    "shoulder": 0.5795,
    "elbow": 1.0863,
    "wrist": 0.9578,
}
BONE_RATIOS = tuple(
    _BONE_RATIO[H36M17.joints[child].removeprefix("left_").removeprefix("right_")] for child in _CHILDREN
)
_HEAD_RATIO = sum(_BONE_RATIO[joint] for joint in ("spine", "thorax", "nose", "head_top"))


@dataclass(frozen=True, kw_only=True)
class ElePoseConfig(ModelConfig):
    """Sizes of the lifter; the defaults are the published ones."""

    channels: int = 32  # per joint, of the graph layer
    hidden: int = 1024
    branch_blocks: int = 2  # residual blocks of the depth and of the elevation branch


def laplacian() -> np.ndarray:
    """(J, J) float64 normalised Laplacian D^-1/2 (D - A) D^-1/2 of the `h36m17` bones."""
    adjacency = np.zeros((_JOINTS, _JOINTS))
    adjacency[_PARENTS, _CHILDREN] = adjacency[_CHILDREN, _PARENTS] = 1
    root = 1 / np.sqrt(adjacency.sum(axis=0))
    return np.asarray(np.eye(_JOINTS) - root[:, None] * adjacency * root)


def pose_size(kpts: Tensor, known: Tensor | None = None) -> Tensor:
    """How far the head top of an upright person of that size is from the pelvis: (B, 1, 1), in the unit of kpts.

    kpts: (B, J, 2) in the person view. known: (B, J) bool; None: all are. Each bone with two known ends says its 2D
    length over its usual length; the upper quartile is that of bones seen from the side, whichever they are, and does
    not mind a few misplaced joints. Never so small that a known joint would be farther than _REACH from the pelvis.
    """
    ratio = (take(kpts, _CHILDREN, 1) - take(kpts, _PARENTS, 1)).norm(dim=-1) / kpts.new_tensor(BONE_RATIOS)
    reach = _from_pelvis(kpts).norm(dim=-1)
    if known is None:
        quartile = ratio.topk(len(_CHILDREN) // 4 + 1).values[:, -1:]
    else:
        ends = take(known, _CHILDREN, 1) & take(known, _PARENTS, 1)
        place = torch.floor(ends.to(kpts.dtype).sum(dim=-1, keepdim=True) / 4)
        ordered = torch.where(ends, ratio, 0.0).topk(len(_CHILDREN)).values
        quartile, reach = ordered.gather(1, place.long()), reach * known
    size = torch.maximum(_HEAD_RATIO * quartile, reach.amax(dim=-1, keepdim=True) / _REACH).clamp(min=_MIN_SIZE)
    return size[..., None]


def normalise(kpts: Tensor, known: Tensor | None = None) -> Tensor:
    """Centre (B, J, 2) on the pelvis and scale it so that an upright person is _HEAD_SIZE from pelvis to head top."""
    return _from_pelvis(kpts) * (_HEAD_SIZE / pose_size(kpts, known))


def _from_pelvis(points: Tensor) -> Tensor:
    return points - points[:, _PELVIS : _PELVIS + 1]


def unproject(kpts: Tensor, depth_offset: Tensor) -> Tensor:
    """Points (B, J, 3) at depths max(1, 10 + offset): kpts (B, J, 2) of unit focal length, depth_offset (B, J)."""
    depth = (DEPTH + depth_offset)[..., None].clamp(min=_MIN_DEPTH)
    return torch.cat([kpts * depth, depth], dim=-1)


class GraphEmbedding(nn.Module):
    """L X W, flattened: each joint's coordinates against the mean of its neighbours', in `channels` random mixtures."""

    laplacian: Tensor

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, channels))
        self.register_buffer("laplacian", torch.tensor(laplacian(), dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, J, inputs) -> (B, J * channels)."""
        return (self.laplacian @ x @ self.weight).flatten(1)

    def matrix(self) -> Tensor:
        """The whole layer as one (J * channels, J * inputs) matrix."""
        return torch.kron(self.laplacian, self.weight.T.contiguous())


class _Residual(nn.Module):
    """Two linear layers and a shortcut."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return x + leaky_relu(self.second(leaky_relu(self.first(x))))


def _blocks(count: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(*(layer for _ in range(count) for layer in (_Residual(hidden), nn.LeakyReLU())))


class ElePose(PoseModel):
    """Lifts one frame of 2D joints to 3D; the size of the person is assumed, for no 3D was ever seen."""

    config: ElePoseConfig
    not_pelvis: Tensor

    def __init__(self, config: ElePoseConfig) -> None:
        super().__init__()
        self.config = config
        inputs, hidden = 3 if config.masked else 2, config.hidden
        self.embed: nn.Module = GraphEmbedding(inputs, config.channels)
        self.widen = nn.Linear(_JOINTS * config.channels, hidden)
        self.trunk = _blocks(1, hidden)
        self.depth_branch = _blocks(config.branch_blocks, hidden)
        self.elevation_branch = _blocks(config.branch_blocks, hidden)
        self.depth = nn.Linear(hidden, _JOINTS)
        self.elevation = nn.Linear(hidden, 1)
        not_pelvis = torch.tensor([float(joint != _PELVIS) for joint in range(_JOINTS)])
        self.register_buffer("not_pelvis", not_pelvis, persistent=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Joints alone, in both forms: without labels there is no error to learn a sigma from."""
        return ("joints_root_m",)

    def points(self, kpts: Tensor, seen: Tensor) -> Tensor:
        """Points (B, J, 3) with the pelvis at depth 10, in units of the distance from pelvis to head top.

        kpts: (B, J, 2) as `normalise` gives them. seen: (B, J, 1) in {0, 1}, which the masked form is told.
        """
        return self._points(kpts, self._feature(kpts, seen))

    def points_and_elevation(self, kpts: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """As points, and the elevation (B,) of the camera above the horizon, radians: what the losses are made of."""
        feature = self._feature(kpts, seen)
        branch = self.elevation_branch(feature)
        with full_precision(kpts):
            elevation = self.elevation(branch.to(kpts.dtype)).squeeze(-1)
        return self._points(kpts, feature), elevation

    def lift(self, kpts: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """As answer, for (B, J, 2) whose hidden joints hold a guess and seen (B, J, 1) in {0, 1}."""
        return self._answer(kpts, None, seen)

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Lift the newest frame: `joints_root_m` (B, J, 3) in the person view's axes, of a person of 1.70 m.

        A hidden joint is put on the pelvis, which is where (0, 0) is in the paper's coordinates; a hidden pelvis in the
        middle of the view.
        """
        known = visible[:, -1] > 0
        kpts = joint_inputs(kpts[:, -1], visible[:, -1], masked=False)
        kpts = torch.where(known[..., None], kpts, kpts[:, _PELVIS : _PELVIS + 1])
        return self._answer(kpts, known, known[..., None].to(kpts.dtype))

    def fold(self) -> None:
        """Turn the graph layer and the linear layer after it into one, and drop the elevation, which answers nobody."""
        assert isinstance(self.embed, GraphEmbedding)
        matrix = self.embed.matrix()
        folded = nn.Linear(matrix.shape[1], self.widen.out_features)
        with torch.no_grad():
            folded.weight.copy_((self.widen.weight.double() @ matrix.double()).float())
            folded.bias.copy_(self.widen.bias)
        self.embed, self.widen = nn.Flatten(), folded
        del self.elevation_branch, self.elevation

    def _feature(self, kpts: Tensor, seen: Tensor) -> Tensor:
        x = torch.cat([kpts, seen], dim=-1) if self.config.masked else kpts
        with full_precision(kpts):
            widened = self.widen(self.embed(x))
        feature: Tensor = self.trunk(widened)
        return feature

    def _points(self, kpts: Tensor, feature: Tensor) -> Tensor:
        branch = self.depth_branch(feature)
        with full_precision(kpts):
            return unproject(kpts, self.depth(branch.to(kpts.dtype)) * self.not_pelvis)

    def _answer(self, kpts: Tensor, known: Tensor | None, seen: Tensor) -> dict[str, Tensor]:
        joints = _from_pelvis(self.points(normalise(kpts, known), seen))
        scale = ASSUMED_HEIGHT_M / stature(joints).clamp(min=_MIN_STATURE)
        return {"joints_root_m": joints * scale[:, None, None]}
