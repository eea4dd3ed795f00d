"""The streaming recipe: trains, learns, goes on after a stop, and writes a model that says how it is used."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from occpose_core.checkpoint import RAYS, load_checkpoint
from occpose_core.models.stream import Stream
from tests.training.short_fit import short_fit
from training.cli import main
from training.data.batch import Batch
from training.data.mocap import read_clips
from training.data.streams import SequenceConfig, Sequences
from training.losses import laplace_nll, weighted_mean
from training.recipes.stream import StreamRecipe, ever_seen

TINY = {"width": 16, "memory": 8, "blocks": 2}


def fit(data_file: Path, runs: Path, *more: str) -> int:
    small = ("--model.init_args.config={width: 16, memory: 8, blocks: 2}", "--data.batch_size=8")
    frames = (
        "--data.sequence.frames=12",
        "--data.sequence.patterns={natural: 1.0}",
        "--data.sequence.rates_hz={30: 1}",
    )
    return main(short_fit("stream/s", data_file, runs, *small, *frames, *more))


@pytest.fixture(scope="module")
def runs(data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, trained for two steps."""
    folder = tmp_path_factory.mktemp("runs")
    assert fit(data_file, folder) == 0
    return folder


def test_the_written_model_says_how_it_is_used(runs: Path) -> None:
    model, info = load_checkpoint(runs / "stream-s" / "stream-s.safetensors")
    assert isinstance(model, Stream)
    assert (info.name, info.family, info.form, info.normalisation) == ("stream-s", "stream", "own", RAYS)
    assert (info.streaming, info.timed, info.window, info.rate_hz, info.state_size) == (True, True, 0, 0.0, 83)
    assert info.outputs == ("joints_root_m", "sigma_m", "filled")
    assert (info.training["steps"], info.training["poses"]) == (2, 2 * 8 * 12)
    figures = info.training["figures"]
    assert {"train_loss", "val_mpjpe_mm", "val_hidden_mm", "val_acceleration_mm"} <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())


def test_a_second_run_goes_on_where_the_first_stopped(
    runs: Path, data_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(data_file, runs, "--trainer.max_epochs=2") == 0
    assert "resuming from" in capsys.readouterr().err
    assert load_checkpoint(runs / "stream-s" / "stream-s.safetensors")[1].training["steps"] == 4


def test_what_is_written_is_the_moving_average_of_the_weights(runs: Path) -> None:
    written = load_checkpoint(runs / "stream-s" / "stream-s.safetensors")[0].state_dict()
    last = torch.load(runs / "stream-s" / "last.ckpt", weights_only=True)
    for name, each in written.items():
        assert torch.equal(each, last["state_dict"][f"model.{name}"]), name
    newest = last["current_model_state"]
    assert not torch.equal(written["head.weight"], newest["model.head.weight"])


def test_a_run_that_is_killed_after_its_last_epoch_writes_the_same_model(data_file: Path, tmp_path: Path) -> None:
    assert fit(data_file, tmp_path) == 0
    path = tmp_path / "stream-s" / "stream-s.safetensors"
    first = path.rename(tmp_path / "first.safetensors")
    assert fit(data_file, tmp_path) == 0
    again, expected = (load_checkpoint(each)[0].state_dict() for each in (path, first))
    assert all(torch.equal(each, expected[name]) for name, each in again.items())


def test_a_trained_network_is_one_to_start_from(runs: Path, data_file: Path, tmp_path: Path) -> None:
    start = runs / "stream-s" / "stream-s.safetensors"
    nothing = ("--trainer.max_epochs=0", f"--model.init_args.init={start}", "--name=again")
    assert fit(data_file, tmp_path, *nothing) == 0
    again, _ = load_checkpoint(tmp_path / "again" / "again.safetensors")
    expected = load_checkpoint(start)[0].state_dict()
    assert all(torch.equal(each, expected[name]) for name, each in again.state_dict().items())


@pytest.mark.parametrize(
    ("option", "says"),
    [
        pytest.param("--model.init_args.config={width: 15}", "needs an even width", id="odd width"),
        pytest.param("--data.shares=[0.5, 0.5]", "2 shares are given for 1 files", id="shares"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    option: str, says: str, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(data_file, tmp_path, option) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said


def recipe(**options: float) -> StreamRecipe:
    torch.manual_seed(0)
    made = StreamRecipe(config=TINY, **options)
    made._trainer = SimpleNamespace(max_epochs=1000)
    made.log = lambda *_, **__: None
    return made


def batch_of(data_file: Path, **changes: object) -> Batch:
    config = SequenceConfig(frames=16, rates_hz={30.0: 1.0}, patterns={"natural": 1.0}, **changes)
    return next(iter(Sequences(read_clips([data_file], "train"), {}, config, 16, seed=0)))


def hidden_mm(made: StreamRecipe, batch: Batch) -> float:
    """Its validation figure of hidden joints."""
    figures: dict[str, float] = {}
    made.log = lambda name, value, **_: figures.update({name: float(value)})
    with torch.no_grad():
        made.validation_step(batch, 0)
    return figures["val_hidden_mm"]


def test_it_learns_what_it_is_shown(data_file: Path) -> None:
    trained, batch = recipe(), batch_of(data_file)
    [optimizer], _ = trained.configure_optimizers()
    losses = []
    for _ in range(80):
        loss = trained.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
    assert hidden_mm(trained, batch) < 0.5 * hidden_mm(recipe(), batch)
    with torch.no_grad():
        sigma_m = [
            each.model.answer(batch["kpts"], batch["visible"], batch["dt_s"])["sigma_m"].mean()
            for each in (trained, recipe())
        ]
    assert sigma_m[0] < 0.6 * sigma_m[1]


def test_the_schedule_reaches_both_optimisers() -> None:
    made = recipe(learning_rate=1e-3, matrix_rate=0.02)
    [optimizer], [schedule] = made.configure_optimizers()
    rates = [[group["lr"] for part in optimizer.parts for group in part.param_groups]]
    optimizer.step()
    schedule.step()
    rates.append([group["lr"] for part in optimizer.parts for group in part.param_groups])
    assert rates[0] == pytest.approx([0.01, 5e-4]) and rates[1] == pytest.approx([0.02, 1e-3])
    trained = {id(each) for part in optimizer.parts for group in part.param_groups for each in group["params"]}
    assert trained == {id(each) for each in made.parameters()}


def test_frames_before_the_person_was_seen_and_garbage_cost_nothing(data_file: Path) -> None:
    batch, made = batch_of(data_file), recipe()
    batch["visible"][:, :4] = 0.0
    loss = made.training_step(batch, 0)
    hidden = batch["visible"][..., None] == 0
    garbage = torch.where(hidden, torch.full_like(batch["kpts"], 1e6), batch["kpts"])
    assert made.training_step({**batch, "kpts": garbage}, 0) == loss
    before = batch["joints_root_m"].clone()
    before[:, :3] += 5.0
    assert made.training_step({**batch, "joints_root_m": before}, 0) == loss


def test_nobody_seen_at_all_gives_a_loss_of_nothing(data_file: Path) -> None:
    batch = batch_of(data_file)
    loss = recipe().training_step({**batch, "visible": torch.zeros_like(batch["visible"])}, 0)
    assert loss == 0


def test_velocities_are_of_time_and_not_of_frames(data_file: Path) -> None:
    """The same error in a frame of double length is half the error of velocity."""
    batch = batch_of(data_file)
    only = recipe(velocity_weight=1.0, acceleration_weight=0.0, filled_weight=0.0, sigma_weight=0.0)
    none = recipe(velocity_weight=0.0, acceleration_weight=0.0, filled_weight=0.0, sigma_weight=0.0)
    answer = only.model.answer(batch["kpts"], batch["visible"], batch["dt_s"])
    for each in (only, none):
        each.model.answer = lambda *_: answer
    slow = {**batch, "dt_s": 2 * batch["dt_s"]}
    position = none.training_step(batch, 0)
    assert none.training_step(slow, 0) == position
    fast_part, slow_part = (only.training_step(each, 0) - position for each in (batch, slow))
    torch.testing.assert_close(fast_part, 2 * slow_part)
    assert slow_part > 0


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 0.5), (1, 1.0), (50, 1.0), (99, 1.0), (100, 20 / 21), (119, 1 / 21), (120, 0.0)],
)
def test_the_rate_rises_rests_and_falls_to_nothing(epoch: int, factor: float) -> None:
    made = recipe()
    made._trainer = SimpleNamespace(max_epochs=120)
    assert made.learning_rate_factor(epoch) == pytest.approx(factor)


def test_the_rate_of_a_run_with_a_budget_falls_over_its_fewer_epochs() -> None:
    made, whole = recipe(), recipe()
    made._trainer, made.schedule_epochs = SimpleNamespace(max_epochs=20), 6.0
    whole._trainer = SimpleNamespace(max_epochs=120)
    assert [made._factor_of_run(epoch) for epoch in range(21)] == pytest.approx(
        [whole.learning_rate_factor(6 * epoch) for epoch in range(21)]
    )


# --- losses ----------------------------------------------------------------------------------------------------------


def test_a_person_counts_from_the_first_frame_on_that_shows_anything() -> None:
    visible = torch.zeros(3, 4, 17)
    visible[0, 1, 5] = 0.2
    visible[1, 0] = 1.0
    assert ever_seen(visible).tolist() == [[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("weight", "mean"),
    [([1.0, 1.0, 1.0], 2.0), ([1.0, 0.0, 0.0], 1.0), ([1.0, 0.0, 3.0], 2.5), ([0.0, 0.0, 0.0], 0.0)],
)
def test_a_weighted_mean_is_one(weight: list[float], mean: float) -> None:
    assert weighted_mean(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(weight)) == mean


def test_the_laplace_likelihood_is_best_for_the_true_spread() -> None:
    """Distances of 3D points of density exp(-2 r / sigma) are Gamma distributed; sigma is their sd along each axis."""
    rng = np.random.default_rng(0)
    sigma_m = 0.2
    error_m = rng.gamma(3.0, sigma_m / 2, size=200_000)
    direction = rng.standard_normal((200_000, 3))
    points = error_m[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    assert points.std(axis=0) == pytest.approx([sigma_m] * 3, rel=0.02)
    scale = torch.tensor(sigma_m, requires_grad=True)
    laplace_nll(torch.from_numpy(error_m).float(), scale).mean().backward()
    assert scale.grad == pytest.approx(0.0, abs=0.1)
    wrong = [laplace_nll(torch.from_numpy(error_m), torch.tensor(sigma_m * f)).mean() for f in (0.8, 1.0, 1.25)]
    assert wrong[1] < min(wrong[0], wrong[2])
