"""Every command of docs/sefd.md runs as written, from motion to a picture, with a tiny network and few pictures."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("embreex")
pytest.importorskip("kornia")
pytest.importorskip("onnx")

from occpose_ros.bag import BagReader, BagWriter
from occpose_ros.cli import main as occpose
from tests.training.h36m_files import write_h36m
from training.__main__ import main as training

ROOT = Path(__file__).parents[2]
MESSAGES = 40  # of the sample
# what makes each command short
NETWORK = "--model.init_args.config."
SMALL = {
    "fit": [
        *("--data.batch_size=4", "--data.workers=0", "--data.validation_people=8"),
        *("--trainer.max_epochs=1", "--trainer.limit_train_batches=2"),
        *("--trainer.limit_val_batches=1", "--trainer.num_sanity_val_steps=0", "--trainer.accelerator=cpu"),
        *("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
    ],
    "render": ["--images=10", "--splits", "0.4", "0.2", "0.4", "--workers=1"],
}
TINY = [f"{NETWORK}widths=[8,8,8,8]", f"{NETWORK}image_size=32", f"{NETWORK}graph=8", "--data.image.size=32"]


def documented() -> list[list[str]]:
    text = (ROOT / "docs" / "sefd.md").read_text("utf-8").replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^    ((?:python|occpose) .*)$", text, flags=re.MULTILINE)]


def run(words: list[str]) -> int:
    """The exit code of a command of the page."""
    if words[0] == "occpose":
        return occpose(words[1:])
    if words[1] != "-m":
        sys.argv = words[1:]
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / words[1]), run_name="__main__")
        return int(end.value.code or 0)
    command, *arguments = words[3:]
    more = SMALL[command] + (TINY if "small" in shlex.join(arguments) and command == "fit" else [])
    return training([command, *arguments, *more])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["python"])
    write_h36m(tmp_path, ["S1", "S8", "S9"], ["Walking 1"], frames=40, noise_px=2.0)
    assert training(["convert", "h36m", "data_3d_h36m.npz", "--out", "motion.npz", "--allow-pickle"]) == 0
    (tmp_path / "training").symlink_to(ROOT / "training")
    with (
        BagReader(ROOT / "samples" / "people_in_images.mcap") as bag,
        BagWriter(tmp_path / "samples" / "people_in_images.mcap") as short,
    ):
        for record in islice(bag.messages(), MESSAGES):
            short.copy(record, bag)
    (tmp_path / "samples" / "sefd-small.onnx").symlink_to(ROOT / "samples" / "sefd-small.onnx")
    return tmp_path


def test_every_command_of_the_page_runs(files: Path) -> None:
    commands = documented()
    assert len(commands) >= 11
    for words in commands:
        assert run(words) == 0, shlex.join(words)
    assert (files / "sefd.jpg").stat().st_size > 10_000
    assert (files / "exported" / "small-student.onnx").exists()
