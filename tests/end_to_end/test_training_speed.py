"""Training is measured from where torch is not imported, or the reason is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from occpose_ros.bench.training_speed import TrainingSpeedError, training_missing, training_speed

TINY = [
    "--model.init_args.config={width: 16, memory: 8, blocks: 1}",
    "--data.batch_size=4",
    "--data.workers=0",
    "--data.sequence.patterns={natural: 1.0}",
]


@pytest.mark.skipif(training_missing() != "", reason=training_missing())
def test_training_is_measured_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # wherever the command is given
    figures = training_speed(0.1, TINY)
    assert figures["steps"] >= 3
    assert figures["poses_per_s"] == pytest.approx(64 * figures["sequences_per_s"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["torch", "training"])
def test_what_is_missing_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    assert training_missing() == f"{name} is not installed"


def test_without_the_package_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "training", None)
    with pytest.raises(TrainingSpeedError, match=r"pip install 'occpose\[train\]'"):
        training_speed(1.0)


def test_a_training_that_ends_badly_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(TrainingSpeedError, match="could not be measured: exit status 1"):
        training_speed(1.0)
