"""Learning depth without 3D: lift a pose, look at it from elsewhere, lift that, and come back.

The losses of ElePose (CVPR 2022) as "3D_Occluded_HPE" uses them. All poses are in units of the distance from pelvis to
head top, and a camera of unit focal length looks at the pelvis from a distance of 10. Every mean is over all poses that
are given, however many copies of a batch they were made from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occpose_core.models.elepose import BONE_RATIOS, DEPTH, ElePose
from occpose_core.models.pose_model import full_precision
from occpose_core.skeleton import H36M17

_PELVIS = H36M17.index("pelvis")
_PARENTS, _CHILDREN = (list(ends) for ends in zip(*H36M17.bones, strict=True))
_MIN_DEPTH = 1.0
_MIXING = 40.0


def centred(points: Tensor) -> Tensor:
    """Points (B, J, C) relative to the pelvis."""
    return points - points[:, _PELVIS, None]


def project(points: Tensor) -> Tensor:
    """What the camera sees of points (B, J, 3) around the pelvis: (B, J, 2)."""
    return points[..., :2] / (points[..., 2:] + DEPTH).clamp(min=_MIN_DEPTH)


def _turn(angle: Tensor, axis: int) -> Tensor:
    """Rotations (B, 3, 3) by angle (B,) about x (0), y (1) or z (2), right-handed."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows = [[torch.zeros_like(angle)] * 3 for _ in range(3)]
    rows[axis][axis] = torch.ones_like(angle)
    rows[i][i], rows[i][j], rows[j][i], rows[j][j] = cosine, -sine, sine, cosine
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def random_cameras(elevation: Tensor, azimuth: Tensor, normal: Tensor) -> Tensor:
    """Rotations (B, 3, 3) to other cameras: upright by the elevation (B,), round by the azimuth (B,), and tilted again.

    The new elevations have the mean and spread of the given ones; normal (B,) is standard normal.
    """
    tilt = -elevation.mean() + elevation.std(correction=0) * normal
    return _turn(tilt, 0) @ _turn(azimuth, 1) @ _turn(elevation, 0)


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """Poses of one batch on their way round; all but the 2D ones relative to the pelvis.

    lifted: (B, J, 3) in the first camera. turned: the same in the second. seen: (B, J, 2), what that one sees.
    lifted_again: (B, J, 3) in the second. back: the same in the first.
    """

    lifted: Tensor
    turned: Tensor
    seen: Tensor
    lifted_again: Tensor
    back: Tensor


def go_round(lifter: ElePose, kpts: Tensor, known: Tensor) -> Cycle:
    """Lift normalised kpts (B, J, 2), see the points from random cameras and lift that, too.

    known: (B, J, 1), which joints are no guesses. Only the lifter's own layers ever run in less than single precision.
    """
    points, elevation = lifter.points_and_elevation(kpts, known)
    with full_precision(kpts):
        lifted = centred(points)
        azimuth = torch.pi * (2 * torch.rand_like(elevation) - 1)
        rotation = random_cameras(elevation, azimuth, torch.randn_like(elevation))
        turned = lifted @ rotation.transpose(-1, -2)
        seen = project(turned)
    lifted_again = centred(lifter.points(seen, known))
    with full_precision(kpts):
        back = lifted_again @ rotation
    return Cycle(lifted=lifted, turned=turned, seen=seen, lifted_again=lifted_again, back=back)


def pose_distance(poses: Tensor, others: Tensor) -> Tensor:
    """Mean over the batch of the length of the whole difference, (B, J, C) taken as one vector."""
    return (poses - others).flatten(1).norm(dim=-1).mean()


def reprojection_loss(cycle: Cycle, kpts: Tensor) -> Tensor:
    """How far from kpts (B, J, 2) the pose is seen when it is back: sum over coordinates, mean over the batch."""
    return (project(cycle.back) - kpts).abs().flatten(1).sum(dim=-1).mean()


def deformation_loss(cycle: Cycle) -> Tensor:
    """How the difference between two people changes on the way round: mean over the pairs 0-1, 2-3, ...; 0 without."""
    pairs = len(cycle.lifted) // 2
    change = (cycle.lifted - cycle.back)[: 2 * pairs].unflatten(0, (pairs, 2))
    return (change[:, 0] - change[:, 1]).flatten(1).norm(dim=-1).sum() / max(pairs, 1)


def bone_loss(points: Tensor) -> Tensor:
    """Squared differences between the bones' lengths relative to their mean and Human3.6M's: sum over bones."""
    lengths = (points[:, _CHILDREN] - points[:, _PARENTS]).norm(dim=-1)
    ratios = lengths / lengths.mean(dim=-1, keepdim=True).clamp(min=1e-6)
    return (ratios - ratios.new_tensor(BONE_RATIOS)).square().sum(dim=-1).mean()


def mixed(kpts: Tensor) -> Tensor:
    """Each pose (B, J, 2) moved towards its nearest neighbour in the batch, the more the nearer that is.

    The weight of the neighbour is 2 sigmoid(-40 d) for the sum of joint distances d: from 1, for an equal pose, to 0. A
    pose without a neighbour stays.
    """
    if len(kpts) < 2:
        return kpts
    distance = sum(torch.cdist(kpts[:, joint], kpts[:, joint]) for joint in range(kpts.shape[1]))
    assert isinstance(distance, Tensor)
    nearest = distance.fill_diagonal_(torch.inf).min(dim=1)
    weight = 2 * torch.sigmoid(-_MIXING * nearest.values)[:, None, None]
    return (1 - weight) * kpts + weight * kpts[nearest.indices]
