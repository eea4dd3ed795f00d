"""Bags of every detector family give their keypoints, and everything that a node's parameters say of them is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from occpose_core.types import Camera
from occpose_ros.adapters import KeypointsArray
from occpose_ros.bag import CAMERA_INFO_TYPE, BagError, BagReader, Channel, Record, typestore
from occpose_ros.message_types import MessageTypes
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.items import Image, Item
from occpose_ros.replay.source import ReadingProcess, read
from occpose_ros.replay.topics import SourceSettings, find_topics
from tests.ros import families
from tests.ros.bag_files import INTERFACES, Sent, write_folder
from tests.ros.families import WRITERS, Person, World, expected, standing
from tests.ros.people import FRAME_ID, WIDTH, camera, camera_info_msg

FRAME_NS = 33_333_333
BEGIN_NS = 5_000_000_000
TOPICS = {"yolo": "/yolo/tracking", "zed": "/zed/body_trk", "openpose": "/pose", "hri": "/humans/bodies/tracked"}
KINDS = {
    "yolo": "yolo_msgs/msg/DetectionArray",
    "zed": "zed_msgs/msg/ObjectsStamped",
    "openpose": "openpose_ros2_msgs/msg/PoseKeyPointsList",
}


@pytest.fixture(scope="module")
def world() -> World:
    return World("rosbags")


def camera_info(stamp_ns: int = BEGIN_NS, **fields: Any) -> Sent:
    types = MessageTypes.from_rosbags(typestore())
    message = camera_info_msg(types, stamp_ns=stamp_ns, **fields)
    return Sent("/camera_info", CAMERA_INFO_TYPE, stamp_ns, message)


def listed(world: World, stamp_ns: int, ids: Sequence[str], humans: str = "/humans") -> Sent:
    message = world.make("hri_msgs/IdsList", header=world.header(stamp_ns), ids=list(ids))
    return Sent(f"{humans}/bodies/tracked", "hri_msgs/msg/IdsList", stamp_ns, message)


def body(world: World, person: Person, stamp_ns: int, humans: str = "/humans") -> Sent:
    skeleton = families.hri_skeleton(world, person, stamp_ns)
    return Sent(f"{humans}/bodies/{person.id}/skeleton2d", "hri_msgs/msg/Skeleton2D", stamp_ns, skeleton)


def spoken(world: World, name: str, people: Sequence[Person], stamp_ns: int) -> list[Sent]:
    """What a detector says of an image. name: of a family, or of a layout that it has."""
    family, _ = WRITERS[name]
    if family == "hri":
        return [listed(world, stamp_ns, [p.id for p in people]), *(body(world, p, stamp_ns) for p in people)]
    how = {} if name == "yolo" else {"layout": name}
    message = getattr(families, f"{family}_msg")(world, people, stamp_ns, **how)
    return [Sent(TOPICS[family], KINDS[family], stamp_ns, message)]


def film(world: World, name: str, frames: int = 3) -> list[Sent]:
    """Two people who stand still."""
    sent = [camera_info()]
    for frame in range(frames):
        people = [standing("b1" if name == "hri" else "1", -0.5), standing("b2" if name == "hri" else "2", 0.5)]
        sent += spoken(world, name, people, BEGIN_NS + frame * FRAME_NS)
    return sent


def items_of(path: Path, settings: SourceSettings | None = None, **how: Any) -> list[Item]:
    settings = settings or SourceSettings()
    with BagReader(path, settings.message_files) as bag:
        return list(read(bag, find_topics(bag, settings, **how), settings))


def images_of(path: Path, settings: SourceSettings | None = None) -> list[Image]:
    return [item for item in items_of(path, settings) if isinstance(item, Image)]


def seen(images: Sequence[Image]) -> list[KeypointsArray]:
    assert all(image.keypoints is not None for image in images), [image.refusal for image in images]
    return [image.keypoints for image in images]


def node_settings(**parameters: Any) -> SourceSettings:
    return SourceSettings(parameters=NodeParameters(**parameters))


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
@pytest.mark.parametrize("definitions", [True, False], ids=["with definitions", "without"])
@pytest.mark.parametrize("name", WRITERS)
def test_every_family_is_found_and_read(
    tmp_path: Path, world: World, name: str, definitions: bool, storage: StoragePlugin
) -> None:
    folder = write_folder(tmp_path / "bag", film(world, name), storage, definitions=definitions)
    settings = SourceSettings(message_files=() if definitions else (INTERFACES,))
    items = items_of(folder, settings)
    arrays = seen([item for item in items if isinstance(item, Image)])
    assert [array.stamp_ns for array in arrays] == [BEGIN_NS + frame * FRAME_NS for frame in range(3)]
    for array in arrays:
        assert (array.frame_id, array.width, array.normalised) == (FRAME_ID, WIDTH, False)
        assert len(array.people) == 2
        for person, x_m in zip(array.people, (-0.5, 0.5), strict=True):
            xy_px, score = expected(standing(x_m=x_m))
            np.testing.assert_allclose(person.score, score, atol=1e-6)
            np.testing.assert_allclose(person.xy_px[person.visible], xy_px[score > 0], atol=1e-3)
    records = [item for item in items if isinstance(item, Record)]
    opened = [item.topic for item in items if isinstance(item, Channel)]
    assert len(records) == len(film(world, name)) and len(opened) == len(set(opened))
    assert {record.topic for record in records} == set(opened)


@pytest.mark.parametrize("name", ["yolo", "hri"])
def test_another_process_reads_the_same(tmp_path: Path, world: World, name: str) -> None:
    folder = write_folder(tmp_path / "bag", film(world, name), definitions=False)
    settings = SourceSettings(message_files=(INTERFACES,))
    with BagReader(folder, settings.message_files) as bag:
        topics = find_topics(bag, settings)
    with ReadingProcess(folder, topics, settings) as process:
        theirs = list(process)
    ours = items_of(folder, settings)
    assert [type(item) for item in theirs] == [type(item) for item in ours]
    for mine, other in zip(ours, theirs, strict=True):
        if isinstance(mine, Image):
            np.testing.assert_array_equal(mine.keypoints.people.xy_px, other.keypoints.people.xy_px)


def test_definitions_that_lack_are_asked_for(tmp_path: Path, world: World) -> None:
    folder = write_folder(tmp_path / "bag", film(world, "zed38"), definitions=False)
    with pytest.raises(BagError, match=r"give the .msg files of the package zed_msgs with --messages"):
        items_of(folder)


def test_messages_of_another_version_get_one_sentence(tmp_path: Path, world: World) -> None:
    """The right name, but other fields: of files that the user gives, and of the bag itself."""
    package = tmp_path / "yolo_msgs" / "msg"
    package.mkdir(parents=True)
    (package / "DetectionArray.msg").write_text("std_msgs/Header header\nuint8[] boxes\n")
    folder = write_folder(tmp_path / "bag", film(world, "yolo"), definitions=False)
    with pytest.raises(BagError, match=r"cannot be unpacked .* its definition is of another version"):
        items_of(folder, SourceSettings(message_files=(tmp_path / "yolo_msgs",)))
    sent = Sent("/yolo", KINDS["yolo"], BEGIN_NS, world.make("std_msgs/ColorRGBA", r=0.0, g=0.0, b=0.0, a=0.0))
    with Writer(tmp_path / "other", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        info, of_info = camera_info(), writer.add_connection("/camera_info", CAMERA_INFO_TYPE, typestore=typestore())
        writer.write(of_info, info.stamp_ns, bytes(typestore().serialize_cdr(info.message, info.msgtype)))
        text = "float32 r\nfloat32 g\nfloat32 b\nfloat32 a\n"
        of_boxes = writer.add_connection(sent.topic, sent.msgtype, msgdef=text, rihs01="RIHS01_0")
        writer.write(of_boxes, BEGIN_NS, bytes(typestore().serialize_cdr(sent.message, "std_msgs/msg/ColorRGBA")))
    with pytest.raises(
        BagError, match=r"another version than occpose reads: yolo_msgs/msg/DetectionArray has no field 'detections'"
    ):
        items_of(tmp_path / "other")


def shifted(mirror: bool = False, factor: float = 1.0) -> Callable[[Person], Person]:
    """People as a detector sees them in a mirrored or resized image."""

    def change(person: Person) -> Person:
        xy_px, score = person.xy_px, person.score
        if mirror:
            mirrored = families.COCO17.mirror
            xy_px, score = xy_px[mirrored].copy(), score[mirrored]
            xy_px[:, 0] = (WIDTH - 1) - xy_px[:, 0]
        return replace(person, xy_px=((xy_px + 0.5) * factor - 0.5).astype(np.float32), score=score)

    return change


@pytest.mark.parametrize(
    ("parameters", "change"),
    [
        pytest.param({"mirror": True}, shifted(mirror=True), id="mirror"),
        pytest.param({"image_width": 640}, shifted(factor=0.5), id="image width"),
        pytest.param({"layout": "coco17"}, shifted(), id="layout"),
    ],
)
def test_parameters_say_what_the_detector_saw(
    tmp_path: Path, world: World, parameters: dict[str, Any], change: Callable[[Person], Person]
) -> None:
    sent = [camera_info(), *spoken(world, "yolo", [change(standing())], BEGIN_NS)]
    (array,) = seen(images_of(write_folder(tmp_path / "bag", sent), node_settings(**parameters)))
    xy_px, score = expected(standing())
    np.testing.assert_allclose(array.people.xy_px[0][score > 0], xy_px[score > 0], atol=1e-2)


def test_joints_may_be_counted_from_zero(tmp_path: Path, world: World) -> None:
    message = families.yolo_msg(world, [standing()], BEGIN_NS, first_joint_id=0)
    folder = write_folder(tmp_path / "bag", [camera_info(), Sent("/yolo", KINDS["yolo"], BEGIN_NS, message)])
    (guessed,) = seen(images_of(folder))
    assert len(guessed.people) == 0 and guessed.dropped["zero_based_ids"] == 1
    (told,) = seen(images_of(folder, node_settings(first_joint_id=0)))
    np.testing.assert_allclose(told.people.score[0], expected(standing())[1], atol=1e-6)


def test_messages_without_stamps_get_that_of_their_arrival(tmp_path: Path, world: World) -> None:
    message = families.yolo_msg(world, [standing()], 0)
    folder = write_folder(tmp_path / "bag", [camera_info(), Sent("/yolo", KINDS["yolo"], BEGIN_NS + 7, message)])
    (array,) = seen(images_of(folder))
    assert array.stamp_ns == BEGIN_NS + 7 and array.dropped == {"no_stamp": 1}
    (image,) = images_of(folder, node_settings(zero_stamps="drop"))
    assert (image.keypoints, image.reason) == (None, "no_stamp")


def test_messages_may_be_too_old(tmp_path: Path, world: World) -> None:
    late = [replace(sent, stamp_ns=sent.stamp_ns + 2 * 10**9) for sent in spoken(world, "yolo", [standing()], BEGIN_NS)]
    folder = write_folder(tmp_path / "bag", [camera_info(), *late])
    assert len(seen(images_of(folder))) == 1
    (image,) = images_of(folder, node_settings(max_age_s=1.0))
    assert (image.reason, "2.0 s old" in image.refusal) == ("too_old", True)


def test_bodies_are_gathered_by_image(tmp_path: Path, world: World) -> None:
    """One whom the list does not name is not listened to; one who comes late is counted; nobody is an image too."""
    one, two, three = (BEGIN_NS + frame * FRAME_NS for frame in range(3))
    sent = [
        camera_info(),
        body(world, standing("a", -0.5), one - 1),  # before anybody listens
        listed(world, one, ["a", "b"]),
        body(world, standing("stranger"), one),
        body(world, standing("a", -0.5), one),
        body(world, standing("b", 0.5), one),
        body(world, standing("a", -0.5), two),
        body(world, standing("a", -0.5), two + 1),  # b stays away, and a newer image begins
        body(world, standing("b", 0.5), two),
        listed(world, three, []),
    ]
    sent = [replace(one, stamp_ns=BEGIN_NS + 1000 * order) for order, one in enumerate(sent)]
    images = images_of(write_folder(tmp_path / "bag", sent))
    assert [image.reason for image in images] == ["", "", "", "late_body", ""]
    arrays = seen([image for image in images if not image.reason])
    assert [(array.stamp_ns, list(array.people.ids)) for array in arrays] == [
        (one, ["a", "b"]),
        (two, ["a"]),
        (two + 1, ["a"]),
        (three, []),
    ]


def test_a_body_that_the_node_cannot_listen_to_is_refused(tmp_path: Path, world: World) -> None:
    sent = [camera_info(), listed(world, BEGIN_NS, ["no-name", "a"]), body(world, standing("a"), BEGIN_NS)]
    images = images_of(write_folder(tmp_path / "bag", sent))
    assert [image.reason for image in images] == ["refused_body", ""]
    assert list(images[1].keypoints.people.ids) == ["a"]


def test_keypoints_of_an_unknown_camera_get_an_assumed_one(tmp_path: Path, world: World) -> None:
    folder = write_folder(tmp_path / "bag", film(world, "openpose18")[1:])
    with pytest.raises(BagError, match=r"no topic of type sensor_msgs/msg/CameraInfo, .* give it with --camera"):
        items_of(folder)
    with pytest.raises(BagError, match="set image_width and image_height"):
        items_of(folder, node_settings(assumed_fov_deg=65.0))
    items = items_of(folder, node_settings(assumed_fov_deg=65.0, image_width=WIDTH, image_height=720))
    (assumed,) = (item for item in items if isinstance(item, Camera))
    assert (assumed.width, assumed.frame_id) == (WIDTH, camera().frame_id)
    assert assumed.K[0, 0] == pytest.approx(WIDTH / 2 / np.tan(np.radians(32.5)))
    assert len(seen([item for item in items if isinstance(item, Image)])) == 3
