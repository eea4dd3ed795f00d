"""The workflow, the manual and the pins speak of the same ROS distributions, and of files that exist."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FROM_PYPI = {"jazzy", "kilted"}


@pytest.fixture(scope="module")
def jobs(checkout: Path) -> dict[str, Any]:
    return yaml.safe_load((checkout / ".github" / "workflows" / "ros.yaml").read_text(encoding="utf-8"))["jobs"]


@pytest.fixture(scope="module")
def manual(checkout: Path) -> str:
    return (checkout / "docs" / "ros.md").read_text(encoding="utf-8")


def tried(jobs: dict[str, Any]) -> dict[str, int]:
    """Distribution -> the first major version of NumPy that is too new for it."""
    matrix = jobs["distribution"]["strategy"]["matrix"]["include"]
    return {entry["distro"]: math.ceil(float(entry["numpy"])) for entry in matrix}


def test_workflow_and_manual_name_the_same_distributions(jobs: dict[str, Any], manual: str) -> None:
    rows = re.findall(r"^\| (\w+) \| [\d.]+ \| [\d.]+ \| (\d) \|", manual, re.MULTILINE)
    assert {name.lower(): int(numpy) + 1 for name, numpy in rows} == tried(jobs)


def test_what_is_on_pypi_has_its_pins(jobs: dict[str, Any], checkout: Path) -> None:
    assert {path.stem for path in (checkout / "constraints").glob("*.in")} == FROM_PYPI
    assert set(tried(jobs)) >= FROM_PYPI


def test_the_commands_of_the_workflow_install_as_the_manual_says(jobs: dict[str, Any], manual: str) -> None:
    commands = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    for command in ("rosdep install --from-paths src --ignore-src -y --skip-keys", "colcon build --packages-select"):
        assert command in commands and command in manual
    targets = re.findall(r"^make (\w+)$", commands, re.MULTILINE)
    assert targets == ["test"]
