"""What the recipes of SEFD refuse, each in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from occpose_core.checkpoint import save_checkpoint
from occpose_core.models import build, describe

pytest.importorskip("kornia")
pytest.importorskip("smplx")
from tests.training.rendered_files import write_rendered
from tests.training.short_sefd import NETWORK, fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rendered(tmp_path_factory.mktemp("data") / "rendered", images=2)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _network(tmp_path_factory.mktemp("teacher") / "teacher.safetensors", "given")


def _lifter(path: Path) -> Path:
    model = build("lcn", {"channels": 4})
    save_checkpoint(path, model, describe("mine", "lcn", model, {}))
    return path


def _network(path: Path, edge: str) -> Path:
    model = build("sefd", {**NETWORK, "edge": edge})
    save_checkpoint(path, model, describe("mine", "sefd", model, {}))
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(_lifter, "holds no network that is given edges", id="a lifter"),
        pytest.param(lambda path: _network(path, "zero"), "holds no network that is given edges", id="a student"),
        pytest.param(lambda path: path, "no model file at", id="nothing"),
    ],
)
def test_teachers_that_are_none_are_refused(
    make: Callable[[Path], Path], says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "teacher.safetensors")
    given = f"--model.init_args.teacher={path}"
    assert fit("small/student", folder, tmp_path, given, "--model.init_args.from_scratch=true", edge="canny") == 2
    _one_sentence(capsys.readouterr().err, says)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(
            "weights={heat: 1.0, head: 2.0}", "model.weights has no head; known: heat, heat_fit", id="weights"
        ),
        pytest.param("rotations=euler", "model.rotations has no euler; known: axis_angle, matrix", id="rotations"),
        pytest.param("left_out=[left_toe]", "model.left_out has no left_toe; known: pelvis, left_hip", id="joint"),
        pytest.param("prior=nothing.safetensors", "no pose prior at nothing.safetensors", id="prior"),
        pytest.param("backbone=nothing.pth", "no weights of a ResNet at nothing.pth", id="backbone"),
        pytest.param("config={backbone: vgg}", "unknown backbone 'vgg'", id="config"),
    ],
)
def test_wrong_options_are_one_sentence(
    given: str, says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit("plain", folder, tmp_path, f"--model.init_args.{given}", edge="canny") == 2
    _one_sentence(capsys.readouterr().err, says)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param("distance=cosine", "model.distance 'cosine' is none; known: log_softmax_l1", id="distance"),
        pytest.param("stages={5: 1.0}", "must be 1 or more of 1 to 4, got \\[5\\]", id="stage"),
        pytest.param("stages={}", "must be 1 or more of 1 to 4, got \\[\\]", id="no stage"),
    ],
)
def test_wrong_distances_are_one_sentence(
    given: str, says: str, folder: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = f"--model.init_args.{given}"
    assert fit("student", folder, tmp_path, f"--model.init_args.teacher={teacher}", given, edge="canny") == 2
    _one_sentence(capsys.readouterr().err, says)


def test_a_set_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("plain", tmp_path, tmp_path, edge="canny") == 2
    _one_sentence(capsys.readouterr().err, "there is no file .*annotations.json; make the set with")


def _one_sentence(stderr: str, says: str) -> None:
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert re.search(says, lines[0]), lines[0]
