"""True poses from a file: the same people as on the topic, the same places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.skeleton import H36M17
from occpose_ros.scoring.truth import TruthError, TruthSettings
from occpose_ros.scoring.truth_rows import MAX_GAP_S, interpolate
from tests.ros.true_sample import (
    BETWEEN_M,
    SAMPLE,
    WRIST,
    J,
    Recording,
    npz,
    parsed,
    read,
    same_people,
)
from tests.tolerances import FLOAT32


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording()


def test_a_gap_in_the_motion_capture_is_not_guessed_over() -> None:
    times_s = np.array([0.0, 0.1, 0.1 + 2 * MAX_GAP_S, 0.2 + 2 * MAX_GAP_S])
    found = interpolate(times_s, np.arange(4.0)[:, None], np.array([-0.1, 0.05, 0.2, times_s[2], times_s[3], 9.0]))
    np.testing.assert_allclose(found[:, 0], [np.nan, 0.5, np.nan, 2.0, 3.0, np.nan])


@given(st.integers(2, 30), st.integers(0, 2**31))
def test_interpolation_is_exact_at_samples_and_never_beyond_its_neighbours(samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times_s = np.cumsum(rng.uniform(0.01, 0.3, samples))
    values = rng.normal(size=(samples, 2))
    values[rng.random(samples) < 0.2] = np.nan
    np.testing.assert_array_equal(interpolate(times_s, values, times_s), values)
    found = interpolate(times_s, values, (times_s[:-1] + times_s[1:]) / 2)
    lower, upper = np.minimum(values[:-1], values[1:]), np.maximum(values[:-1], values[1:])
    known = np.isfinite(found)
    assert (found[known] >= lower[known]).all() and (found[known] <= upper[known]).all()
    near = (np.diff(times_s) <= MAX_GAP_S)[:, None] & np.isfinite(lower + upper)
    np.testing.assert_array_equal(known, near)


def test_a_file_says_the_same_as_the_topic(recording: Recording, tmp_path: Path) -> None:
    file = npz(tmp_path / "truth.npz", recording)
    found = read(SAMPLE, TruthSettings(npz=file, offset_s=-2.5), recording.detected)
    same_people(found, recording, BETWEEN_M)
    unnamed = read(
        SAMPLE, TruthSettings(npz=npz(tmp_path / "b.npz", recording, ids=None), offset_s=-2.5), recording.detected
    )
    assert unnamed is not None and not unnamed.named
    same_people(unnamed, recording, BETWEEN_M, dict(zip(recording.poses_cam_m(), ("0", "1"), strict=False)))


def test_a_file_may_have_one_person_its_own_times_and_another_layout(recording: Recording, tmp_path: Path) -> None:
    name, pose = next((name, pose) for name, pose in recording.poses_cam_m().items() if np.isfinite(pose).all())
    coco = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    coco += [
        f"{side}_{joint}"
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ]
    joints_m = np.stack([pose[:, H36M17.joints.index(j)] if j in H36M17.joints else pose[:, 9] for j in coco], axis=1)
    stamps_s = (np.array(recording.stamps_ns) - recording.stamps_ns[0]) * 1e-9
    file = tmp_path / "one.npz"
    np.savez(file, joints_m=joints_m.astype(np.float32), layout="coco17", stamps_s=stamps_s)
    found = read(SAMPLE, TruthSettings(npz=file), recording.detected)
    assert found is not None and not found.named and set(found.ids) == {"0"}
    assert not found.known[:, H36M17.indices("spine", "head_top")].any()
    np.testing.assert_allclose(found.joints_cam_m[:, WRIST], pose[:, WRIST], atol=FLOAT32)
    hips = pose[:, H36M17.indices("left_hip", "right_hip")].mean(axis=1)
    np.testing.assert_allclose(found.joints_cam_m[:, 0], hips, atol=FLOAT32)


@pytest.mark.parametrize(
    ("arrays", "offset_s", "words"),
    [
        pytest.param({"joints_m": None}, -2.5, "has no array 'joints_m'", id="no poses"),
        pytest.param({"fps": None}, -2.5, "add fps, or stamps_s", id="no times"),
        pytest.param({"fps": 0.0}, -2.5, "must be one number above 0, not 0.0", id="no rate"),
        pytest.param({"stamps_s": np.zeros(3)}, -2.5, "growing numbers", id="too few times"),
        pytest.param({"layout": "h36m"}, -2.5, "did you mean 'h36m17'", id="unknown layout"),
        pytest.param({"layout": "coco17", "joints_m": np.zeros((4, 12, 3))}, 0, "(T, 17, 3)", id="joint count"),
        pytest.param({"joints_m": -1.0, "camera_from_world": None}, -2.5, "add camera_from_world", id="behind us"),
        pytest.param({"camera_from_world": 2 * np.eye(4)}, -2.5, "with a rotation", id="no rotation"),
        pytest.param({"ids": np.array(["a"] * 7)}, -2.5, "7 ids", id="ids"),
        pytest.param({}, 500.0, "give the right --truth-offset", id="another time"),
        pytest.param({"ids": np.array(["a"] * 2)}, -2.5, "two people of one id", id="ids twice"),
        pytest.param({"joints_m": np.zeros((0, 2, J, 3))}, 0, "no position in it", id="no frames"),
        pytest.param({"joints_m": np.zeros((4, 0, J, 3))}, 0, "no position in it", id="no people"),
        pytest.param({"joints_m": np.nan}, -2.5, "no position in it", id="nothing known"),
        pytest.param({"fps": 30j}, -2.5, "add fps, or stamps_s", id="complex rate"),
        pytest.param({"camera_from_world": np.diag([1, 1, 1, np.inf])}, -2.5, "(4, 4) with", id="infinite place"),
        pytest.param({"joints_m": 1000.0}, -2.5, "cannot be metres", id="millimetres"),
        pytest.param({"layout": np.array([object()])}, -2.5, "cannot be read", id="pickled"),
    ],
)
def test_files_that_make_no_sense_get_one_sentence(
    recording: Recording, tmp_path: Path, arrays: dict[str, Any], offset_s: float, words: str
) -> None:
    if isinstance(arrays.get("joints_m"), float):
        with np.load(npz(tmp_path / "right.npz", recording)) as right:
            arrays = {**arrays, "joints_m": arrays["joints_m"] * right["joints_m"]}
    file = npz(tmp_path / "truth.npz", recording, **arrays)
    with pytest.raises(ValueError, match=".") as caught:
        read(SAMPLE, TruthSettings(npz=file, offset_s=offset_s), recording.detected)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_no_npz_gets_one_sentence(recording: Recording, tmp_path: Path) -> None:
    for name, content in (("text.npz", b"joints"), ("empty.npz", b""), ("cut.npz", None)):
        file = tmp_path / name
        whole = npz(tmp_path / "whole.npz", recording).read_bytes()
        file.write_bytes(whole[: len(whole) // 2] if content is None else content)
        with pytest.raises(TruthError, match="cannot be read"):
            parsed("--truth", str(file))
