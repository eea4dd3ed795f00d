"""The message packages of other people's detectors, for tests: those of the ROS installation, else our own.

`tests/interfaces` holds small packages with the names and field names of the public ones. Those that this ROS lacks are
built with colcon, once for each change of their files, into `.ros/test_interfaces` (`make clean` removes them).
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SOURCES = _ROOT / "tests" / "interfaces"
_BUILDS = _ROOT / ".ros" / "test_interfaces"


def provide() -> None:
    """Make every package of `tests/interfaces` importable in this process and in those that it starts."""
    missing = [path.name for path in sorted(_SOURCES.iterdir()) if importlib.util.find_spec(path.name) is None]
    if missing:
        _put_on_path(_built(missing), missing)


def _built(packages: list[str]) -> Path:
    """The install folder of the packages, which is made if it is not there."""
    _BUILDS.mkdir(parents=True, exist_ok=True)
    key = _key(packages)
    folder = _BUILDS / key
    with (_BUILDS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once build once
        if not (folder / "complete").is_file():
            _build(packages, folder)
            (folder / "complete").touch()
    return folder / "install"


def _key(packages: list[str]) -> str:
    digest = hashlib.sha256(f"{sys.version} {os.environ.get('ROS_DISTRO')} {packages}".encode())
    for file in sorted(path for path in _SOURCES.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(_SOURCES)}\n{file.read_text(encoding='utf-8')}\n".encode())
    return digest.hexdigest()[:16]


def _build(packages: list[str], folder: Path) -> None:
    arguments = ["--log-level", "error", "--log-base", folder / "log", "build", "--merge-install"]
    arguments += ["--base-paths", _SOURCES, "--build-base", folder / "build", "--install-base", folder / "install"]
    arguments += ["--packages-select", *packages, "--event-handlers", "status-", "desktop_notification-"]
    # the loader looks where a library says, because it reads LD_LIBRARY_PATH only when a process starts
    arguments += ["--cmake-args", "-DBUILD_TESTING=OFF", f"-DCMAKE_INSTALL_RPATH={folder / 'install' / 'lib'}"]
    arguments += [f"-DPython3_EXECUTABLE={sys.executable}", "-Wno-unused-cli"]
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    environment["CMAKE_PREFIX_PATH"] = os.environ.get("AMENT_PREFIX_PATH", "")
    command = [sys.executable, "-m", "colcon", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def _put_on_path(prefix: Path, packages: list[str]) -> None:
    python = next(prefix.rglob(f"{packages[0]}/msg/__init__.py")).parents[2]
    sys.path.insert(0, str(python))
    for name, folder in (("PYTHONPATH", python), ("AMENT_PREFIX_PATH", prefix), ("LD_LIBRARY_PATH", prefix / "lib")):
        os.environ[name] = os.pathsep.join([str(folder), *filter(None, [os.environ.get(name)])])
    # the type supports are asked for by name: one that is loaded is found
    for library in sorted((prefix / "lib").glob("lib*.so")):
        ctypes.CDLL(str(library))
    importlib.invalidate_caches()
