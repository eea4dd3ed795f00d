"""Human3.6M in LCN's pickles: the numbers that were written, in the order of time, or one clear sentence."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from tests.training.h36m_files import filmed, walk
from tests.training.lcn_files import CAMERAS, FRAMES, entries_of, write
from training.data.captured import CapturedDataset
from training.data.formats import read_recordings
from training.data.h36m_cameras import h36m_cameras
from training.data.lcn_pickles import ACTIONS, KEYS, read
from training.data.windows import WindowConfig

TEST = ("S9", "S11")


def detections_of(entries: list[dict[str, Any]], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    true_px = np.array([each["joint_3d_image"] for each in entries])
    noisy = true_px + [5.0, 5.0, 0.0] * rng.standard_normal(true_px.shape)
    return {"joint3d_image": noisy, "confidence": rng.uniform(0.1, 1.1, size=(len(entries), 17, 1))}


@pytest.fixture(scope="module")
def lists() -> dict[str, list[dict[str, Any]]]:
    """Two training subjects and one for testing; the entries of a view are not in the order of time."""
    train = [entry for subject in ("S1", "S8") for camera in (0, 1) for entry in entries_of(subject, 2, camera)]
    order = np.random.default_rng(0).permutation(len(train))
    test = [entry for action in (12, 14) for entry in entries_of("S9", action, 3)]
    return {"train": [train[index] for index in order], "test": test}


@pytest.fixture(scope="module")
def files(lists: dict[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("lcn")
    found = [write(folder / f"h36m_{part}.pkl", entries) for part, entries in lists.items()]
    detected = {part: detections_of(entries, seed) for seed, (part, entries) in enumerate(lists.items())}
    return [*found, write(folder / "h36m_sh_dt_ft.pkl", detected)]


def test_every_view_is_a_recording_in_the_order_of_time(files: list[Path]) -> None:
    recordings = list(read(files[:2], allow_pickle=True))
    assert {(each.subject, each.camera_name, each.split) for each in recordings} == {
        *(("S1", camera, "train") for camera in CAMERAS[:2]),
        *(("S8", camera, "val") for camera in CAMERAS[:2]),
        ("S9", CAMERAS[3], "test"),
    }
    assert {each.action for each in recordings if each.split == "test"} == {"Photo", "Walking"}
    for each in recordings:
        expected, _ = filmed(each.subject, each.camera_name, walk(FRAMES, _number(each.action)))
        np.testing.assert_allclose(each.joints_cam_m, expected, atol=1e-5)
        np.testing.assert_allclose(px_from_cam(each.joints_cam_m, each.camera), each.kpts_px, atol=1e-2)
        assert each.rate_hz == 10
        assert each.score is None
        assert (each.camera.width, each.camera.height) == (1000, h36m_cameras()[each.camera_name].height)


def _number(action: str) -> int:
    return next(number for number, name in ACTIONS.items() if name == action)


def test_actions_are_named_as_in_videopose3ds_files() -> None:
    assert len(ACTIONS) == 15
    assert (min(ACTIONS), max(ACTIONS)) == (2, 16)


def test_detections_stand_beside_their_entries(lists: dict[str, list[dict[str, Any]]], files: list[Path]) -> None:
    with_3d = {
        (each.name, frame): joints for each in read(files[:2], True) for frame, joints in enumerate(each.joints_cam_m)
    }
    with files[2].open("rb") as stream:
        detected = pickle.load(stream)  # noqa: S301  written above
    for each in read(files, allow_pickle=True):
        part = "test" if each.subject in TEST else "train"
        assert each.score is not None
        assert each.camera.distorted, "a detector sees through the lens"
        for frame, joints_cam_m in enumerate(each.joints_cam_m):
            np.testing.assert_array_equal(joints_cam_m, with_3d[each.name, frame])
            row = next(
                row
                for row, entry in enumerate(lists[part])
                if np.allclose(entry["joint_3d_camera"], 1e3 * joints_cam_m, atol=0.1)
            )
            np.testing.assert_allclose(each.kpts_px[frame], detected[part]["joint3d_image"][row, :, :2], rtol=1e-6)
            confidence = detected[part]["confidence"][row, :, 0]
            np.testing.assert_allclose(each.score[frame], np.clip(confidence, 0, 1), rtol=1e-6)


def test_joints_that_were_not_detected_have_score_0(lists: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    detected = detections_of(lists["test"], 0)
    detected["joint3d_image"][:, 3] = np.nan
    files = [
        write(tmp_path / "h36m_test.pkl", lists["test"]),
        write(tmp_path / "h36m_sh_dt_ft.pkl", {"test": detected}),
    ]
    for each in read(files, allow_pickle=True):
        assert each.score is not None
        assert not each.score[:, 3].any()
        assert (each.score[:, 4] > 0).all()
        assert np.isfinite(each.kpts_px).all()


def test_distorted_2d_is_known_by_its_fit(tmp_path: Path) -> None:
    entries = entries_of("S1", 2, 0)
    camera = h36m_cameras()[CAMERAS[0]]
    for entry in entries:
        entry["joint_3d_image"][:, :2] = px_from_cam(entry["joint_3d_camera"] / 1e3, camera)
    (recording,) = read([write(tmp_path / "h36m_train.pkl", entries)], allow_pickle=True)
    assert recording.camera.distorted
    np.testing.assert_allclose(px_from_cam(recording.joints_cam_m, recording.camera), recording.kpts_px, atol=1e-2)


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_what_is_written_comes_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    views = data.draw(
        st.lists(
            st.tuples(st.sampled_from(["S1", "S5", "S8", "S9"]), st.sampled_from(list(ACTIONS)), st.integers(0, 3)),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    gap, step = data.draw(st.integers(1, FRAMES)), data.draw(st.integers(1, 5))
    written = [entry for view in views for entry in entries_of(*view, step=step)]
    for entry in written:  # a gap in time before some entry; none if it is the first beyond the last
        entry["imageid"] += 100 * (entry["imageid"] > 1 + (gap - 1) * step)
    order = data.draw(st.permutations(range(len(written))))
    path = write(tmp_path_factory.mktemp("lcn") / "h36m_train.pkl", [written[index] for index in order])
    recordings = list(read([path], allow_pickle=True))
    assert sum(map(len, recordings)) == len(written)
    assert len(recordings) == len(views) * (1 if gap == FRAMES else 2)
    assert len({each.name for each in recordings}) == len(recordings)
    given_m = {entry["joint_3d_camera"].astype(np.float32).tobytes() for entry in written}
    found_mm = np.concatenate([each.joints_cam_m for each in recordings]) * np.float32(1e3)
    expected = np.array([np.frombuffer(each, dtype=np.float32).reshape(17, 3) for each in sorted(given_m)])
    distance = np.abs(found_mm[:, None] - expected[None]).max(axis=(2, 3)).min(axis=1)
    assert distance.max() < 1e-2


def test_windows_and_the_measuring_command_take_the_format(files: list[Path]) -> None:
    recordings = [each for each in read_recordings("lcn", files, True) if each.split == "train"]
    dataset = CapturedDataset(recordings, WindowConfig(rate_hz=10.0, patterns={"clean": 1.0}), 4, 0, "screen")
    batch = next(iter(dataset))
    assert batch["kpts"].shape == (4, 1, 17, 2)
    assert batch["visible"].max() <= 1


class Trap:
    """Makes a folder when it is unpickled by an ordinary reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"mkdir '{self.path}'",))


def test_code_in_a_list_is_refused_and_never_run(tmp_path: Path) -> None:
    entries = entries_of("S1", 2, 0)
    entries[2]["center"] = Trap(tmp_path / "sprung")
    path = write(tmp_path / "h36m_train.pkl", entries)
    with pytest.raises(DatasetError, match=r"refused to read .*h36m_train.pkl.*system") as caught:
        list(read([path], allow_pickle=True))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()
    with path.open("rb") as stream:  # the trap does work
        pickle.load(stream)  # noqa: S301
    assert (tmp_path / "sprung").exists()


def test_a_closed_gate_says_why_and_how_to_open_it(files: list[Path]) -> None:
    with pytest.raises(DatasetError, match=r"can carry code.*--allow-pickle"):
        list(read(files))


Entries = list[dict[str, Any]]


def without(key: str) -> Callable[[Entries], object]:
    return lambda entries: [*entries[:-1], {name: value for name, value in entries[-1].items() if name != key}]


def changed(**values: Any) -> Callable[[Entries], object]:
    return lambda entries: [{**entry, **values} for entry in entries]


def lens(**values: Any) -> Callable[[Entries], object]:
    return lambda entries: [{**entry, "camera_param": {**entry["camera_param"], **values}} for entry in entries]


def in_metres(entries: Entries) -> object:
    scaled = ("joint_3d_camera", "root_depth")
    return [{key: value / 1e3 if key in scaled else value for key, value in entry.items()} for entry in entries]


def root_relative(entries: Entries) -> object:
    joints = [entry["joint_3d_camera"] - entry["joint_3d_camera"][0] for entry in entries]
    return [{**entry, "joint_3d_camera": each, "root_depth": 0.0} for entry, each in zip(entries, joints, strict=True)]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        *(pytest.param(without(key), f"lacks the key '{key}' under entry 5", id=key) for key in KEYS),
        pytest.param(lambda entries: {}, "expected h36m_train.pkl", id="no list"),
        pytest.param(lambda entries: [], "must hold a list of poses", id="empty"),
        pytest.param(lambda entries: [1], "entry 0 must be a dict, got int", id="numbers"),
        pytest.param(changed(joint_3d_image=np.zeros((16, 3))), r"shape \(17, 3\), got \(16, 3\)", id="16 joints"),
        pytest.param(changed(root_depth=1.0), "root_depth 1 mm; expected the same", id="root depth"),
        pytest.param(changed(action=17), "entry 0 has action 17, which is none of", id="action"),
        pytest.param(changed(subject=2), "entry 0 has subject 2, which is none of", id="subject"),
        pytest.param(lens(fx=900.0), "focal length 900", id="another camera"),
        pytest.param(changed(camera_param={}), "lacks the key 'fx' under entry 0, camera_param", id="no lens"),
        pytest.param(changed(joint_3d_image=np.zeros((17, 3))), "px away from joint_3d_image", id="another picture"),
        pytest.param(root_relative, "px away from joint_3d_image", id="no place"),
    ],
)
def test_wrong_lists_are_one_sentence(damage: Callable[[Entries], object], says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "h36m_train.pkl", damage(entries_of("S1", 2, 0)))
    with pytest.raises(DatasetError, match=says) as caught:
        list(read([path], allow_pickle=True))
    assert "h36m_train.pkl" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no file .*h36m_train.pkl.*github.com/CHUNYUWANG/lcn-pose"):
        list(read([tmp_path / "h36m_train.pkl"], allow_pickle=True))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param({"train": {}}, "lacks the key 'test'", id="part"),
        pytest.param({"test": {"confidence": []}}, "lacks the key 'joint3d_image' under test", id="key"),
        pytest.param(
            {"test": {"joint3d_image": np.zeros((3, 17, 2)), "confidence": np.zeros((3, 17, 1))}},
            r"for the entries of .*h36m_test.pkl, got \(3, 17, 2\) and \(3, 17, 1\)",
            id="other length",
        ),
    ],
)
def test_wrong_detections_are_one_sentence(content: object, says: str, tmp_path: Path) -> None:
    files = [
        write(tmp_path / "h36m_test.pkl", entries_of("S9", 2, 0)),
        write(tmp_path / "h36m_sh_dt_ft.pkl", content),
    ]
    with pytest.raises(DatasetError, match=says):
        list(read(files, allow_pickle=True))


def test_detections_of_a_list_of_all_subjects_fit_nothing(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "all.pkl", [*entries_of("S1", 2, 0), *entries_of("S9", 2, 0)]),
        write(tmp_path / "h36m_sh_dt_ft.pkl", {"train": {}, "test": {}}),
    ]
    with pytest.raises(DatasetError, match="subjects for training and for testing"):
        list(read(files, allow_pickle=True))
