"""What the end-to-end tests share: the sample bag."""

from __future__ import annotations

from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"


@pytest.fixture(scope="session")
def sample() -> Path:
    """27 seconds of two people."""
    return SAMPLE
