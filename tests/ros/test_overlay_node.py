"""overlay_node over DDS: images and skeletons in, the picture with the people out."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from occpose_core.skeleton import H36M17
from occpose_ros.adapters import skeletons_to_msg
from occpose_ros.appearance import FILLED_RGB, MEASURED_RGB
from occpose_ros.images import bytes_for_msg, jpeg_from_bgr
from occpose_ros.message_types import header_to_msg, stamp_to_msg
from occpose_ros.overlay_node import OverlayNode
from tests.ros.graph import FRAME_NS, find
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH, skeleton

ROOT = Path(__file__).parents[2]
SHARE = 2  # the image is smaller than the camera's
SIZE = (WIDTH // SHARE, HEIGHT // SHARE)
KINDS = {"raw": (Image, ""), "compressed": (CompressedImage, "/compressed")}


class Studio:
    """An overlay_node on a graph, a camera that films a grey wall, and skeletons that stand before it."""

    def __init__(self, graph, *, transport="raw", listen="raw", **parameters):
        self.graph, self.transport = graph, transport
        kind, suffix = KINDS[transport]
        self.image = graph.peer.create_publisher(kind, f"image{suffix}", 10)
        self.skeletons = graph.peer.create_publisher(graph.types.Skeleton3DArray, "skeletons", 10)
        values = {"diagnostics_period_s": 0.1, "image_transport": transport, **parameters}
        self.node = graph.add(
            OverlayNode(
                context=graph.context,
                parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
                use_global_arguments=False,
            )
        )
        self.node.start()
        self.listener = self.listen(listen) if listen else None

    def listen(self, transport):
        kind, suffix = KINDS[transport]
        listener = self.graph.listen(kind, f"overlay{suffix}")
        self.heard = self.graph.heard[f"overlay{suffix}"]
        self.graph.wait("the overlay's publisher", lambda: self.graph.publisher_count(listener))
        self.graph.wait("its subscriptions", self.is_heard)
        self.graph.wait("the camera", lambda: self.node.camera or self.graph.send_camera())
        return listener

    def is_heard(self):
        return self.image.get_subscription_count() and self.skeletons.get_subscription_count() > 1  # the peer, too

    def send_image(self, stamp_ns, **changes):
        header = header_to_msg(stamp_ns, FRAME_ID, self.graph.types)
        wall = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
        if self.transport == "compressed":
            fields = {"format": "jpeg", "data": bytes_for_msg(jpeg_from_bgr(wall, 95))}
            self.image.publish(CompressedImage(header=header, **fields | changes))
        else:
            fields = {"height": SIZE[1], "width": SIZE[0], "step": 3 * SIZE[0], "encoding": "rgb8"}
            self.image.publish(Image(header=header, **fields | {"data": bytes_for_msg(wall)} | changes))

    def send_skeletons(self, stamp_ns):
        people = [skeleton("7", hidden=("left_ankle", "left_knee"))]
        msg = skeletons_to_msg(people, [], stamp_ns=stamp_ns, frame_id=FRAME_ID, types=self.graph.types)
        self.skeletons.publish(msg)

    def send(self, **changes):
        """An image and its skeletons, one frame later than the last."""
        self.graph.stamp_ns += FRAME_NS
        self.send_image(self.graph.stamp_ns, **changes)
        self.send_skeletons(self.graph.stamp_ns)
        return self.graph.stamp_ns

    def ask(self):
        """Send a pair and wait for its overlay."""
        stamp_ns = self.send()
        return self.graph.wait(f"overlay of {stamp_ns}", lambda: find(self.heard, stamp_ns))


def shows_the_person(msg):
    """Whether the knees of the person have their colours; both are at the same height."""
    data = np.frombuffer(msg.data, np.uint8)
    image = data.reshape(msg.height, msg.step // 3, 3) if hasattr(msg, "step") else cv2.imdecode(data, 1)
    assert image.shape == (SIZE[1], SIZE[0], 3)

    def has(joint, rgb):
        x, y = np.rint(skeleton().kpts_px[H36M17.index(joint)] / SHARE).astype(int)
        patch = image[y - 3 : y + 4, x - 3 : x + 4, ::-1] / 255.0
        return np.abs(patch - rgb).max(axis=-1).min() < 0.3

    return has("right_knee", MEASURED_RGB) and has("left_knee", FILLED_RGB)


@pytest.mark.parametrize("transport", ["raw", "compressed"])
@pytest.mark.parametrize("listen", ["raw", "compressed"])
def test_people_are_drawn_on_their_image(graph, transport, listen):
    studio = Studio(graph, transport=transport, listen=listen)
    overlay = studio.ask()
    assert overlay.header.frame_id == FRAME_ID
    assert shows_the_person(overlay)
    status = graph.diagnosis(lambda values: values["answered"] == "1" and values["state"] == "active")
    assert status.name == "/overlay_node: overlay"


def test_behind_the_real_pose_node(graph, node):
    studio = Studio(graph)
    stamp_ns = graph.send()
    studio.send_image(stamp_ns)
    graph.answer_to(stamp_ns)
    overlay = graph.wait("overlay", lambda: find(studio.heard, stamp_ns))
    assert len(set(bytes(overlay.data))) > 10  # no more a grey wall


def test_nothing_is_done_while_nobody_listens(graph):
    studio = Studio(graph, listen=None)
    status = graph.diagnosis(lambda values: values["state"] == "active")
    assert status.level == DiagnosticStatus.OK and "nobody listens to /overlay" in status.message
    for _ in range(2):  # come and go, and come again
        assert not studio.image.get_subscription_count()
        listener = studio.listen("raw")
        assert shows_the_person(studio.ask())
        graph.peer.destroy_subscription(listener)
        graph.wait("the images to be left", lambda: not studio.image.get_subscription_count())


def test_a_bag_that_begins_again_is_survived(graph):
    studio = Studio(graph, queue_size=5)
    for _ in range(3):
        for number in range(10):  # only every other image has skeletons, so that images wait
            graph.stamp_ns += FRAME_NS
            studio.send_image(graph.stamp_ns)
            if number % 2:
                studio.send_skeletons(graph.stamp_ns)
        studio.ask()
        graph.stamp_ns -= 10**9  # the bag begins again, earlier than ever
    graph.diagnosis(lambda values: values["resets"] != "0")


def test_a_clock_that_goes_back_is_survived(graph):
    studio = Studio(graph, use_sim_time=True)
    clock = graph.peer.create_publisher(Clock, "/clock", 10)
    for now_s, resets in ((100, 0), (50, 1)):
        now_ns = graph.stamp_ns = now_s * 10**9
        graph.wait(
            f"{now_s} s",
            lambda now_ns=now_ns: (
                studio.node.get_clock().now().nanoseconds == now_ns
                or clock.publish(Clock(clock=stamp_to_msg(now_ns, graph.types)))
            ),
        )
        graph.diagnosis(lambda values, resets=resets: values["resets"] == str(resets))
        studio.ask()


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        pytest.param({"encoding": "h264"}, "bad_image", "1 bad_image", id="encoding"),
        pytest.param({"data": bytes_for_msg(np.zeros(5, np.uint8))}, "bad_image", "1 bad_image", id="too little data"),
        pytest.param({"height": SIZE[1] // 2}, "image_size", "1 image_size", id="another aspect ratio"),
    ],
)
def test_bad_images_are_counted_and_the_next_is_drawn(graph, changes, reason, words):
    studio = Studio(graph)
    studio.send(**changes)
    status = graph.diagnosis(lambda values: values.get(f"dropped.{reason}") == "1" and words in values["message"])
    assert status.level == DiagnosticStatus.WARN
    assert shows_the_person(studio.ask())


@pytest.mark.needs_ros
def test_a_stamp_that_raises_inside_message_filters_locks_nothing(graph):
    pytest.importorskip("message_filters", reason="needs the ROS package message_filters")
    studio = Studio(graph)
    studio.send_image(-(10**9))
    status = graph.diagnosis(lambda values: values["callback_errors"] == "1")
    assert status.level == DiagnosticStatus.ERROR and "image failed" in status.message
    assert shows_the_person(studio.ask())


def test_the_newest_pair_wins_and_the_others_are_counted(graph):
    studio = Studio(graph, queue_size=50)
    studio.ask()
    for _ in range(30):
        stamp_ns = studio.send()
        graph.executor.spin_once(timeout_sec=0)
    graph.wait("the newest", lambda: find(studio.heard, stamp_ns))
    # best effort: an image or two may be lost on the way; what was paired is either drawn or counted
    graph.diagnosis(
        lambda values: (
            float(values["pair rate (Hz)"]) == 0
            and 1 < int(values["answered"]) + int(values.get("dropped.replaced", 0)) <= 31
        )
    )


def test_stamps_that_never_meet_are_said(graph):
    studio = Studio(graph)

    def send():
        graph.stamp_ns += FRAME_NS
        studio.send_image(graph.stamp_ns)
        studio.send_skeletons(graph.stamp_ns + FRAME_NS // 2)

    heard = graph.heard["/diagnostics"]
    graph.wait(
        "the sentence",
        lambda: send() or any("no image has the stamp" in message.status[0].message for message in heard),
    )


def test_lifecycle(graph):
    node = Studio(graph, autostart=False, listen=None).node
    for _ in range(2):
        for step in (node.trigger_configure, node.trigger_activate, node.trigger_deactivate, node.trigger_cleanup):
            assert step() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_shutdown() == TransitionCallbackReturn.SUCCESS


def test_without_message_filters_equal_stamps_are_paired_and_it_says_so(graph, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "message_filters", None)
    studio = Studio(graph)
    assert shows_the_person(studio.ask())
    assert "".join(capfd.readouterr()).count("message_filters is not installed") == 1


def process(*arguments):
    command = [sys.executable, str(ROOT / "scripts" / "overlay_node"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_process_ends_cleanly(graph):
    running = process("--ros-args", "-p", "diagnostics_period_s:=0.1")
    try:
        graph.diagnosis(lambda values: True)
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 0, output
    assert "Traceback" not in output


def test_bad_arguments_get_a_sentence_and_status_2():
    running = process("--ros-args", "-p", "image_transport:=fax")
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 2
    assert "image_transport must be one of raw, compressed, got 'fax'" in output
