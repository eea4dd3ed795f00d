"""A loss that is not finite names the recording that it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from occpose_core.errors import OccposeError
from tests.training.short_fit import short_fit
from training.cli import main
from training.data import windows
from training.data.clip import Clip
from training.data.mocap import read_clips
from training.origin import origin


class Data:
    """Names windows as data modules do."""

    def origin(self, step: str, clip: int, start: int) -> str:
        return f"{step} clip {clip} at {start}"


def batch(wrong: dict[int, float]) -> dict[str, torch.Tensor]:
    kpts = torch.ones(6, 2, 17, 2)
    for index, value in wrong.items():
        kpts[index, 1, 3, 0] = value
    return {"kpts": kpts, "visible": torch.ones(6, 2, 17), "clip": torch.arange(6), "start": 10 * torch.arange(6)}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param({2: np.nan}, "not finite are in train clip 2 at 20: mend", id="nan"),
        pytest.param({1: -np.inf, 4: np.nan}, "in train clip 1 at 10; train clip 4 at 40: mend", id="two"),
        pytest.param(dict.fromkeys(range(5), np.nan), "clip 2 at 20 and 2 more: mend", id="many"),
        pytest.param({3: 1e9}, "the largest is 1e+09 in train clip 3 at 30: lower model.learning_rate", id="large"),
    ],
)
def test_windows_to_blame_are_named(wrong: dict[int, float], told: str) -> None:
    assert told in origin(batch(wrong), Data(), "train")


def test_without_an_origin_there_is_still_a_remedy() -> None:
    nameless = {"kpts": torch.full((1, 1, 17, 2), torch.nan)}
    for given, data in ((None, Data()), (nameless, Data()), (batch({}), None)):
        assert "lower model.learning_rate or look at the data" in origin(given, data, "train")


@pytest.mark.parametrize(("split", "recipe"), [("train", "lift"), ("val", "filling")])
def test_a_poisoned_recording_is_named(
    split: str,
    recipe: str,
    data_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The reader refuses files with such numbers; those that slip in by another way are found."""

    def poisoned(files: list[Path], which: str) -> list[Clip]:
        clips = read_clips(files, which)
        if which == split:
            clips[0].joints_world_m[:, 5] = np.nan
        return clips

    monkeypatch.setattr(windows, "read_clips", poisoned)
    assert main(short_fit(recipe, data_file, tmp_path, "--model.init_args.config={masked: true, channels: 8}")) == 2
    told = capsys.readouterr().err
    assert f"'walk_{split}'" in told and str(data_file) in told and "frames" in told
    assert f"{split} loss is nan in epoch 0, batch 0" in told


def test_a_missing_motion_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OccposeError, match="nothing"):
        read_clips([tmp_path / "nothing.npz"], "train")
