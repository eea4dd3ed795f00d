"""`python -m training calibrate`: sigmas and intervals that hold what they promise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from occpose_core.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from occpose_core.cli import main as occpose  # noqa: E402
from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.metrics import CHI3_RADII  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from tests.core.standing_stream import info_of, standing_stream  # noqa: E402
from training.__main__ import main  # noqa: E402
from training.calibrate import Calibration, fit  # noqa: E402

N = 200_000


def gaussian_m(sigma_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lengths of errors of standard deviation sigma along each of three axes."""
    return np.asarray(sigma_m * np.linalg.norm(rng.standard_normal((len(sigma_m), 3)), axis=-1))


def heavy_m(sigma_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Student's errors of 5 degrees of freedom and that standard deviation: their tails are heavier."""
    scale = np.sqrt(5 / rng.chisquare(5, len(sigma_m)) * 3 / 5)
    return scale * gaussian_m(sigma_m, rng)


def claims(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """True sigmas (N,) m of all sizes, and which joints are hidden."""
    return np.exp(rng.uniform(np.log(0.02), np.log(0.4), N)), rng.random(N) < 0.3


def coverage(found: Calibration, error_m: np.ndarray, sigma_m: np.ndarray, hidden: np.ndarray) -> list[list[float]]:
    """Share of errors inside the two intervals after calibration, of hidden and of visible joints."""
    ratio = error_m / (sigma_m * np.where(hidden, *found.scale))
    return [[float((ratio[kind] <= radius).mean()) for radius in found.interval_radii] for kind in (hidden, ~hidden)]


def test_gaussian_errors_get_the_radii_of_a_gaussian_and_their_own_scale_back() -> None:
    rng = np.random.default_rng(0)
    sigma_m, hidden = claims(rng)
    error_m = gaussian_m(sigma_m, rng)
    found = fit(error_m, sigma_m / np.where(hidden, 3.0, 0.5), hidden)
    assert found.scale == pytest.approx((3.0, 0.5), rel=0.01)
    assert found.interval_radii == pytest.approx(CHI3_RADII, rel=0.01)


@pytest.mark.parametrize("factors", [(1.0, 1.0), (4.0, 0.7), (0.2, 2.0)], ids=str)
@pytest.mark.parametrize("errors", [gaussian_m, heavy_m])
def test_both_kinds_keep_the_promises_and_sigma_is_a_standard_deviation(errors, factors: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    sigma_m, hidden = claims(rng)
    error_m, claimed_m = errors(sigma_m, rng), sigma_m / np.where(hidden, *factors)
    found = fit(error_m, claimed_m, hidden)
    assert found.scale == pytest.approx(factors, rel=0.03)
    for inside in coverage(found, error_m, claimed_m, hidden):
        assert inside == pytest.approx([0.5, 0.9], abs=0.01)
    scaled_m = claimed_m * np.where(hidden, *found.scale)
    assert np.mean(error_m**2) == pytest.approx(3 * np.mean(scaled_m**2), rel=1e-6)


def test_heavy_tails_get_a_narrower_half_and_a_wider_rest() -> None:
    rng = np.random.default_rng(2)
    sigma_m, hidden = claims(rng)
    half, most = fit(heavy_m(sigma_m, rng), sigma_m, hidden).interval_radii
    assert half < 0.95 * CHI3_RADII[0] and most / half > 1.05 * CHI3_RADII[1] / CHI3_RADII[0]


def test_kinds_of_different_laws_share_the_difference() -> None:
    rng = np.random.default_rng(3)
    sigma_m, hidden = claims(rng)
    error_m = np.where(hidden, heavy_m(sigma_m, rng), gaussian_m(sigma_m, rng))
    of_hidden, of_visible = np.array(coverage(fit(error_m, sigma_m, hidden), error_m, sigma_m, hidden)) - [0.5, 0.9]
    assert of_hidden[0] > 0 > of_visible[0] and of_hidden[1] < 0 < of_visible[1]
    assert np.abs([of_hidden, of_visible]).max() < 0.06


@pytest.mark.parametrize("hidden", [0, 99, 901])
def test_too_few_joints_are_refused(hidden: int) -> None:
    with pytest.raises(OccposeError, match="too few hidden or visible joints"):
        fit(np.ones(1000), np.ones(1000), np.arange(1000) < hidden)


# --- the command


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network that takes everybody for one figure, and is far too sure where it sees nothing."""
    path, model = tmp_path_factory.mktemp("stream") / "standing.safetensors", standing_stream()
    model.sigma_scale *= torch.tensor([0.2, 3.0])
    save_checkpoint(path, model, info_of(model))
    return path


@pytest.fixture
def calibrated(checkpoint: Path, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "calibrated.safetensors"
    shutil.copy(checkpoint, path)
    assert main(["calibrate", str(path), "--files", str(data_file)]) == 0
    assert {line.split(":")[0] for line in capsys.readouterr().out.splitlines()} == {"sigma", "intervals", "depth"}
    return path


def intervals(model: Path, data_file: Path, out: Path) -> dict[str, np.ndarray]:
    """Shares inside the 50 % and 90 % intervals, of hidden and visible joints, as `occpose evaluate` finds them."""
    data = ("--data", str(data_file), "--split", "val", "--rig", "held-out", "--input", "noisy")
    assert occpose(["evaluate", "--model", str(model), *data, "--pattern", "layout(coco17)", "--json", str(out)]) == 0
    (row,) = json.loads(out.read_text())["results"]
    return {kind: np.array([of["p50"], of["p90"]]) for kind, of in row["calibration"].items()}


def test_the_file_is_written_anew_with_scales_and_radii_and_nothing_else(
    checkpoint: Path, data_file: Path, calibrated: Path
) -> None:
    (before, old), (after, new) = (load_checkpoint(path) for path in (checkpoint, calibrated))
    changed = {name for name, each in after.state_dict().items() if not torch.equal(each, before.state_dict()[name])}
    assert changed == {"sigma_scale"}
    hidden, visible = (after.sigma_scale / before.sigma_scale).tolist()
    assert hidden > 5 * visible  # it was 15 times too sure of the hidden ones, against the others
    assert old.interval_radii != new.interval_radii and new.interval_radii[0] < new.interval_radii[1]
    assert 0.5 < new.stature_gain < 2.0 and new.stature_gain != old.stature_gain
    assert new.training["calibrated_on"] == [data_file.name]
    assert (new.name, new.outputs, new.state_size) == (old.name, old.outputs, old.state_size)


def test_the_benchmark_then_finds_the_promised_shares(
    checkpoint: Path, data_file: Path, calibrated: Path, tmp_path: Path
) -> None:
    before, after = (intervals(path, data_file, tmp_path / f"{path.stem}.json") for path in (checkpoint, calibrated))
    for kind in ("hidden", "visible"):
        assert after[kind] == pytest.approx([0.5, 0.9], abs=0.1)
        assert np.abs(before[kind] - [0.5, 0.9]).max() > 0.2


def test_people_of_known_stature_are_then_at_their_depth(data_file: Path, calibrated: Path, tmp_path: Path) -> None:
    """In the median over both patterns."""
    data = ("--data", str(data_file), "--split", "val", "--rig", "held-out", "--input", "noisy")
    out = tmp_path / "figures.json"
    command = ["evaluate", "--model", str(calibrated), *data, "--pattern", "layout(coco17)", "natural"]
    assert occpose([*command, "--json", str(out)]) == 0
    biases = [row["place"]["depth_bias"]["known"] for row in json.loads(out.read_text())["results"]]
    assert min(biases) - 1e-3 <= 0.0 <= max(biases) + 1e-3


def test_calibrating_twice_changes_nothing(data_file: Path, calibrated: Path) -> None:
    model, info = load_checkpoint(calibrated)
    assert main(["calibrate", str(calibrated), "--files", str(data_file)]) == 0
    again, same = load_checkpoint(calibrated)
    torch.testing.assert_close(again.sigma_scale, model.sigma_scale, rtol=1e-4, atol=0)
    assert same.interval_radii == pytest.approx(info.interval_radii, rel=1e-4)
    assert same.stature_gain == pytest.approx(info.stature_gain, rel=2e-3)


def test_other_families_are_refused_in_one_sentence(
    data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model = tmp_path / "lcn.safetensors", build("lcn", {"channels": 8})
    save_checkpoint(path, model, describe("lcn", "lcn", model, {}))
    before = path.read_bytes()
    assert main(["calibrate", str(path), "--files", str(data_file)]) == 2
    assert capsys.readouterr().err == f"error: {path} holds a lcn; only streaming networks are calibrated\n"
    assert path.read_bytes() == before


def test_too_little_motion_is_refused_and_the_file_stays(
    checkpoint: Path, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copy(checkpoint, tmp_path / "x.safetensors")
    assert main(["calibrate", str(path), "--files", str(data_file), "--max-frames", "2"]) == 2
    assert "give files with more validation motion" in capsys.readouterr().err
    assert path.read_bytes() == checkpoint.read_bytes()


def test_a_number_of_frames_that_is_none_is_refused(checkpoint: Path, data_file: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["calibrate", str(checkpoint), "--files", str(data_file), "--max-frames", "0"])
