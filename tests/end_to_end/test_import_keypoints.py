"""`occpose import-keypoints`: detector output in a file becomes a bag that can be replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.skeleton import H36M17, SKELETONS, convert_keypoints
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.bag import BagReader
from occpose_ros.cli import main

FRAMES = 45


@pytest.fixture(scope="module")
def walk(sample: Path) -> dict[str, Any]:
    """What a detector saw of one person: the members of an .npz file that says everything."""
    with BagReader(sample) as bag:
        messages = [record.message for record in bag.messages(["/keypoints"])]
    people = [next((p for p in message.people if p.id == "1"), None) for message in messages]
    seen = [person for person in people if person is not None][:FRAMES]
    return {
        "keypoints": np.array([person.xy for person in seen]).reshape(FRAMES, 17, 2),
        "scores": np.array([person.score for person in seen]),
        "format": "coco17",
        "width": 1280,
        "height": 720,
        "fps": 30,
    }


def save(folder: Path, members: dict[str, Any]) -> Path:
    path = folder / "keypoints.npz"
    np.savez(path, **members)
    return path


def test_numbers_come_back_and_the_bag_can_be_replayed(walk: dict[str, Any], tmp_path: Path) -> None:
    bag = tmp_path / "walk.mcap"
    assert main(["import-keypoints", str(save(tmp_path, walk)), "--out", str(bag), "--focal-px", "905"]) == 0
    with BagReader(bag) as opened:
        camera = camera_from_msg(next(opened.messages(["/camera_info"])).message)
        records = list(opened.messages(["/keypoints"]))
    assert (camera.width, camera.height, camera.K[0, 0], camera.K[0, 2]) == (1280, 720, 905.0, 639.5)
    np.testing.assert_allclose(np.diff([record.stamp_ns for record in records]), 1e9 / 30, atol=1)
    for frame, record in enumerate(records):
        (person,) = keypoints_from_occpose_msg(record.message).people
        xy, score = convert_keypoints(walk["keypoints"][frame], walk["scores"][frame], SKELETONS["coco17"], H36M17)
        np.testing.assert_array_equal(person.score, score)
        np.testing.assert_array_equal(person.xy_px[score > 0], xy[score > 0])
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 0
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["frames"] == {"total": FRAMES, "with_people": FRAMES, "answered": FRAMES}


@pytest.mark.parametrize(
    ("arguments", "size", "focal_px", "stated"),
    [
        pytest.param(
            [], (1280, 720), 640 / np.tan(np.radians(30)), ["image size", "frame rate", "focal"], id="nothing"
        ),
        pytest.param(
            ["--width", "1000", "--height", "500", "--fov-deg", "90", "--fps", "25"], (1000, 500), 500.0, [], id="all"
        ),
        pytest.param(["--focal-px", "777"], (1280, 720), 777.0, ["image size", "frame rate"], id="focal length"),
    ],
)
def test_what_is_unknown_is_assumed_and_stated(
    arguments: list[str],
    size: tuple[int, int],
    focal_px: float,
    stated: list[str],
    walk: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to_the_right = walk["keypoints"] + np.array([900, 0], dtype=np.float32)
    path = save(tmp_path, walk | {"keypoints": to_the_right, "width": 0, "height": 0, "fps": 0})
    assert main(["import-keypoints", str(path), "--out", str(tmp_path / "x.mcap"), *arguments]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "unknown, assumed" in line]
    assert [line.split(" unknown")[0].split(" length")[0] for line in said] == stated
    with BagReader(tmp_path / "x.mcap") as bag:
        camera = camera_from_msg(next(bag.messages(["/camera_info"])).message)
    assert (camera.width, camera.height) == size
    assert camera.K[0, 0] == pytest.approx(focal_px)


def test_several_people_and_empty_frames(walk: dict[str, Any], tmp_path: Path) -> None:
    xy, score = (np.stack([walk[key], walk[key]], axis=1) for key in ("keypoints", "scores"))
    score[3] = 0
    score[4, 1] = 0
    xy[4, 1] = np.nan  # of no meaning where the score is 0
    path = save(tmp_path, walk | {"keypoints": xy, "scores": score})
    assert main(["import-keypoints", str(path), "--out", str(tmp_path / "x.mcap")]) == 0
    with BagReader(tmp_path / "x.mcap") as bag:
        counts = [len(record.message.people) for record in bag.messages(["/keypoints"])]
    assert counts[:6] == [2, 2, 2, 0, 1, 2]


def _scores(walk: dict[str, Any], value: float) -> dict[str, Any]:
    return {"scores": np.where(np.arange(17) == 3, value, walk["scores"])}


BAD_FILES = [
    pytest.param(lambda w: {"keypoints": None}, "lacks 'keypoints'", id="no keypoints"),
    pytest.param(lambda w: {"format": None}, "name it with --layout", id="no layout"),
    pytest.param(lambda w: {"format": "coco71"}, "unknown keypoint layout 'coco71'", id="unknown layout"),
    pytest.param(lambda w: {"format": "body25"}, "layout body25 needs keypoints (T, 25, 2)", id="wrong layout"),
    pytest.param(lambda w: {"scores": w["scores"][:-1]}, "got (45, 17, 2) and (44, 17)", id="lengths differ"),
    pytest.param(lambda w: _scores(w, -0.5), "scores go from -0.5 to", id="negative scores"),
    pytest.param(lambda w: _scores(w, 90.0), "to 90; scale them to 0..1", id="scores in percent"),
    pytest.param(lambda w: _scores(w, np.nan), "a score is not finite; write 0", id="NaN scores"),
    pytest.param(lambda w: {"scores": 0 * w["scores"]}, "no joint with a score above 0", id="all missing"),
    pytest.param(
        lambda w: {"keypoints": np.full((45, 17, 2), np.inf), "scores": np.ones((45, 17))},
        "no finite position",
        id="inf",
    ),
    pytest.param(lambda w: {"fps": -1}, "'fps' must be one number, 0 if unknown", id="negative rate"),
    pytest.param(lambda w: {"keypoints": w["keypoints"].astype(str)}, "must be numbers", id="text"),
    pytest.param(lambda w: {"format": np.array([{"a": 1}], dtype=object)}, "is not a whole .npz file", id="pickle"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD_FILES)
def test_bad_files_get_one_sentence(
    change: Any, sentence: str, walk: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {key: value for key, value in (walk | change(walk)).items() if value is not None}
    assert main(["import-keypoints", str(save(tmp_path, members)), "--out", str(tmp_path / "x.mcap")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert sentence in err
    assert not (tmp_path / "x.mcap").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "is not a whole .npz file", id="zero bytes"),
        pytest.param(b"PK\x03\x04 cut off", "is not a whole .npz file", id="truncated"),
        pytest.param(b"some text", "is not a whole .npz file", id="text"),
    ],
)
def test_what_is_no_npz_gets_one_sentence(
    content: bytes | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.npz"
    if content is not None:
        path.write_bytes(content)
    assert main(["import-keypoints", str(path), "--out", str(tmp_path / "x.mcap")]) == 2
    err = capsys.readouterr().err
    assert sentence in err and str(path) in err and err.count("\n") == 1


def test_a_bag_is_not_overwritten_without_force(walk: dict[str, Any], tmp_path: Path) -> None:
    args = ["import-keypoints", str(save(tmp_path, walk)), "--out", str(tmp_path / "x.mcap")]
    assert [main(args), main(args), main([*args, "--force"])] == [0, 2, 0]


@pytest.mark.parametrize(
    "arguments", [["--fps", "0"], ["--width", "-5"], ["--focal-px", "nan"], ["--fov-deg", "180"]], ids=lambda a: a[0]
)
def test_bad_arguments_get_one_sentence(
    arguments: list[str], walk: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["import-keypoints", str(save(tmp_path, walk)), "--out", str(tmp_path / "x.mcap"), *arguments]
    assert main(args) == 2
    err = capsys.readouterr().err
    assert arguments[0] in err and err.count("\n") == 1
