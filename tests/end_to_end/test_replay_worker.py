"""What a worker of a cluster says when it cannot do what it is told, and what is said where there is no Ray."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from occpose_core import __version__
from occpose_ros.cli import main
from occpose_ros.replay.bags import Bag
from occpose_ros.replay.cluster import replay_on_worker
from occpose_ros.replay.results import Failure
from occpose_ros.replay.settings import ReplaySettings
from occpose_ros.replay.work_list import Task, fingerprint

HOST = socket.gethostname()


def task(path: Path, folder: Path) -> Task:
    return Task(bag=Bag(name="bag", path=path), folder=folder, fingerprint=fingerprint(path))


@pytest.mark.parametrize(
    ("version", "path", "sentence"),
    [
        pytest.param(
            "0.0.0", None, f"{HOST} has occpose {__version__}, and the machine that asked 0.0.0", id="version"
        ),
        pytest.param(
            __version__,
            Path("/nowhere/bag.mcap"),
            f"/nowhere/bag.mcap does not exist on {HOST}: with --ray all machines need the bags and the folder of the"
            " results under the same paths",
            id="bag",
        ),
    ],
)
def test_a_worker_says_what_it_lacks(
    version: str, path: Path | None, sentence: str, sample: Path, tmp_path: Path
) -> None:
    said = replay_on_worker(version, task(path or sample, tmp_path / "out"), ReplaySettings())
    assert isinstance(said, Failure) and sentence in said.reason
    assert not (tmp_path / "out").exists()


def test_without_ray_the_remedy_is_said(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["replay", str(sample), "--out", str(tmp_path / "out"), "--ray", "auto"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "occpose replay: --ray needs the package ray: pip install 'occpose[ray]'\n")
    assert not (tmp_path / "out").exists()
