"""Messages whose definitions a bag lacks are read with files that the user gives, and others are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg

from occpose_ros.bag import BagError, BagReader, typestore
from occpose_ros.message_definitions import types_from_files
from tests.ros.bag_files import INTERFACES, Sent, every_type, write_folder
from tests.ros.families import World, standing, yolo_msg

TYPE = "yolo_msgs/msg/DetectionArray"
YOLO = INTERFACES / "yolo_msgs"
STORAGES = pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])


@pytest.fixture(scope="module")
def detections() -> Sent:
    return Sent("/yolo", TYPE, 5, yolo_msg(World("rosbags"), [standing()]))


def read(path: Path, *message_files: Path) -> Any:
    with BagReader(path, message_files) as bag:
        assert bag.topics == {"/yolo": TYPE} and bag.count(["/yolo"]) == 1
        (record,) = bag.messages()
        assert bag.channel("/yolo").digest == every_type().hash_rihs01(TYPE)
    return record.message


@STORAGES
def test_definitions_in_the_bag_are_enough(tmp_path: Path, storage: StoragePlugin, detections: Sent) -> None:
    assert read(write_folder(tmp_path / "bag", [detections], storage)).detections[0].class_name == "person"


def _package(folder: Path) -> Path:
    return YOLO


def _files(folder: Path) -> Path:
    return YOLO / "msg"


def _workspace(folder: Path) -> Path:
    return INTERFACES


def _renamed(folder: Path) -> Path:
    """An unpacked archive: the package's name is in its package.xml."""
    shutil.copytree(YOLO, folder / "yolo_ros-4.4.1" / "messages")
    return folder / "yolo_ros-4.4.1"


@STORAGES
@pytest.mark.parametrize("given", [_package, _files, _workspace, _renamed])
def test_files_say_what_the_bag_does_not(
    tmp_path: Path, storage: StoragePlugin, detections: Sent, given: Callable[[Path], Path]
) -> None:
    folder = write_folder(tmp_path / "bag", [detections], storage, definitions=False)
    with pytest.raises(BagError, match=r"does not say what yolo_msgs/msg/DetectionArray is: give the .msg files"):
        read(folder)
    assert read(folder, given(tmp_path)).detections[0].class_name == "person"


def test_the_package_is_named_that_is_still_lacking(tmp_path: Path, detections: Sent) -> None:
    folder = write_folder(tmp_path / "bag", [detections], definitions=False)
    lone = tmp_path / "yolo_msgs" / "msg" / "DetectionArray.msg"
    lone.parent.mkdir(parents=True)
    shutil.copy(YOLO / "msg" / "DetectionArray.msg", lone)
    with pytest.raises(
        BagError, match=r"what yolo_msgs/msg/Detection is, which .*DetectionArray needs: give .*yolo_msgs"
    ):
        read(folder, lone)
    assert read(folder, *sorted((YOLO / "msg").glob("*.msg"))).detections[0].class_name == "person"


def test_what_the_bag_says_holds_before_what_files_say(tmp_path: Path, detections: Sent) -> None:
    folder = write_folder(tmp_path / "bag", [detections])
    other = tmp_path / "yolo_msgs" / "msg" / "Detection.msg"
    other.parent.mkdir(parents=True)
    other.write_text("int8 another_version\n")
    assert read(folder, tmp_path / "yolo_msgs").detections[0].class_name == "person"


def test_a_definition_without_its_parts_is_completed(tmp_path: Path, detections: Sent) -> None:
    """Some recorders write only the text of the message itself."""
    store = every_type()
    text = (YOLO / "msg" / "DetectionArray.msg").read_text()
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/yolo", TYPE, msgdef=text, rihs01=store.hash_rihs01(TYPE))
        writer.write(connection, 5, bytes(store.serialize_cdr(detections.message, TYPE)))
    with pytest.raises(BagError, match=r"what yolo_msgs/msg/Detection is, which"):
        read(tmp_path / "bag")
    assert read(tmp_path / "bag", YOLO).detections[0].class_name == "person"


def test_a_definition_that_nobody_can_read_costs_only_its_topic(tmp_path: Path) -> None:
    camera_info = typestore().types["std_msgs/msg/String"](data="all is well")
    folder = tmp_path / "bag"
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        strange = writer.add_connection("/strange", "lab_msgs/msg/Odd", msgdef="map<int, int> odd", rihs01="RIHS01_0")
        good = writer.add_connection("/good", "std_msgs/msg/String", typestore=typestore())
        writer.write(strange, 1, b"\x00\x01\x00\x00")
        writer.write(good, 2, bytes(typestore().serialize_cdr(camera_info, "std_msgs/msg/String")))
    with BagReader(folder) as bag:
        assert [record.message.data for record in bag.messages(["/good"])] == ["all is well"]
        with pytest.raises(BagError, match="a message on /strange of"):
            list(bag.messages(["/strange"]))


def test_idl_is_understood(tmp_path: Path) -> None:
    idl = "module lab_msgs { module msg { struct Grip { double width_m; }; }; };"
    text = f"{'=' * 80}\nIDL: lab_msgs/msg/Grip\n{idl}"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/grip", "lab_msgs/msg/Grip", msgdef=text, rihs01="RIHS01_0")
        writer.write(connection, 1, b"\x00\x01\x00\x00" + b"\x00\x00\x00\x00\x00\x00\xe0\x3f")
    with BagReader(tmp_path / "bag") as bag:
        assert [record.message.width_m for record in bag.messages()] == [0.5]


def _no_path(folder: Path) -> Path:
    return folder / "missing"


def _no_msg(folder: Path) -> Path:
    return folder


def _text(folder: Path) -> Path:
    (folder / "x.txt").write_text("int8 x\n")
    return folder / "x.txt"


def _of_no_package(folder: Path) -> Path:
    (folder / "Detection.msg").write_text("int8 x\n")
    return folder / "Detection.msg"


def _nonsense(folder: Path) -> Path:
    (folder / "lab" / "msg").mkdir(parents=True)
    (folder / "lab" / "msg" / "Odd.msg").write_text("int8 1x\n")
    return folder


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        pytest.param(_no_path, "neither a folder nor a .msg file", id="missing"),
        pytest.param(_no_msg, "has no .msg files", id="folder without"),
        pytest.param(_text, "neither a folder nor a .msg file", id="another file"),
        pytest.param(
            _of_no_package, "is of no package; put it where packages have it: PACKAGE/msg/Det", id="no package"
        ),
        pytest.param(_nonsense, "is no message definition", id="no definition"),
    ],
)
def test_files_that_are_no_definitions_get_one_sentence(
    tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(BagError, match=f"--messages: .*{sentence}") as caught:
        types_from_files([make(tmp_path)])
    assert "\n" not in str(caught.value)


def test_types_have_the_names_that_ros_gives_them() -> None:
    types = types_from_files([INTERFACES / "hri_msgs"])
    assert set(types) == {f"hri_msgs/msg/{name}" for name in ("IdsList", "NormalizedPointOfInterest2D", "Skeleton2D")}
    text = (INTERFACES / "hri_msgs" / "msg" / "IdsList.msg").read_text()
    assert types["hri_msgs/msg/IdsList"] == get_types_from_msg(text, "hri_msgs/msg/IdsList")["hri_msgs/msg/IdsList"]
