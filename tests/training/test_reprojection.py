"""Losses of label-free lifting against plain loops, and on people whose depth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from occpose_core.models.elepose import BONE_RATIOS, DEPTH, ElePose, ElePoseConfig
from occpose_core.skeleton import H36M17
from tests.tolerances import FLOAT32
from training.reprojection import (
    Cycle,
    bone_loss,
    deformation_loss,
    go_round,
    mixed,
    pose_distance,
    project,
    random_cameras,
    reprojection_loss,
)


def people(count: int, seed: int = 0) -> torch.Tensor:
    """(B, 17, 3) joints around the pelvis, about as far from it as those of people."""
    points = 0.5 * torch.randn((count, 17, 3), generator=torch.Generator().manual_seed(seed))
    return points - points[:, :1]


def cycle(count: int, seed: int = 0) -> Cycle:
    lifted, turned, again, back = (people(count, seed + each) for each in range(4))
    return Cycle(lifted=lifted, turned=turned, seen=project(turned), lifted_again=again, back=back)


def doubled(half: Cycle) -> Cycle:
    return Cycle(**{name: torch.cat([value, value]) for name, value in vars(half).items()})


def test_cameras_are_turned_upright_then_round_then_tilted_as_others_are() -> None:
    elevation, azimuth, normal = torch.tensor([0.3, -0.1, 0.2]), torch.tensor([2.0, -1.0, 0.5]), torch.randn(3)
    cameras = random_cameras(elevation, azimuth, normal)
    for row in range(3):
        tilt = -elevation.mean() + elevation.numpy().std() * normal[row]
        expected = Rotation.from_euler("XYX", [float(tilt), float(azimuth[row]), float(elevation[row])])
        np.testing.assert_allclose(cameras[row], expected.as_matrix(), atol=1e-6)


def test_new_cameras_are_raised_as_the_given_ones_are() -> None:
    elevation = 0.2 + 0.1 * torch.randn(20_000)
    cameras = random_cameras(elevation, torch.zeros_like(elevation), torch.randn_like(elevation))
    # without azimuth only the difference of both tilts is left
    tilt = torch.atan2(cameras[:, 2, 1], cameras[:, 1, 1]) - elevation
    assert float(tilt.mean()) == pytest.approx(-0.2, abs=0.01)
    assert float(tilt.std()) == pytest.approx(0.1, abs=0.01)


def test_the_spread_of_elevations_is_learned() -> None:
    elevation = torch.randn(5, requires_grad=True)
    random_cameras(elevation, torch.randn(5), torch.randn(5))[:, 2, 1].sum().backward()
    assert (elevation.grad != 0).all()


def test_losses_equal_plain_loops() -> None:
    given, kpts = cycle(6), 0.1 * torch.randn(6, 17, 2)
    lifted, turned, again, back = (
        each.double().numpy() for each in (given.lifted, given.turned, given.lifted_again, given.back)
    )
    distance, seen, bones, deformation = [], [], [], []
    for b in range(6):
        distance.append(np.sqrt(((turned[b] - again[b]) ** 2).sum()))
        seen.append(
            sum(
                abs(back[b, j, axis] / (back[b, j, 2] + 10) - float(kpts[b, j, axis]))
                for j in range(17)
                for axis in (0, 1)
            )
        )
        lengths = [np.linalg.norm(lifted[b, child] - lifted[b, parent]) for parent, child in H36M17.bones]
        ratios = np.array(lengths) / np.mean(lengths)
        bones.append(sum((ratio - prior) ** 2 for ratio, prior in zip(ratios, BONE_RATIOS, strict=True)))
    for b in (0, 2, 4):
        change = (lifted[b] - lifted[b + 1]) - (back[b] - back[b + 1])
        deformation.append(np.sqrt((change**2).sum()))
    assert float(pose_distance(given.turned, given.lifted_again)) == pytest.approx(np.mean(distance), rel=1e-5)
    assert float(reprojection_loss(given, kpts)) == pytest.approx(np.mean(seen), rel=1e-5)
    assert float(bone_loss(given.lifted)) == pytest.approx(np.mean(bones), rel=1e-5)
    assert float(deformation_loss(given)) == pytest.approx(np.mean(deformation), rel=1e-5)


def test_a_batch_given_twice_has_the_losses_of_the_batch() -> None:
    half, kpts = cycle(6), 0.1 * torch.randn(6, 17, 2)
    twice = doubled(half)
    torch.testing.assert_close(
        pose_distance(twice.turned, twice.lifted_again), pose_distance(half.turned, half.lifted_again)
    )
    torch.testing.assert_close(reprojection_loss(twice, torch.cat([kpts, kpts])), reprojection_loss(half, kpts))
    torch.testing.assert_close(deformation_loss(twice), deformation_loss(half))
    torch.testing.assert_close(bone_loss(twice.lifted), bone_loss(half.lifted))


def test_the_second_half_of_a_doubled_batch_counts_in_every_loss() -> None:
    twice, kpts = doubled(cycle(4)), torch.zeros(8, 17, 2)
    other = Cycle(**{name: torch.cat([value[:4], 2 * value[4:]]) for name, value in vars(twice).items()})
    other = Cycle(**{**vars(other), "lifted": torch.cat([twice.lifted[:4], cycle(4, seed=9).lifted])})
    assert pose_distance(other.turned, other.lifted_again) > 1.2 * pose_distance(twice.turned, twice.lifted_again)
    assert reprojection_loss(other, kpts) > 1.2 * reprojection_loss(twice, kpts)
    assert not torch.isclose(deformation_loss(other), deformation_loss(twice))
    assert not torch.isclose(bone_loss(other.lifted), bone_loss(twice.lifted))


@pytest.mark.parametrize("count", [1, 3])
def test_a_person_without_a_partner_is_left_out_of_the_pairs(count: int) -> None:
    loss = deformation_loss(cycle(count))
    pairs = Cycle(**{name: value[: count // 2 * 2] for name, value in vars(cycle(count)).items()})
    torch.testing.assert_close(loss, deformation_loss(pairs))
    assert torch.isfinite(loss)


class _Knowing(ElePose):
    """Knows the true depths: of the people first, then of the people as the random cameras of the seed show them."""

    def __init__(self, truth: torch.Tensor, elevation: torch.Tensor, seed: int) -> None:
        super().__init__(ElePoseConfig(hidden=8))
        self.truth, self.elevations, self.seed = truth, elevation, seed

    def points_and_elevation(self, kpts: torch.Tensor, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._lifted(kpts, self.truth), self.elevations

    def points(self, kpts: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(self.seed)
        azimuth = torch.pi * (2 * torch.rand_like(self.elevations) - 1)
        cameras = random_cameras(self.elevations, azimuth, torch.randn_like(self.elevations))
        return self._lifted(kpts, torch.einsum("bij,bkj->bki", cameras, self.truth))

    @staticmethod
    def _lifted(kpts: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        depth = truth[..., 2:] + DEPTH
        return torch.cat([kpts * depth, depth], dim=-1)


def test_true_depths_come_round_without_loss() -> None:
    truth, elevation = people(8), 0.2 * torch.randn(8)
    kpts = project(truth)
    knowing = _Knowing(truth, elevation, seed=5)
    torch.manual_seed(5)
    given = go_round(knowing, kpts, torch.ones(8, 17, 1))
    torch.testing.assert_close(given.lifted, truth, rtol=0, atol=FLOAT32)
    assert not torch.allclose(given.turned, truth, atol=0.1)
    for loss in (pose_distance(given.turned, given.lifted_again), deformation_loss(given)):
        assert float(loss) < 1e-4
    assert float(reprojection_loss(given, kpts)) < 1e-4


def test_without_azimuth_equal_cameras_show_the_same() -> None:
    elevation = torch.full((5,), 0.4)
    cameras = random_cameras(elevation, torch.zeros(5), torch.randn(5))
    torch.testing.assert_close(cameras, torch.eye(3).expand(5, 3, 3), rtol=0, atol=FLOAT32)


def slow_mixed(kpts: np.ndarray) -> np.ndarray:
    result = []
    for b, pose in enumerate(kpts):
        distances = [
            np.inf if b == other else sum(np.linalg.norm(pose[j] - kpts[other][j]) for j in range(17))
            for other in range(len(kpts))
        ]
        nearest = int(np.argmin(distances))
        weight = 2 / (1 + np.exp(40 * distances[nearest]))
        result.append((1 - weight) * pose + weight * kpts[nearest])
    return np.array(result)


def test_mixing_equals_a_plain_loop() -> None:
    base = torch.randn(1, 17, 2, dtype=torch.float64)
    kpts = base + 0.002 * torch.randn(7, 17, 2, dtype=torch.float64)
    np.testing.assert_allclose(mixed(kpts), slow_mixed(kpts.numpy()), atol=1e-6)


def test_mixed_poses_lie_between_a_pose_and_its_neighbour() -> None:
    """The released code has the opposite sign, by which they lie beyond the neighbour."""
    first = 0.1 * torch.randn(1, 17, 2)
    for gap in (1e-4, 1e-3, 1e-2):
        kpts = torch.cat([first, first + gap])
        share = (mixed(kpts)[0] - kpts[0]) / gap
        assert ((share > -1e-3) & (share < 1 + 1e-3)).all()
    near, far = (float(((mixed(torch.cat([first, first + gap])) - first)[0] / gap).mean()) for gap in (1e-3, 2e-3))
    assert near > far > 0


def test_far_and_lonely_poses_are_not_mixed() -> None:
    kpts = torch.randn(5, 17, 2)
    torch.testing.assert_close(mixed(kpts), kpts)
    assert torch.equal(mixed(kpts[:1]), kpts[:1])
