"""LCN's recipe: its target in the picture is exact, it learns, and its evaluation gives the target back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.camera import px_from_cam, rays_from_cam, view_of
from occpose_core.checkpoint import SCREEN, load_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.export import probes
from occpose_core.models import build, describe
from occpose_core.models.pose_model import ModelConfig, PoseModel, mirrored
from tests.training.lcn_files import entries_of, write
from tests.training.short_fit import short_fit
from training.cli import main
from training.data.captured import CapturedDataset, screen
from training.data.lcn_pickles import read
from training.data.windows import WindowConfig
from training.image_pose import image_pose, units_per_m
from training.literature.lifting import Lifter
from training.literature.protocols import MEAN, Trial, as_lcn
from training.recipes.lcn import LCNRecipe, image_loss

EXACT = 1e-4  # relative; the inputs are rounded to single precision


def people(seed: int, count: int, distance_m: float) -> np.ndarray:
    """(count, 17, 3) m in the camera's frame, off the axis."""
    rng = np.random.default_rng(seed)
    root = rng.uniform([-0.3, -0.2, 1.0], [0.3, 0.2, 1.3], size=(count, 3)) * distance_m
    return rng.normal(scale=0.3, size=(count, 17, 3)) * [1.0, 1.5, 1.0] + root[:, None]


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array.astype(np.float32)) for array in arrays]


@given(seed=st.integers(0, 1000), distance_m=st.floats(2.5, 12.0))
def test_a_metre_is_known_in_the_person_view(seed: int, distance_m: float) -> None:
    joints_cam_m = people(seed, 8, distance_m)
    rays = rays_from_cam(joints_cam_m)
    view = view_of(rays[:, None], np.ones((8, 1, 17), dtype=bool))
    kpts = view.normalise(rays[:, None])[:, 0]
    in_view = view.from_cam(joints_cam_m[:, None])[:, 0]
    expected = 1 / (in_view[:, 0, 2] * view.scale[:, 0])
    found = units_per_m(*tensors(kpts, in_view - in_view[:, :1]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=EXACT)


@given(
    seed=st.integers(0, 1000),
    distance_m=st.floats(2.5, 12.0),
    focal=st.floats(0.8, 4.0),
    centre=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
)
def test_a_metre_is_known_before_any_pinhole(
    seed: int, distance_m: float, focal: float, centre: tuple[float, float]
) -> None:
    joints_cam_m = people(seed, 8, distance_m)
    kpts = focal * rays_from_cam(joints_cam_m) + centre
    found = units_per_m(*tensors(kpts, joints_cam_m - joints_cam_m[:, :1]))
    np.testing.assert_allclose(found.numpy(), focal / joints_cam_m[:, 0, 2], rtol=2e-3)


def test_a_person_without_depth_says_what_a_metre_is() -> None:
    joints_cam_m = people(0, 4, 4.0)
    joints_cam_m[..., 2] = joints_cam_m[:, :1, 2]
    found = units_per_m(*tensors(rays_from_cam(joints_cam_m), joints_cam_m - joints_cam_m[:, :1]))
    np.testing.assert_allclose(found.numpy(), 1 / joints_cam_m[:, 0, 2], rtol=EXACT)


def test_the_target_of_a_mirrored_person_is_the_mirrored_target() -> None:
    joints_cam_m = people(0, 4, 4.0)
    kpts, joints = tensors(rays_from_cam(joints_cam_m), joints_cam_m - joints_cam_m[:, :1])
    expected = mirrored(image_pose(kpts, joints))
    torch.testing.assert_close(image_pose(mirrored(kpts), mirrored(joints)), expected, rtol=EXACT, atol=1e-6)


@pytest.mark.parametrize("cameraid", range(4))
def test_the_target_is_the_published_one(cameraid: int, tmp_path: Path) -> None:
    """As the authors' lists have it: screen coordinates, and depth by the box of 2 m around the root."""
    entries = entries_of("S1", 2, cameraid)
    (recording,) = read([write(tmp_path / "h36m_train.pkl", entries)], allow_pickle=True)
    published = np.array([entry["joint_3d_image"] for entry in entries])
    expected = np.concatenate(
        [screen(published[..., :2], recording.camera), published[..., 2:] * 2 / recording.camera.width], axis=-1
    )
    joints = recording.joints_cam_m
    found = image_pose(*tensors(screen(recording.kpts_px, recording.camera), joints - joints[:, :1])).numpy()
    np.testing.assert_allclose(found[..., :2], expected[..., :2], atol=1e-5)
    np.testing.assert_allclose(found[..., 2], expected[..., 2], rtol=5e-3, atol=1e-4)  # the box has a pixel more


class Oracle(PoseModel):
    """Answers the windows' targets in the picture, in their order."""

    def __init__(self, joints_image: torch.Tensor) -> None:
        super().__init__()
        self.config, self.joints_image = ModelConfig(), joints_image

    def answer(self, kpts: torch.Tensor, visible: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"joints_image": self.joints_image}

    def fold(self) -> None:
        """Nothing to make static."""


@pytest.mark.parametrize("normalisation", ["person-view", "screen"])
def test_the_published_evaluation_gives_back_what_is_trained(normalisation: str, tmp_path: Path) -> None:
    path = write(tmp_path / "h36m_test.pkl", entries_of("S9", 3, 1, frames=8))
    (recording,) = read([path], allow_pickle=True)
    np.testing.assert_allclose(px_from_cam(recording.joints_cam_m, recording.camera), recording.kpts_px, atol=1e-2)
    config = WindowConfig(rate_hz=recording.rate_hz, patterns={"clean": 1.0})
    (batch,) = CapturedDataset([recording], config, 8, 0, normalisation, shuffle=False)
    model = Oracle(image_pose(batch["true_kpts"][:, 0], batch["joints_root_m"][:, 0]))
    info = describe("lcn", "lcn", build("lcn", {"channels": 4}), {}, normalisation=normalisation)
    trial = Trial(lifter=Lifter(model, info), recordings=[recording], every=1, seed=0, progress=lambda _: None)
    result = as_lcn(trial)
    assert result.figures[MEAN]["absolute_mm"] < 2.0, "focal lengths along x and y differ by 0.1 %"
    assert "oracle: root depth" in result.table.note


def test_the_loss_is_the_mean_square_of_all_coordinates() -> None:
    joints_cam_m = people(0, 6, 5.0)
    kpts, joints = tensors(2.3 * rays_from_cam(joints_cam_m), joints_cam_m - joints_cam_m[:, :1])
    target = image_pose(kpts, joints)
    assert image_loss(target, kpts, joints) == 0
    error = torch.randn(6, 17, 3)
    assert float(image_loss(target + error, kpts, joints)) == pytest.approx(float(error.square().mean()), rel=1e-4)


def test_people_seen_in_part_do_not_drown_the_others() -> None:
    """Twenty times as large in the picture: errors count as at 3 units a metre."""
    joints_cam_m = people(0, 6, 5.0)
    kpts, joints = tensors(20 * rays_from_cam(joints_cam_m), joints_cam_m - joints_cam_m[:, :1])
    per_m = units_per_m(kpts, joints)
    assert (per_m > 3).all()
    error_m = torch.randn(6, 17, 3)
    loss = image_loss(image_pose(kpts, joints) + error_m * per_m[:, None, None], kpts, joints)
    assert float(loss) == pytest.approx(float((3 * error_m).square().mean()), rel=1e-3)


def test_the_rate_falls_little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = LCNRecipe(config={"channels": 4})
    factors = [recipe._factor_of_step(step) for step in (0, 16_000, 32_000, 64_000)]
    assert factors == pytest.approx([1.0, 0.96**0.5, 0.96, 0.96**2])
    # a run of 5 epochs of 10 steps that stand for 200 published ones ends where these do
    monkeypatch.setattr(LCNRecipe, "trainer", SimpleNamespace(num_training_batches=10))
    recipe.schedule_epochs = 200 / 5
    assert recipe._factor_of_step(50) == pytest.approx(0.96 ** (200 * 7799 / 32_000))
    assert recipe._factor_of_step(25) == pytest.approx(0.96 ** (100 * 7799 / 32_000))


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="paper"),
        pytest.param({"score": True, "learned_mask": True}, id="its options"),
        pytest.param({"masked": True}, id="masked"),
    ],
)
def test_it_learns(config: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = LCNRecipe(config={"channels": 16, "dropout": 0.0, **config}).model.train()
    joints_cam_m = people(0, 64, 5.0)
    joints_cam_m[..., 2] = joints_cam_m[:, :1, 2] + joints_cam_m[..., 0] - joints_cam_m[:, :1, 0]  # something to learn
    kpts, joints = tensors(2 * rays_from_cam(joints_cam_m), joints_cam_m - joints_cam_m[:, :1])
    visible = torch.full((64, 1, 17), 0.8)
    flat = image_loss(torch.cat([kpts, torch.zeros(64, 17, 1)], dim=-1), kpts, joints)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = image_loss(model.answer(kpts[:, None], visible)["joints_image"], kpts, joints)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.9 * flat


def arguments(phase: str, data_file: Path, folder: Path, *more: str) -> list[str]:
    return short_fit(f"lcn/{phase}", data_file, folder, "--model.init_args.config.channels=4", *more)


@pytest.mark.parametrize(
    ("phase", "more", "form", "target"),
    [
        pytest.param("train", ["--trainer.precision=bf16-mixed"], "paper", "image", id="paper"),
        pytest.param("train", ["--model.init_args.config.masked=true"], "masked", "image", id="masked, in the picture"),
        pytest.param("masked", [], "masked", "metric", id="masked"),
    ],
)
def test_every_phase_trains(
    phase: str, more: list[str], form: str, target: str, data_file: Path, tmp_path: Path
) -> None:
    assert main(arguments(phase, data_file, tmp_path, *more)) == 0
    (file,) = tmp_path.glob("*/*.safetensors")
    model, info = load_checkpoint(file)
    assert (info.form, info.config["target"], info.training["steps"]) == (form, target, 2)
    with torch.inference_mode():
        assert torch.isfinite(model(*probes(1))["joints_root_m"]).all()


def test_it_trains_on_the_lists_as_published(tmp_path: Path) -> None:
    entries = [entry for subject in ("S1", "S8") for entry in entries_of(subject, 2, 0, frames=20)]
    path = write(tmp_path / "h36m_train.pkl", entries)
    options = [
        "--data=training.data.captured.CapturedWindows",
        "--data.format=lcn",
        "--data.normalisation=screen",
        "--data.allow_pickle=true",
        "--data.window.rate_hz=10",
    ]
    given = [each for each in arguments("train", path, tmp_path) if "validation_windows" not in each]
    assert main([*given[:2], *options, *given[2:]]) == 0
    _, info = load_checkpoint(tmp_path / "lcn-paper" / "lcn-paper.safetensors", (SCREEN,))
    assert info.normalisation == SCREEN


def test_another_target_is_refused() -> None:
    with pytest.raises(OccposeError, match="target 'image', got 'metric'; use recipe lift"):
        LCNRecipe(config={"channels": 4, "target": "metric"})
