"""`python -m training`: the table of commands, its help, and what it says to a command that it does not know."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from occpose_core.errors import OccposeError
from training.__main__ import COMMANDS, Command, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_main_that_takes_arguments(name: str) -> None:
    parameters = inspect.signature(import_module(COMMANDS[name].module).main).parameters
    assert next(iter(parameters), None) == "argv"
    assert COMMANDS[name].summary


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told for name in COMMANDS)


def test_unknown_command_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fti"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "'fti'" in error and "mean-pose" in error


@pytest.mark.parametrize(("whole", "expected"), [(True, ["walk", "--fast"]), (False, ["--fast"])])
def test_a_command_gets_its_arguments(whole: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr("training.mean_pose.main", lambda argv: given.append(argv) or 7)
    command = Command(module="training.mean_pose", summary="walks", whole=whole)
    assert main(["walk", "--fast"], {"walk": command}) == 7
    assert given == [expected]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [(OccposeError("too dark: light a lamp"), 2, "error: too dark"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_errors_and_interrupts_are_one_line(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr("training.mean_pose.main", fail)
    assert main(["walk"], {"walk": Command(module="training.mean_pose", summary="walks")}) == code
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and message in told


def test_help_imports_neither_torch_nor_lightning() -> None:
    check = "import sys; from training.__main__ import main; main(['--help']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)
