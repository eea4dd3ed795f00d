"""A running node over real DDS, and a viewer beside it; and what is said when nothing comes."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
pytest.importorskip("viser", reason="the viewer needs viser: pip install 'occpose[view]'")

import rclpy
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message

from occpose_core.skeleton import H36M17
from occpose_ros.bag import CAMERA_INFO_TYPE, KEYPOINTS_TYPE, SKELETONS_TYPE, TF_TYPE, BagReader, typestore
from occpose_ros.live import NodeProcess, Player, own_domain
from occpose_ros.message_types import MessageTypes, message_class
from occpose_ros.transforms import Transform, TransformError
from occpose_ros.view.live_source import LiveSource
from occpose_ros.view.source import Frames, ViewError
from tests.ros.page_client import PageClient
from tests.ros.people import FRAME_ID, camera_info_msg
from tests.ros.view_bags import skeletons_msg, tf_msg
from tests.ros.viewer_process import ViewerProcess

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
JOINTS = len(H36M17.joints)
BEGIN, IMAGES = 300, 120
PATIENCE_S = 20.0


def test_a_running_node_is_shown() -> None:
    """pose_node answers the sample bag over DDS; the viewer finds its topic and camera by itself."""
    with BagReader(SAMPLE) as bag:
        camera = next(iter(bag.records(["/camera_info"])))
        played = list(itertools.islice(bag.records(["/keypoints", "/camera_info"]), 2 * BEGIN, 2 * (BEGIN + IMAGES)))
    with own_domain(), NodeProcess({}) as node, Player(node.check) as player, ViewerProcess() as viewer:
        assert viewer.greeting.startswith("a running node is shown at ")
        player.wait_until_ready(bytes(camera.raw))
        with PageClient(viewer.port) as page:

            def joints() -> int:
                return sum(page.shown(f"/joints/{kind}", "batched_positions") for kind in ("MEASURED", "FILLED"))

            def says(text: str) -> bool:
                return any(text in control.get("_markdown", "") for control in page.controls.values())

            page.until(lambda: says("nothing comes on /skeletons"), "a viewer that has found the node")
            playing = threading.Thread(target=lambda: player.play(played))
            playing.start()
            page.until(lambda: joints() == 2 * JOINTS, "two people")
            page.until(lambda: page.shown("/joints/FILLED", "batched_positions"), "a joint that the node filled")
            page.until(lambda: page.shown("/camera", "points"), "the camera")
            page.until(lambda: says("/skeletons, "), "a rate")
            playing.join()
            page.until(lambda: joints() == 0, "nobody, for nothing comes any more")
        assert viewer.end() == (0, "")
        assert node.stop() == 0


class Peer:
    """Another node of the graph, which publishes what a test says."""

    def __init__(self, domain_id: int) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self._node = rclpy.create_node("peer", context=self._context)
        self.types = MessageTypes.from_rclpy()

    def offer(self, topic: str, msgtype: str = SKELETONS_TYPE, qos: Any = 10) -> Any:
        """A publisher."""
        return self._node.create_publisher(message_class(msgtype), topic, qos)

    def close(self) -> None:
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def peer(ros_domain_id: int) -> Iterator[Peer]:
    peer = Peer(ros_domain_id)
    yield peer
    peer.close()


def until(source: LiveSource, condition: Callable[[], Any], what: str) -> Any:
    """Listen until something is so."""
    for _ in range(round(PATIENCE_S / 0.05)):
        if found := condition():
            return found
        source.wait(0.05)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s for {what}: {source.status()}")


def test_nobody_publishes_anything(ros_domain_id: int) -> None:
    with LiveSource() as source:
        assert source.moment() is None
        assert "nobody publishes a topic of type occpose_ros/msg/Skeleton3DArray: start pose_node" in source.status()
        assert f"ROS_DOMAIN_ID={ros_domain_id} as here" in source.status()


def test_a_topic_that_nobody_publishes_and_one_that_somebody_does(peer: Peer) -> None:
    peer.offer("/front/skeletons")
    with LiveSource("/back/skeletons") as source:
        until(source, lambda: "skeletons are on /front/skeletons: start pose_node" in source.status(), "the hint")
        assert "nobody publishes /back/skeletons" in source.status()


def test_a_publisher_that_says_nothing(peer: Peer) -> None:
    peer.offer("/skeletons")
    with LiveSource() as source:
        until(source, lambda: "nothing comes on /skeletons, though it has a publisher" in source.status(), "the hint")
        assert "/diagnostics" in source.status()


def test_a_topic_of_another_type(peer: Peer) -> None:
    peer.offer("/skeletons", KEYPOINTS_TYPE)
    with (
        pytest.raises(ViewError, match=r"/skeletons is of type occpose_ros/msg/Keypoints2DArray, not"),
        LiveSource("/skeletons") as source,
    ):
        until(source, lambda: False, "the type")


def test_what_ros_refuses_is_one_sentence(ros_domain_id: int) -> None:
    with pytest.raises(ViewError, match=r"ROS refuses \(.*\): check ROS_DOMAIN_ID") as raised, LiveSource("a b"):
        pytest.fail("it was opened")
    assert "\n" not in str(raised.value)


def test_where_tf_says_that_the_camera_is(peer: Peer, interfaces: None) -> None:
    """The camera's place comes on /tf_static, from a publisher that has long been silent."""
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    peer.offer("/tf_static", TF_TYPE, latched).publish(_as_rclpy(tf_msg(0.0, "map", FRAME_ID, 1.0, 2.0), TF_TYPE))
    skeletons, frames = peer.offer("/skeletons"), Frames(fixed_frame="map")
    message = _as_rclpy(skeletons_msg(0.0), SKELETONS_TYPE)
    with LiveSource("/skeletons", with_tf=True) as source:

        def map_from_camera() -> Transform | None:
            skeletons.publish(message)
            with contextlib.suppress(TransformError):
                moment = source.moment()
                return moment and frames.shown_from(moment.frame_id, moment.stamp_ns, source.transforms)
            return None

        found = until(source, map_from_camera, "the transform")
        assert found.translation_m.tolist() == [1.0, 0.0, 2.0]


def test_two_cameras(peer: Peer) -> None:
    for topic in ("/front/skeletons", "/back/skeletons", "/front/skeletons_in_target_frame", "/ground_truth/skeletons"):
        peer.offer(topic)
    sentence = "skeletons are on /back/skeletons, /front/skeletons; name one of them with --skeletons"
    with pytest.raises(ViewError, match=sentence), LiveSource() as source:
        until(source, lambda: False, "both")


def test_the_camera_of_the_skeletons_is_found_among_others(peer: Peer) -> None:
    """And then the others are not listened to any more."""
    skeletons = peer.offer("/skeletons")
    cameras = {frame: peer.offer(f"/{frame}/camera_info", CAMERA_INFO_TYPE) for frame in ("left", FRAME_ID)}
    message = _as_rclpy(skeletons_msg(0.0), SKELETONS_TYPE)
    with LiveSource() as source:

        def publish() -> bool:
            for frame, publisher in cameras.items():
                publisher.publish(camera_info_msg(peer.types, frame_id=frame))
            skeletons.publish(message)
            moment = source.moment()
            return moment is not None and moment.camera is not None and moment.camera.frame_id == FRAME_ID

        until(source, publish, "the camera")
        until(source, lambda: cameras["left"].get_subscription_count() == 0, "the other camera's peace")
        assert cameras[FRAME_ID].get_subscription_count() == 1


def _as_rclpy(message: Any, msgtype: str) -> Any:
    """A message of the small recordings as the generated classes have it."""
    return deserialize_message(bytes(typestore().serialize_cdr(message, msgtype)), message_class(msgtype))
