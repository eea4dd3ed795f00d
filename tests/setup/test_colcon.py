"""The root of the checkout is one ROS package, and an ordinary colcon workspace builds and installs all of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import occpose_core

pytest.importorskip("rclpy", reason="colcon builds against a ROS: run `make setup`")


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def installed(workspace: Path, checkout: Path) -> Path:
    """The install prefix of occpose_ros after a plain `colcon build`, without what `make setup` has built."""
    env = os.environ.copy()
    ours = str(checkout / ".ros")
    for name in ("AMENT_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH"):
        entries = [entry for entry in env.get(name, "").split(":") if entry and entry != str(checkout)]
        env[name] = ":".join(entry for entry in entries if not entry.startswith(ours))
    env.setdefault("CMAKE_PREFIX_PATH", env["AMENT_PREFIX_PATH"])
    run([sys.executable, "-m", "colcon", "build", "--cmake-args", "-DBUILD_TESTING=OFF"], workspace, env)
    return workspace / "install" / "occpose_ros"


def python_dir(prefix: Path) -> Path:
    return prefix / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"


def test_colcon_finds_one_ament_cmake_package(workspace: Path) -> None:
    listed = run([sys.executable, "-m", "colcon", "list"], workspace)
    assert listed.split() == ["occpose_ros", "src/occpose", "(ros.ament_cmake)"]


def test_package_and_python_have_one_version(source: Path) -> None:
    package = ElementTree.parse(source / "package.xml").getroot()
    assert package.findtext("version") == occpose_core.__version__


def test_every_message_file_is_generated(source: Path) -> None:
    listed = re.findall(r'"msg/(\w+)\.msg"', (source / "CMakeLists.txt").read_text())
    assert sorted(listed) == sorted(path.stem for path in (source / "msg").glob("*.msg"))


@pytest.mark.parametrize("package", ["occpose_core", "occpose_ros"])
def test_build_installs_every_module_and_what_pages_are_made_of(installed: Path, source: Path, package: str) -> None:
    kinds = (".py", ".css", ".html", ".js")
    files = {path.relative_to(source) for path in (source / package).rglob("*.*") if path.suffix in kinds}
    assert {file for file in files if not (python_dir(installed) / file).is_file()} == set()


def test_build_installs_every_file_of_the_shared_rooms(installed: Path, source: Path) -> None:
    files = {path.relative_to(source) for room in ("launch", "config", "rviz") for path in (source / room).glob("*.*")}
    assert files
    assert {file for file in files if not (installed / "share" / "occpose_ros" / file).is_file()} == set()


def test_build_installs_weights_executables_and_the_sample(installed: Path, source: Path) -> None:
    weights = source / "occpose_core" / "weights"
    assert {path.name for path in (python_dir(installed) / "occpose_core" / "weights").glob("*.*")} == {
        path.name for path in weights.glob("*.*")
    }
    assert os.access(installed / "lib" / "occpose_ros" / "pose_node", os.X_OK)
    assert (installed / "share" / "occpose_ros" / "samples" / "two_people.mcap").is_file()


def test_build_keeps_the_generated_package_and_adds_the_message_texts(installed: Path, source: Path) -> None:
    package = python_dir(installed) / "occpose_ros"
    assert "extend_path" not in (package / "__init__.py").read_text()
    assert {path.name: path.read_text() for path in (package / "definitions").iterdir()} == {
        path.name: path.read_text() for path in (source / "msg").iterdir()
    }


def test_sourced_workspace_offers_messages_and_node_side_by_side(installed: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import occpose_core.pipeline as core, occpose_ros.msg as msg, occpose_ros.pose_node as node"
    code += "; print(core.__file__, msg.__file__, node.__file__)"
    local_setup = installed.parent / "local_setup.bash"
    printed = run(["bash", "-c", f'. "{local_setup}" && cd / && "{sys.executable}" -c "{code}"'], installed, env)
    assert all(Path(path).is_relative_to(installed) for path in printed.split())
