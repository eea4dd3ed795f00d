"""What the packaging tests share: the checkout, and a copy of it that a build may litter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
_NOT_SOURCE = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "install", "log", "dist", "*_out", "runs", "lightning_logs"
)


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ROS workspace with a copy of the checkout in src/occpose."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(CHECKOUT, folder / "src" / "occpose", ignore=_NOT_SOURCE)
    return folder


@pytest.fixture(scope="session")
def source(workspace: Path) -> Path:
    """The copy of the checkout that is built: nobody edits it meanwhile."""
    return workspace / "src" / "occpose"
