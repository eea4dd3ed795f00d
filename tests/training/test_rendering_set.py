"""The rendered set: the same from any number of processes and after any stop, and read as it was written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("kornia")

from occpose_core.camera import px_from_cam
from occpose_core.files import OutputError
from occpose_core.imagesets import rendered
from training.__main__ import main
from training.rendering import raycast
from training.rendering.processes import alone_in
from training.rendering.set_writer import ANNOTATIONS, Plan, Studio, prepare_folder

IMAGES = (4, 2, 3)


def plan(data_file: Path, seed: int = 0) -> Plan:
    return Plan(motion=(data_file,), images=IMAGES, motion_shares=None, seed=seed)


def arguments(data_file: Path, out: Path, *more: str) -> list[str]:
    shares = ["--splits", *(str(count / sum(IMAGES)) for count in IMAGES)]
    return ["render", "--motion", str(data_file), "--out", str(out), "--images", str(sum(IMAGES)), *shares, *more]


def content(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def folder(data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by two processes."""
    out = tmp_path_factory.mktemp("sets") / "rendered"
    assert main(arguments(data_file, out)) == 0
    return out


@pytest.fixture(scope="module")
def annotations(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / ANNOTATIONS).read_text()))


def test_the_folder_holds_the_set_and_nothing_else(folder: Path, annotations: dict[str, Any]) -> None:
    numbers = [f"{number:06d}" for number in range(sum(IMAGES))]
    expected = {ANNOTATIONS, *(f"images/{each}.jpg" for each in numbers), *(f"edges/{each}.png" for each in numbers)}
    assert set(content(folder)) == expected
    splits = [image["split"] for image in annotations["images"]]
    assert splits == ["train"] * IMAGES[0] + ["val"] * IMAGES[1] + ["test"] * IMAGES[2]


def test_nobody_is_in_two_splits(annotations: dict[str, Any]) -> None:
    split_of = {image["id"]: image["split"] for image in annotations["images"]}
    assert annotations["annotations"]
    for label in annotations["annotations"]:  # the file's subjects are named after their splits
        assert label["subject"] == split_of[label["image_id"]]


def test_the_reader_of_image_sets_reads_it(folder: Path, annotations: dict[str, Any]) -> None:
    found = rendered.read(folder)
    assert len(found.people) == len(annotations["annotations"])
    assert found.license == "public domain"
    for person in found.people:
        picture = cv2.imread(str(person.image_path))
        assert picture.shape == (person.height, person.width, 3)
        assert picture.std() > 5
        px = px_from_cam(person.joints_cam_m[person.labelled], person.camera)
        np.testing.assert_allclose(person.kpts_px[person.labelled], px, atol=0.02)
        edges = cv2.imread(str(person.edge_path), cv2.IMREAD_UNCHANGED)
        x, y, w, h = person.box_px.astype(int)
        assert edges.shape == (person.height, person.width)
        assert edges[y : y + h, x : x + w].max() > 100


def test_one_process_that_was_stopped_makes_the_same_as_two(folder: Path, data_file: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    studio = Studio(plan(data_file), started)
    assert not prepare_folder(started, studio)
    studio.make(studio.plan.chunks()[0])
    before = (started / "images" / "000000.jpg").stat().st_mtime_ns
    assert main(arguments(data_file, started, "--workers", "1")) == 0
    assert (started / "images" / "000000.jpg").stat().st_mtime_ns == before
    assert content(started) == content(folder)


def test_a_whole_set_is_left_as_it_is(folder: Path, data_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    assert main(arguments(data_file, folder)) == 0
    assert "was complete" in capsys.readouterr().out
    assert content(folder) == before


def test_another_seed_does_not_mix_with_what_is_there(folder: Path, data_file: Path, tmp_path: Path) -> None:
    for at in (folder, tmp_path / "started"):
        prepare_folder(at, Studio(plan(data_file), at))
        with pytest.raises(OutputError, match="another seed, number or motion; name another folder"):
            prepare_folder(at, Studio(plan(data_file, seed=1), at))


def test_chunks_cover_every_picture_once() -> None:
    chunks = Plan(motion=(), images=(25, 0, 12), motion_shares=None, seed=0).chunks()
    numbers = [chunk.first + step for chunk in chunks for step in range(chunk.count)]
    assert numbers == list(range(37))
    assert [(chunk.split, chunk.in_split) for chunk in chunks] == [
        *(("train", at) for at in (0, 10, 20)),
        *(("test", at) for at in (0, 10)),
    ]


Broken = Callable[[Path, Path], list[str]]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(lambda file, out: arguments(out / "no.npz", out), "cannot read the data file", id="no motion"),
        pytest.param(
            lambda file, out: arguments(file, out, "--motion-shares", "0.5", "0.5"),
            "2 motion shares for 1 files; give one for each",
            id="shares",
        ),
        pytest.param(
            lambda file, out: arguments(file, out, "--motion-shares", "0"), "all motion shares are 0", id="no share"
        ),
        pytest.param(
            lambda file, out: arguments(file, out, "--splits", "0.5", "0.5", "0.5"),
            "--splits must sum to 1, got 1.5",
            id="splits",
        ),
        pytest.param(lambda file, out: arguments(file, file), "cannot make the folder", id="a file is in the way"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    broken: Broken, said: str, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(broken(data_file, tmp_path)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_set_is_said(data_file: Path, tmp_path: Path) -> None:
    (tmp_path / ANNOTATIONS).write_text("{")
    with pytest.raises(OutputError, match="is damaged; remove it"):
        prepare_folder(tmp_path, Studio(plan(data_file), tmp_path))


def test_a_missing_picture_is_made_again(folder: Path, data_file: Path, tmp_path: Path) -> None:
    holed = shutil.copytree(folder, tmp_path / "holed")
    (holed / "images" / "000003.jpg").unlink()
    assert main(arguments(data_file, holed, "--workers", "1")) == 0
    assert content(holed) == content(folder)


def test_pictures_of_others_are_left_alone(data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "000000.jpg").write_bytes(b"mine")
    assert main(arguments(data_file, tmp_path)) == 2
    assert "images holds files of something else; name another folder" in capsys.readouterr().err
    assert content(tmp_path) == {"images/000000.jpg": b"mine"}


def test_two_runs_do_not_fill_one_folder(data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone_in(tmp_path):
        assert main(arguments(data_file, tmp_path)) == 2
    error = capsys.readouterr().err
    assert "another process renders into" in error
    assert error.count("\n") == 1
    assert content(tmp_path) == {}


_KILLED = """
import os, signal
from training.rendering.processes import pool
if __name__ == "__main__":
    with pool(1) as processes:
        print(processes.submit(os.getpid).result(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_do_not_outlive_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(_KILLED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, str(script)]  # its output ends when the last process that has it does
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert int(done.stdout) > 0


@pytest.mark.parametrize("option", ["--images", "--seed", "--workers"])
@pytest.mark.parametrize("number", ["-1", "x", "1.5"])
def test_numbers_must_be_whole(
    option: str, number: str, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments(data_file, tmp_path, f"{option}={number}"))
    assert f"argument {option}: {number!r} is not a whole number from" in capsys.readouterr().err


def test_without_embree_the_remedy_is_said(
    data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    assert main(arguments(data_file, tmp_path / "out")) == 2
    assert "pip install 'occpose[sefd]'" in capsys.readouterr().err
    with pytest.raises(raycast.RaycastError):
        raycast.need_embree()
    assert not (tmp_path / "out").exists()
