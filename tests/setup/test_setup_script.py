"""`make setup` on a machine that lacks something says what, in one sentence, before it makes anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = ("bash", "env", "dirname", "readlink", "sha256sum", "uname", "sh")


@pytest.fixture
def machine(checkout: Path, tmp_path: Path) -> Path:
    """A folder with the files that set-up reads, and in bin/ the only programs that it will find."""
    for name in ("scripts", "constraints", "msg", "srv"):
        shutil.copytree(checkout / name, tmp_path / name)
    for name in ("pyproject.toml", "setup.py", "package.xml", "CMakeLists.txt"):
        shutil.copy(checkout / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    script(tmp_path / "bin/c++", "exit 0")
    script(tmp_path / "bin/python3", f'PYTHONPATH="{tmp_path}/site" exec "{sys.executable}" "$@"')
    (tmp_path / "site").mkdir()
    return tmp_path


def script(path: Path, body: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def change_python(machine: Path, code: str) -> None:
    """Python runs this at its start: the machine's Python then lacks something."""
    (machine / "site" / "sitecustomize.py").write_text(code + "\n")


@pytest.mark.parametrize(
    ("change", "env", "says"),
    [
        pytest.param(lambda machine: (machine / "bin/c++").unlink(), {}, "sudo apt install g++", id="no compiler"),
        pytest.param(
            lambda machine: change_python(machine, "import sysconfig; sysconfig.get_path = lambda name: '/nowhere'"),
            {},
            "sudo apt install python{}.{}-dev".format(*sys.version_info),
            id="no Python header",
        ),
        pytest.param(
            lambda machine: change_python(machine, "import sys; sys.modules['ensurepip'] = None"),
            {},
            "sudo apt install python{}.{}-venv".format(*sys.version_info),
            id="no venv module",
        ),
        pytest.param(lambda machine: None, {"PYTHON": "python3.99"}, "there is no 'python3.99'", id="no Python"),
        pytest.param(
            lambda machine: change_python(machine, "import sys; sys.version_info = (3, 9)"),
            {},
            "needs Python 3.10 to 3.13, 'python3' is 3.9",
            id="old Python",
        ),
        pytest.param(
            lambda machine: script(machine / "bin/uname", "echo aarch64"),
            {},
            "this one is aarch64",
            id="other processor",
        ),
        pytest.param(lambda machine: None, {"ROS_DISTRO": "foxy"}, "ROS 2 foxy is not on PyPI", id="other distro"),
        pytest.param(
            lambda machine: change_python(machine, "import sys; sys.modules['rclpy'] = None"),
            {"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": "/opt/ros/humble"},
            "cannot import its rclpy",
            id="sourced ROS of another Python",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(machine: Path, change, env: dict[str, str], says: str) -> None:
    change(machine)
    done = subprocess.run(
        [machine / "scripts/setup.sh"], env={"PATH": str(machine / "bin"), **env}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("setup: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not (machine / ".venv").exists()
