"""Every block of the tutorials runs as written, in order, in an empty folder, in one terminal."""

from __future__ import annotations

import argparse
import ast
import os
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from occpose_ros.cli import COMMANDS
from tests.end_to_end.tutorials import Block, blocks, commands, script

ROOT = Path(__file__).parents[2]
# page -> what of the extras its blocks need
TUTORIALS = {
    "tutorial_recording": ("viser",),
    "tutorial_training": ("lightning", "onnx"),
}
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in TUTORIALS}
AWAY = [
    pytest.param(block, id=f"{name}-{block.line}")
    for name, page in PAGES.items()
    for block in blocks(page)
    if block.elsewhere
]
TOOLS = {"occpose", "ros2", "pip", "ray", "mkdir", "cp"}


def typed(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What bash answers to a reader who has said `. scripts/env.sh` and made a folder; HOME is empty too."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "OCCPOSE_ENV": str(ROOT),
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_block_runs_as_written(name: str, folder: Path) -> None:
    missing = [package for package in TUTORIALS[name] if find_spec(package) is None]
    if missing or not shutil.which("occpose"):
        pytest.skip(f"needs the command occpose and {missing}: run `make setup`")
    assert sum(block.runs for block in blocks(PAGES[name])) >= 6
    ended = typed(script(PAGES[name]), folder)
    assert ended.returncode == 0, f"block of line {(folder / 'block').read_text()}: {ended.stdout[-4000:]}"
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize(
    ("page", "words"),
    [
        pytest.param("```bash\ntrue\n```\n\n```bash\nfalse\ntrue\n```\n", "6", id="command"),
        pytest.param("```bash\nfalse | true\n```\n", "2", id="pipe"),
        pytest.param("```python wrong.py\n1 / 0\n```\n```bash\npython wrong.py\n```\n", "5", id="script"),
        pytest.param("```bash\n# until Ctrl-C\nfalse\n```\n", "2", id="server"),
    ],
)
def test_a_block_that_fails_is_found(page: str, words: str, folder: Path) -> None:
    assert typed(script(page), folder).returncode != 0
    assert (folder / "block").read_text().strip() == words


def test_a_block_knows_what_the_blocks_before_it_said(folder: Path) -> None:
    said = ["HERE=(a 'b c')\ncd ..", "# on the robot\nfalse", "test ${#HERE[@]} = 2"]
    assert typed(script("".join(f"```bash\n{text}\n```\n" for text in said)), folder).returncode == 0


@pytest.mark.parametrize("name", TUTORIALS)
def test_other_blocks_are_files_or_what_a_reader_sees(name: str) -> None:
    for block in blocks(PAGES[name]):
        assert block.language in ("bash", "python", "yaml", "text"), block.line
        if block.language in ("python", "yaml"):
            assert block.name, f"line {block.line}: a file needs the name that the reader saves it as"


@pytest.mark.parametrize("name", TUTORIALS)
def test_commands_in_files_are_commands_that_exist(name: str) -> None:
    for block in blocks(PAGES[name]):
        if block.language == "yaml":
            steps = YAML(typ="safe").load(block.text)["jobs"]["replay"]["steps"]
            found = [shlex.split(step["run"]) for step in steps if "run" in step]
            assert [words[0] for words in found] == ["pip", "occpose"]
            check_occpose(found[-1])


def launch_arguments() -> set[str]:
    """What the launch files take, read without ROS."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "launch").glob("*.py")]
    tables = [node.value for tree in trees for node in tree.body if isinstance(node, ast.Assign)]
    return {key.value for table in tables if isinstance(table, ast.Dict) for key in table.keys}


def check_occpose(words: list[str]) -> None:
    """The command has these options; argparse ends the test if not."""
    parser = argparse.ArgumentParser(prog=f"occpose {words[1]}", exit_on_error=False)
    import_module(COMMANDS[words[1]]).add_arguments(parser)
    parser.parse_args(words[2:])


def check_launch(words: list[str]) -> None:
    """The launch file exists and declares these arguments."""
    if words[1:3] == ["launch", "occpose_ros"]:
        assert (ROOT / "launch" / words[3]).is_file()
        assert {word.partition(":=")[0] for word in words[4:]} <= launch_arguments()


CHECKS = {"occpose": check_occpose, "ros2": check_launch}


@pytest.mark.parametrize("block", AWAY)
def test_blocks_for_other_machines_are_commands_that_exist(block: Block, folder: Path) -> None:
    assert subprocess.run(["bash", "-n", "-c", block.text], check=False).returncode == 0
    found = commands(block)
    assert found
    for words in found:
        assert words[0] in TOOLS, words
        CHECKS.get(words[0], lambda words: None)(words)
