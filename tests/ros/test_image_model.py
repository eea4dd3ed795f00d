"""pose_node with an image model: images and keypoints in, poses and surfaces from both out; images that fail."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
pytest.importorskip("onnx", reason="needs the package onnx")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image

from occpose_core.skeleton import H36M17
from occpose_ros.images import bytes_for_msg, jpeg_from_bgr
from occpose_ros.message_types import header_to_msg
from tests.ros.bending_body import bending_body
from tests.ros.graph import FRAME_NS, values
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH
from tests.ros.rviz_rules import marker_array_faults, shown_after

KINDS = {"raw": (Image, ""), "compressed": (CompressedImage, "/compressed")}
LATE_S = 2.0  # a wait that no test waits for
WRIST, SHOULDER = H36M17.index("left_wrist"), H36M17.index("left_shoulder")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bending_body(tmp_path_factory.mktemp("models") / "bends.onnx")


class Film:
    """An active pose_node with an image model, a detector, and a camera that films a wall of some brightness."""

    def __init__(self, graph, model, *, transport="raw", size=(WIDTH, HEIGHT), **parameters):
        self.graph, self.transport, self.size = graph, transport, size
        kind, suffix = KINDS[transport]
        self.image = graph.peer.create_publisher(kind, f"image{suffix}", 10)
        parameters = {"image_model": str(model), "image_transport": transport, "image_wait_s": LATE_S} | parameters
        self.node = graph.active(**parameters)
        self.connect()

    def connect(self):
        self.graph.wait("the images to be heard", self.image.get_subscription_count)

    def film(self, stamp_ns, brightness=0, **changes):
        """Publish an image."""
        header = header_to_msg(stamp_ns, FRAME_ID, self.graph.types)
        wall = np.full((self.size[1], self.size[0], 3), brightness, np.uint8)
        if self.transport == "compressed":
            fields = {"format": "jpeg", "data": bytes_for_msg(jpeg_from_bgr(wall, 95))}
        else:
            fields = {"height": self.size[1], "width": self.size[0], "step": 3 * self.size[0], "encoding": "rgb8"}
            fields["data"] = bytes_for_msg(wall)
        self.image.publish(KINDS[self.transport][0](header=header, **fields | changes))

    def ask(self, brightness=0, **changes):
        """An image, then its keypoints; the answer."""
        self.film(self.graph.stamp_ns + FRAME_NS, brightness, **changes)
        return self.graph.ask()

    def markers_of(self, stamp_ns):
        arrays = self.graph.heard["markers"]
        self.graph.wait("markers", lambda: next((m for m in arrays if stamp_of(m) == stamp_ns), None))
        return shown_after(arrays)

    def has_mesh(self, answer):
        """Whether RViz shows a mesh with this answer."""
        shown = self.markers_of(stamp_of(answer))
        return any(layer == "mesh" for layer, _ in shown)


def stamp_of(msg):
    header = msg.markers[0].header if hasattr(msg, "markers") else msg.header
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def values_of(status):
    return {pair.key: pair.value for pair in status.values}


def depth_m(answer, joint):
    return answer.people[0].position[3 * joint + 2]


def bend_m(answer):
    """How much farther from the camera the wrist is than the shoulder: brightness, if the image was looked at."""
    return depth_m(answer, WRIST) - depth_m(answer, SHOULDER)


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_the_image_decides_what_keypoints_do_not_tell(graph, model, transport):
    film = Film(graph, model, transport=transport, size=(WIDTH // 2, HEIGHT // 2), min_cutoff_hz=0.0)
    bends = [bend_m(film.ask(brightness)) for brightness in (0, 250, 0)]
    assert bends[0] == pytest.approx(bends[2], abs=0.02)
    assert bends[1] - bends[0] == pytest.approx(0.49, abs=0.1)
    told = values_of(graph.diagnosis(lambda values: values["answered"] == "3" and values["state"] == "active"))
    assert told["image model"] == "bends" and told["image engine"].startswith("onnxruntime")
    assert "dropped.no_image" not in told


def test_the_surface_goes_to_rviz_and_leaves_with_the_person(graph, model):
    film = Film(graph, model, mesh_triangles=120)
    answer = film.ask()
    shown = film.markers_of(stamp_of(answer))
    (mesh,) = (marker for (layer, _), marker in shown.items() if layer == "mesh")
    assert len(mesh.points) == 3 * 120
    assert mesh.header == answer.header and mesh.id == shown["joints", 0].id
    corners = np.array([(point.x, point.y, point.z) for point in mesh.points])
    pelvis = np.array(answer.people[0].position[3 * H36M17.index("pelvis") :][:3])
    assert np.abs(corners.mean(axis=0) - pelvis).max() < 0.15
    assert np.ptp(corners, axis=0)[1] == pytest.approx(1.72, abs=0.2)
    far = graph.answer_to(graph.send([], ahead_ns=2 * 10**9))
    assert not film.has_mesh(far)
    assert film.has_mesh(film.ask())
    assert marker_array_faults(graph.heard["markers"]) == []


def test_without_triangles_there_is_no_surface(graph, model):
    film = Film(graph, model, mesh_triangles=0)
    assert not film.has_mesh(film.ask(250))


def test_a_model_that_gets_no_edges_answers_and_the_log_says_so_once(graph, tmp_path, capfd):
    film = Film(graph, bending_body(tmp_path / "teacher.onnx", config={"edge": "given"}))
    assert film.has_mesh(film.ask(250)) and film.has_mesh(film.ask(250))
    graph.diagnosis(lambda values: values["answered"] == "2")
    assert "".join(capfd.readouterr()).count("model bends gets no edges, for only labels have the true ones") == 1


def test_an_image_that_comes_after_its_keypoints_is_waited_for(graph, model):
    film = Film(graph, model)
    stamp_ns = graph.send()
    graph.wait("the keypoints", lambda: film.node._images._waiting)
    film.film(stamp_ns)
    assert film.has_mesh(graph.answer_to(stamp_ns))


@pytest.mark.needs_ros
def test_a_detector_may_round_the_stamps_of_its_images(graph, model):
    pytest.importorskip("message_filters", reason="needs the ROS package message_filters")
    film = Film(graph, model)
    film.film(graph.stamp_ns + FRAME_NS + 400_000)
    assert film.has_mesh(graph.ask())


def test_without_message_filters_stamps_must_be_equal_and_the_log_says_so(graph, model, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "message_filters", None)
    film = Film(graph, model, image_wait_s=0.05)
    film.film(graph.stamp_ns + FRAME_NS + 400_000)
    assert not film.has_mesh(graph.ask())
    assert film.has_mesh(film.ask())
    assert "".join(capfd.readouterr()).count("message_filters is not installed") == 1


def test_keypoints_are_answered_in_their_order(graph, model):
    film = Film(graph, model)
    first, second = graph.send(), graph.send()
    graph.wait("both", lambda: len(film.node._images._waiting) == 2)
    film.film(second)
    answers = [graph.answer_to(stamp_ns) for stamp_ns in (first, second)]
    assert [stamp_of(answer) for answer in graph.heard["skeletons"]] == [first, second]
    assert film.has_mesh(answers[1])
    graph.diagnosis(lambda values: values.get("dropped.no_image") == "1")


def test_keypoints_alone_answer_when_no_image_comes(graph, model):
    film = Film(graph, model, image_wait_s=0.05)
    answers = [graph.ask() for _ in range(3)]
    assert all(len(answer.people) == 1 for answer in answers)
    assert not film.has_mesh(answers[-1])
    status = graph.diagnosis(lambda values: graph.ask() and "no_image" in values["message"])
    assert status.level == DiagnosticStatus.WARN
    assert "no images on /image, so keypoints alone are lifted" in status.message
    assert film.has_mesh(film.ask())  # and when images come again, so do the surfaces
    assert not film.has_mesh(graph.ask())  # what was shown is taken back


@pytest.mark.parametrize(
    ("wait_s", "ahead_ns", "words"),
    [
        pytest.param(0.0, 0, "images come later than image_wait_s (0 s) after their keypoints", id="late"),
        pytest.param(0.01, FRAME_NS // 2, "no image has the stamp of the keypoints", id="other stamps"),
    ],
)
def test_images_that_do_not_find_their_keypoints_are_said(graph, model, wait_s, ahead_ns, words):
    film = Film(graph, model, image_wait_s=wait_s)

    def send():
        graph.ask()
        film.film(graph.stamp_ns + ahead_ns)

    heard = graph.heard["/diagnostics"]
    graph.wait("the sentence", lambda: send() or any(words in values(message)["message"] for message in heard))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"encoding": "h264"}, "bad_image", id="encoding"),
        pytest.param({"data": bytes_for_msg(np.zeros(5, np.uint8))}, "bad_image", id="too little data"),
        pytest.param({"height": HEIGHT // 2}, "image_size", id="another aspect ratio"),
    ],
)
def test_a_bad_image_costs_only_itself(graph, model, changes, reason):
    film = Film(graph, model)
    answer = film.ask(**changes)
    assert len(answer.people) == 1 and not film.has_mesh(answer)
    status = graph.diagnosis(lambda values: values.get(f"dropped.{reason}") == "1")
    assert status.level == DiagnosticStatus.WARN and values_of(status)["callback_errors"] == "0"
    assert film.has_mesh(film.ask())


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        pytest.param({"image_model": "stream-s"}, "takes no images", id="a model of keypoints"),
        pytest.param({"image_model": "no.onnx"}, "no model file at no.onnx", id="no file"),
        pytest.param({"image_model": "unheard-of"}, "unknown model 'unheard-of'", id="no name"),
        pytest.param({"model": "{model}"}, "is an image model", id="an image model as the lifter"),
    ],
)
def test_models_that_do_not_fit_are_refused_with_a_sentence(graph, model, parameters, words):
    node = graph.make_node(**{name: value.format(model=model) for name, value in parameters.items()})
    node.start()
    status = graph.diagnosis(lambda values: values["state"] == "unconfigured" and words in values["message"])
    assert status.level == DiagnosticStatus.ERROR
    assert "\n" not in status.message and "Error:" not in status.message


def test_images_are_heard_only_while_the_node_is_active(graph, model):
    film = Film(graph, model)
    node = film.node
    assert film.has_mesh(film.ask())
    for transitions in (("deactivate", "activate"), ("deactivate", "cleanup", "configure", "activate")):
        graph.send()
        graph.wait("keypoints that wait", lambda: node._images._waiting)
        for transition in transitions:
            assert getattr(node, f"trigger_{transition}")() == TransitionCallbackReturn.SUCCESS
            if transition == "deactivate":
                graph.wait("the images to be left", lambda: not film.image.get_subscription_count())
                graph.wait("RViz to be cleared", lambda: not shown_after(graph.heard["markers"]))
        film.connect()
        graph.connect(node)
        graph.wait("camera", lambda: node.camera or graph.send_camera())
        assert film.has_mesh(film.ask())


def test_a_bag_may_begin_again(graph, model):
    film = Film(graph, model, queue_size=5)
    for _ in range(3):
        graph.send()  # nobody has its image
        for _ in range(6):
            graph.stamp_ns += FRAME_NS
            film.film(graph.stamp_ns)  # nobody has its keypoints
        assert film.has_mesh(film.ask())
        graph.stamp_ns -= 10**9
    graph.diagnosis(lambda values: values["resets"] == "2")


def test_keypoints_without_a_stamp_do_not_wait(graph, model):
    Film(graph, model)
    graph.stamp_ns = -FRAME_NS
    graph.send()
    graph.wait("an answer", lambda: graph.heard["skeletons"])


def test_without_an_image_model_no_image_is_heard(graph, node):
    image = graph.peer.create_publisher(Image, "image", 10)
    graph.ask()
    assert not image.get_subscription_count()
    told = values_of(graph.diagnosis(lambda values: values["answered"] == "1"))
    assert "image model" not in told and "dropped.no_image" not in told
