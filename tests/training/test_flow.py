"""The 2D prior: a true density on its own principal components, in a file that runs no code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from occpose_core.checkpoint import ModelFileError, save_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.models import build, describe
from training.flow import FlowConfig, PoseFlow, load_flow


def poses(count: int = 400, seed: int = 0) -> torch.Tensor:
    """(N, 17, 2) of fewer dimensions than coordinates, as real poses are."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn((34, 34), generator=torch.Generator().manual_seed(99)) * 0.8 ** torch.arange(34)
    return 0.02 * (torch.randn((count, 34), generator=generator) @ directions.T).unflatten(1, (17, 2))


def flow(whiten: bool = False, hidden: int = 32) -> PoseFlow:
    torch.manual_seed(0)
    np.random.seed(0)
    model = PoseFlow(FlowConfig(hidden=hidden, whiten=whiten))
    model.fit_components(poses())
    with torch.no_grad():  # away from the start, where it changes next to nothing
        for each in model.parameters():
            if each.requires_grad:
                each.add_(0.05 * torch.randn_like(each))
    return model


def test_parameters_are_the_released_ones() -> None:
    """Eight blocks' networks, scales and offsets, and both directions of their permutations, which are not trained."""
    model = PoseFlow(FlowConfig())
    assert sum(each.numel() for each in model.parameters()) == 339_120
    assert sum(each.numel() for each in model.parameters() if not each.requires_grad) == 8 * 2 * 26 * 26


def test_components_are_the_leading_principal_ones() -> None:
    model, flat = flow(), poses().flatten(1).double().numpy()
    variance, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
    leading = vectors[:, ::-1][:, :26]
    np.testing.assert_allclose(np.abs(leading.T @ model.basis.double().numpy()), np.eye(26), atol=1e-3)
    spread = model.components(poses()).var(dim=0).numpy()
    np.testing.assert_allclose(spread, variance[::-1][:26], rtol=1e-2)


@pytest.mark.parametrize("whiten", [False, True])
def test_likelihood_is_that_of_a_change_of_variables(whiten: bool) -> None:
    model = flow(whiten).double()
    for pose in poses(3, seed=4).double():
        component = model.components(pose[None])[0]

        def from_component(values: torch.Tensor) -> torch.Tensor:
            return model.net(values[None] * model.scale)[0][0]

        jacobian = torch.autograd.functional.jacobian(from_component, component)
        expected = 0.5 * from_component(component).square().sum() - torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(model.nll(pose[None])[0], expected)


@pytest.mark.parametrize("whiten", [False, True])
def test_training_makes_real_poses_likelier_than_others(whiten: bool) -> None:
    model = flow(whiten)
    optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], 3e-3)
    before = model.nll(poses(seed=7)).mean().item()
    for step in range(60):
        loss = model.nll(poses(128, seed=100 + step)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    real = model.nll(poses(seed=7)).mean().item()
    assert real < before
    assert model.nll(1.0 + poses(seed=7)).mean().item() > real + 5


def test_likelihood_stays_in_single_precision() -> None:
    model, given = flow(), poses(8)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.nll(given)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, model.nll(given))


def test_components_travel_with_the_flow(tmp_path: Path) -> None:
    """The released flow was trained on the components of another data set than it is used on."""
    model = flow(whiten=True)
    model.save(tmp_path / "flow.safetensors", {"steps": 3})
    loaded = load_flow(tmp_path / "flow.safetensors")
    assert loaded.config == model.config
    assert loaded.fitted
    assert torch.equal(loaded.nll(poses(seed=1)), model.nll(poses(seed=1)))


def test_a_fresh_flow_has_no_components_and_needs_enough_poses() -> None:
    model = PoseFlow(FlowConfig(hidden=8))
    assert not model.fitted
    with pytest.raises(OccposeError, match="34 poses are too few"):
        model.fit_components(poses(34))


def _lifter(path: Path) -> None:
    model = build("elepose", {"hidden": 8})
    save_checkpoint(path, model, describe("mine", "elepose", model, {}))


def _other_size(path: Path) -> None:
    model = flow()
    model.config = FlowConfig(hidden=16)
    model.save(path, {})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda path: None, "no flow at", id="missing"),
        pytest.param(lambda path: path.write_text("flow"), "not a readable safetensors", id="text"),
        pytest.param(lambda path: save_file({"x": torch.zeros(1)}, path), "is no flow", id="foreign"),
        pytest.param(_lifter, "is no flow", id="lifter"),
        pytest.param(_other_size, "fit no flow", id="other sizes"),
    ],
)
def test_other_files_are_refused_in_one_sentence(damage: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    damage(tmp_path / "flow.safetensors")
    with pytest.raises(ModelFileError, match=says) as caught:
        load_flow(tmp_path / "flow.safetensors")
    assert "\n" not in str(caught.value)
