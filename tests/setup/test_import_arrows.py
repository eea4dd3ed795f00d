"""Who may import whom: training and occpose_ros import occpose_core; never each other, and the core imports neither."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# The rooms of the core that are made of torch. The rest must run where there is none.
TORCH_ROOMS = (
    "occpose_core.body.layer",
    "occpose_core.body.rotations",
    "occpose_core.body.skinning",
    "occpose_core.models",
    "occpose_core.checkpoint",
    "occpose_core.export",
    "occpose_core.runtime.torch_engine",
    "occpose_core.runtime.torch_image_engine",
)
# What only bodies from images need, and only when they are made.
BODY_LIBRARIES = "smplx kornia embreex"
IMPORT_ALL = """
import importlib, sys
blocked, modules = sys.argv[1].split(), sys.argv[2].split()
sys.modules.update(dict.fromkeys(blocked))
for module in modules:
    importlib.import_module(module)
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
print(*sorted(loaded))
"""


def modules_of(checkout: Path, package: str) -> list[str]:
    paths = (path.relative_to(checkout).with_suffix("") for path in sorted((checkout / package).rglob("*.py")))
    names = (".".join(path.parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if not name.endswith("__main__")]


def is_torch_room(module: str) -> bool:
    return any(module == room or module.startswith(room + ".") for room in TORCH_ROOMS)


def import_all(checkout: Path, modules: list[str], blocked: str) -> set[str]:
    """Import the modules in a new Python where the blocked packages cannot be; return all loaded top-level packages."""
    assert modules
    command = [sys.executable, "-c", IMPORT_ALL, blocked, " ".join(modules)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_core_needs_neither_ros_nor_torch(checkout: Path) -> None:
    modules = [module for module in modules_of(checkout, "occpose_core") if not is_torch_room(module)]
    import_all(checkout, modules, f"rclpy training occpose_ros torch lightning tensorrt {BODY_LIBRARIES}")


@pytest.mark.parametrize(
    ("package", "blocked"),
    [
        pytest.param("occpose_core", "rclpy training occpose_ros lightning", id="core with torch"),
        pytest.param("training", "rclpy occpose_ros", id="training"),
        pytest.param("occpose_ros", "training torch lightning", id="ros"),
    ],
)
def test_package_imports_without_its_neighbours(checkout: Path, package: str, blocked: str) -> None:
    pytest.importorskip("rclpy" if package == "occpose_ros" else "torch")
    import_all(checkout, modules_of(checkout, package), f"{blocked} {BODY_LIBRARIES}")


def test_naming_a_skeleton_loads_only_numpy(checkout: Path) -> None:
    loaded = import_all(checkout, ["occpose_core", "occpose_core.skeleton", "occpose_core.types"], "rclpy torch")
    assert loaded.isdisjoint({"scipy", "cv2", "matplotlib", "onnxruntime", "rosbags"})
