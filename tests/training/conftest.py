"""A small data file for training tests: two people who wave and walk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occpose_core.skeleton import H36M17

pytest.importorskip("lightning")

_HEIGHT_M = [0.9, 0.9, 0.5, 0.1, 0.9, 0.5, 0.1, 1.1, 1.4, 1.5, 1.6, 1.4, 1.1, 0.9, 1.4, 1.1, 0.9]
_SIDE_M = {"left": 0.2, "right": -0.2}


def motion(frames: int, rng: np.random.Generator) -> np.ndarray:
    """(F, 17, 3) m: a walking person whose joints sway."""
    pose = np.array(
        [[_SIDE_M.get(joint.split("_")[0], 0.0), 0.0, z] for joint, z in zip(H36M17.joints, _HEIGHT_M, strict=True)]
    )
    phase = np.linspace(0, 6, frames)[:, None, None] + rng.uniform(0, 6, size=(1, 17, 3))
    forward = np.linspace(0, 1, frames)[:, None, None] * [0.0, 1.0, 0.0]
    return pose + 0.1 * np.sin(phase) + forward


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OccKP-1 file with one recording of each split."""
    rng, frames, splits = np.random.default_rng(0), 60, ["train", "val", "test"]
    path = tmp_path_factory.mktemp("data") / "motion.npz"
    np.savez(
        path,
        positions=np.concatenate([motion(frames, rng) for _ in splits]).astype(np.float32),
        start=np.arange(3) * frames,
        length=np.full(3, frames),
        name=[f"walk_{split}" for split in splits],
        subject=splits,
        description=["walks"] * 3,
        split=splits,
        fps=30.0,
        joints=H36M17.joints,
        license="public domain",
    )
    return path
