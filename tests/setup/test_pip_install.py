"""`pip install .` on a machine without ROS gives occpose for training and evaluation."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

# The new environment borrows this one's dependencies (a .pth file), so that the test needs no network: all but ROS.
BORROW = "import sys; sys.modules.update(dict.fromkeys(['rclpy', 'std_msgs', 'sensor_msgs', 'visualization_msgs']))\n"


@pytest.fixture(scope="module")
def python(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with occpose installed and no ROS."""
    folder = tmp_path_factory.mktemp("pip")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    site_packages = folder / "venv/lib/python{}.{}/site-packages".format(*sys.version_info)
    (site_packages / "borrowed.pth").write_text(BORROW + sysconfig.get_path("purelib") + "\n")
    new_python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    wheel = next(folder.glob("occpose-*.whl"))
    subprocess.run([*pip, "--python", new_python, "install", "--no-deps", "--no-index", wheel], check=True)
    return new_python


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run outside the checkout and without the variables of the ROS environment."""
    return subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("occpose_core.evaluation", id="evaluation"),
        pytest.param("occpose_core.pipeline", id="pipeline"),
        pytest.param("occpose_ros.bag", id="bags"),
        pytest.param("occpose_ros.replay", id="replay"),
        pytest.param("training.cli", id="training"),
    ],
)
def test_installed_module_imports_without_ros(python: Path, module: str) -> None:
    done = run([python, "-c", f"import {module}; print({module}.__file__)"], python.parent)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(python.parents[1])


def test_command_teaches_its_subcommands(python: Path) -> None:
    done = run([python.parent / "occpose", "--help"], python.parent)
    assert done.returncode == 0, done.stderr
    assert {"models", "evaluate", "export", "replay"} <= set(done.stdout.replace(",", " ").split())


def test_every_shipped_file_is_installed(python: Path, source: Path) -> None:
    site_packages = next((python.parents[1] / "lib").glob("python*/site-packages"))
    shipped = {
        path.relative_to(source)
        for package in ("occpose_core", "occpose_ros", "training")
        for path in (source / package).rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped |= {Path("occpose_ros", "definitions", path.name) for path in (source / "msg").iterdir()}
    assert {path for path in shipped if not (site_packages / path).is_file()} == set()
