"""The training commands that the catalogue of models gives are commands."""

import shlex

import pytest

pytest.importorskip("lightning")

from occpose_core.catalogue import CATALOGUE
from training.systems import main


@pytest.mark.parametrize("command", sorted({entry.command for entry in CATALOGUE.values()}))
def test_a_catalogued_command_trains_that_form_and_window(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "training", "system"]
    assert main([*words[4:], "--dry-run"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert f"config.masked={str('masked' in words).lower()}" in last
    if "--window" in words:
        assert f"config.window={words[words.index('--window') + 1]}" in last
        assert f"config.causal={str('--causal' in words).lower()}" in last
