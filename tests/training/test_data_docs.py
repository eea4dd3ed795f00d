"""Every command of docs/data.md runs as written, on small files of the same names and formats."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from occpose_core.cli import main as occpose
from tests.training.h36m_files import write_h36m
from tests.training.mpi_inf_3dhp_files import write_training
from tests.training.pw3d_files import write_3dpw
from training.__main__ import main as training

ROOT = Path(__file__).parents[2]
COMMANDS = {("python", "-m", "training"): training, ("occpose",): occpose}
# what makes each command short
SMALL = {
    "fit": [
        *("--runs=runs", "--data.batch_size=8", "--data.workers=0", "--model.init_args.config.channels=24"),
        *("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2"),
        *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--fresh=true"),
    ],
    "evaluate": ["--max-frames=30"],
    "render": ["--images=6", "--workers=1"],
}
# what a command needs beside `train`
EXTRAS = {"render": ("embreex", "kornia")}
MOCAP = ["--data.validation_windows=8"]


def documented() -> list[list[str]]:
    text = (ROOT / "docs" / "data.md").read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    ((?:python|occpose) .*)$", text, flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _, detected = write_h36m(tmp_path, ["S1", "S8", "S9"], ["Walking 1"], frames=40, noise_px=2.0)
    detected.rename("data_2d_h36m_cpn_ft_h36m_dbb.npz")
    for subject in ("S1", "S7", "S8"):
        write_training(tmp_path / "mpi_inf_3dhp", subject, "Seq1")
    write_3dpw(tmp_path / "3DPW")
    (tmp_path / "training").symlink_to(ROOT / "training")
    return tmp_path


def test_every_command_of_the_page_runs(files: Path) -> None:
    commands = documented()
    assert len(commands) >= 8
    for words in commands:
        start = next(start for start in COMMANDS if tuple(words[: len(start)]) == start)
        arguments = words[len(start) :]
        if not all(map(find_spec, EXTRAS.get(arguments[0], ()))):
            continue
        more = [*SMALL.get(arguments[0], [])]
        if arguments[0] == "fit" and "--data" not in arguments:
            more += MOCAP
        assert COMMANDS[start]([*arguments, *more]) == 0, shlex.join(words)
    assert {path.name for path in files.glob("*.npz")} >= {"h36m.npz", "3dhp.npz", "3dpw.npz"}
