"""Make the pictures of README.md and docs/ros.md: what pose_node and overlay_node answer to the sample bag, over DDS.

    . scripts/env.sh && PYTHONPATH=$PYTHONPATH:samples python samples/make_pictures.py [--out docs]

Plays two_people.mcap to a real pose_node; at a few moments the camera's image (camera_image.py: the bag holds none)
goes to a real overlay_node. The overlay is its answer as it came; views in 3D are drawn from the markers as they came,
by marker_view.py, for RViz needs a screen.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
import scene
from camera_image import camera_image
from marker_view import FixedFrame, OrbitView, marker_view, pixels_of
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image as Picture
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from occpose_core.errors import OccposeError
from occpose_ros.appearance import FILLED_RGB, MEASURED_RGB
from occpose_ros.bag import BagReader
from occpose_ros.images import bgr_from_image, bytes_for_msg
from occpose_ros.live import own_domain
from occpose_ros.message_types import MessageTypes, header_to_msg, stamp_ns_from_msg
from occpose_ros.overlay_node import OverlayNode
from occpose_ros.pose_node import PoseNode

BAG = Path(__file__).with_name("two_people.mcap")
LAYOUT = Path(__file__).parents[1] / "rviz" / "occpose.rviz"
TIMEOUT_S = 60.0
# frames of the bag: one person behind the counter and one behind the shelf; one bends down and one is not to be seen
BEHIND_FURNITURE, BENDING = 93, 110
# in the room: x away from the camera, y left, z up from the floor
NEAR = OrbitView(distance_m=3.9, focal_point_m=(4.3, -0.12, 0.8), pitch=0.24, yaw=3.42)
CLOSE = OrbitView(distance_m=2.7, focal_point_m=(4.3, 1.0, 0.95), pitch=0.18, yaw=3.4)
_FORWARD_LEFT_UP = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
ROOM = FixedFrame(
    rotation=_FORWARD_LEFT_UP @ scene.CAM_FROM_WORLD.T,
    translation_m=_FORWARD_LEFT_UP @ scene.EYE_WORLD_M,
    floor_z_m=0.0,
)
_PERSON = "1"  # whom CLOSE looks at


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """What came back about one frame: the overlay (H, W, 3) and the MarkerArray."""

    overlay_bgr: np.ndarray
    markers: Any


class Stage:
    """Both nodes, and a peer that plays the bag to them and hears what they say; a context manager."""

    def __init__(self, domain_id: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._types = MessageTypes.from_rclpy()
        every_image = Parameter("qos_overrides./image.subscription.reliability", value="reliable")
        options: dict[str, Any] = {"context": self._context, "use_global_arguments": False}
        self._nodes = (PoseNode(**options), OverlayNode(**options, parameter_overrides=[every_image]))
        self._peer = rclpy.create_node("peer", context=self._context)
        for node in (*self._nodes, self._peer):
            self._executor.add_node(node)
        self._heard: dict[str, dict[int, Any]] = {}
        self._senders = {
            "keypoints": self._peer.create_publisher(self._types.Keypoints2DArray, "keypoints", 10),
            "camera_info": self._peer.create_publisher(CameraInfo, "camera_info", 10),
            "image": self._peer.create_publisher(Image, "image", 10),
        }
        for topic, kind in (("markers", self._types.MarkerArray), ("overlay", Image)):
            self._listen(topic, kind)
        self._listen("skeletons", self._types.Skeleton3DArray)

    def _listen(self, topic: str, kind: Any) -> None:
        heard = self._heard[topic] = {}

        def keep(msg: Any) -> None:
            header = msg.markers[0].header if hasattr(msg, "markers") and msg.markers else getattr(msg, "header", None)
            if header is not None:
                heard[stamp_ns_from_msg(header.stamp)] = msg

        self._peer.create_subscription(kind, topic, keep, 10)

    def __enter__(self) -> Stage:
        for node in self._nodes:
            node.start()
        self._wait("discovery", lambda: all(sender.get_subscription_count() for sender in self._senders.values()))
        return self

    def __exit__(self, *error: object) -> None:
        for node in self._nodes:
            node.close()
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)

    def _wait(self, what: str, condition: Callable[[], Any]) -> Any:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (found := condition()):
            if time.monotonic() > deadline_s:
                raise OccposeError(f"waited {TIMEOUT_S:.0f} s for {what}: look at the log of the nodes above")
            self._executor.spin_once(timeout_sec=0.02)
        return found

    def tell_camera(self, msg: Any) -> None:
        """Send a CameraInfo of the bag until both nodes know their camera."""

        def known() -> bool:
            if all(node.camera for node in self._nodes):
                return True
            info = CameraInfo(width=msg.width, height=msg.height, distortion_model=msg.distortion_model)
            info.header = header_to_msg(stamp_ns_from_msg(msg.header.stamp), msg.header.frame_id, self._types)
            info.k, info.d, info.p, info.r = (np.asarray(values, np.float64) for values in (msg.k, msg.d, msg.p, msg.r))
            info.d = info.d.tolist()
            self._senders["camera_info"].publish(info)
            return False

        self._wait("the camera", known)

    def answer(self, msg: Any, image_bgr: np.ndarray | None) -> Moment | None:
        """Send keypoints of the bag and wait for the skeletons; with an image also for its overlay and markers."""
        types, stamp_ns = self._types, stamp_ns_from_msg(msg.header.stamp)
        header = header_to_msg(stamp_ns, msg.header.frame_id, types)
        people = [
            types.Keypoints2D(id=person.id, xy=types.sequence(person.xy), score=types.sequence(person.score))
            for person in msg.people
        ]
        array = types.Keypoints2DArray(
            header=header, layout=msg.layout, width=msg.width, height=msg.height, people=people
        )
        if image_bgr is not None:
            height, width = image_bgr.shape[:2]
            fields = {"height": height, "width": width, "encoding": "bgr8", "step": 3 * width}
            self._senders["image"].publish(Image(header=header, data=bytes_for_msg(image_bgr), **fields))
        self._senders["keypoints"].publish(array)
        self._wait("skeletons", lambda: stamp_ns in self._heard["skeletons"])
        if image_bgr is None:
            return None
        overlay = self._wait("the overlay", lambda: self._heard["overlay"].get(stamp_ns))
        markers = self._wait("markers", lambda: self._heard["markers"].get(stamp_ns))
        return Moment(overlay_bgr=bgr_from_image(overlay), markers=markers)


def moments(frames: tuple[int, ...]) -> tuple[dict[int, Moment], Any]:
    """Play the bag to the nodes as far as the last of some frames; those frames' answers, and the furniture."""
    with BagReader(BAG) as bag:
        records = list(bag.messages())
    of = {topic: [record.message for record in records if record.topic == topic] for topic in bag.topics}
    answers = {}
    with own_domain() as domain_id, Stage(domain_id) as stage:
        stage.tell_camera(of["/camera_info"][0])
        for number, msg in enumerate(of["/keypoints"][: max(frames) + 1]):
            truth = of["/ground_truth/skeletons"][number].people
            joints = [scene.world_from_cam(np.reshape(person.position, (-1, 3)).astype(float)) for person in truth]
            answer = stage.answer(msg, camera_image(joints) if number in frames else None)
            if answer is not None:
                answers[number] = answer
    return answers, of["/furniture"][0]


def save(path: Path, image_bgr: np.ndarray) -> None:
    """A PNG."""
    Picture.fromarray(np.ascontiguousarray(image_bgr[..., ::-1])).save(path, optimize=True)
    print(f"{path}: {image_bgr.shape[1]} x {image_bgr.shape[0]}, {path.stat().st_size / 1000:.0f} kB")


def rendered(figure: Figure) -> np.ndarray:
    """A figure's pixels, blue first."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 2::-1]


def panel(figure: Figure, image_bgr: np.ndarray, at: tuple[float, float], title: str) -> Axes:
    """An image pixel by pixel in a figure; at: its lower left corner in pixels."""
    width, height = (figure.get_size_inches() * figure.dpi).tolist()
    box = (at[0] / width, at[1] / height, image_bgr.shape[1] / width, image_bgr.shape[0] / height)
    axes = figure.add_axes(box)
    axes.imshow(image_bgr[..., ::-1], interpolation="none")
    axes.set_axis_off()
    axes.set_title(title, fontsize=11, pad=5)
    return axes


def figure_of(width: int, height: int) -> Figure:
    """An empty figure of so many pixels."""
    return Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")


def legend(figure: Figure) -> None:
    """What form and colour mean, below the panels."""
    line = {"markersize": 8, "linewidth": 2.5, "markeredgewidth": 1.8}
    measured = Line2D([], [], color=MEASURED_RGB, marker="o", **line)
    filled = Line2D([], [], color=FILLED_RGB, marker="o", linestyle=(0, (2.2, 1.2)), markerfacecolor="white", **line)
    labels = ("measured: the detector saw the joint", "filled: hidden, estimated; fades as it becomes less certain")
    figure.legend((measured, filled), labels, loc="lower center", ncols=2, frameon=False, fontsize=11, handlelength=3.2)


def two_panels(moment: Moment, furniture: Any) -> np.ndarray:
    """For README.md: the overlay beside the view in 3D."""
    overlay = cv2.resize(moment.overlay_bgr[110:690, 120:1200], (726, 390), interpolation=cv2.INTER_AREA)
    view = marker_view([*furniture.markers, *moment.markers.markers], LAYOUT, (540, 390), NEAR, ROOM)
    figure = figure_of(1286, 460)
    panel(figure, overlay, (4, 42), "on the camera's image (topic overlay)")
    panel(figure, view, (742, 42), "in 3D (topic markers)")
    legend(figure)
    return rendered(figure)


def first_view(moment: Moment, furniture: Any) -> np.ndarray:
    """For docs/ros.md: what the layout shows."""
    return marker_view([*furniture.markers, *moment.markers.markers], LAYOUT, (960, 560))


def colours(moment: Moment, furniture: Any) -> np.ndarray:
    """For docs/ros.md: one person near by, with words."""
    size = (760, 620)
    (number,) = (marker.id for marker in moment.markers.markers if marker.text == _PERSON)
    markers = [marker for marker in moment.markers.markers if marker.id == number]
    view = marker_view([*furniture.markers, *markers], LAYOUT, size, CLOSE, ROOM)
    figure = figure_of(*size)
    axes = panel(figure, view, (0, 0), "")
    layers = {marker.ns: marker for marker in markers}

    def point(layer: str, choose: Callable[[Any], float]) -> np.ndarray:
        """The pixel of one of a layer's points."""
        marker = layers[layer]
        found = max(marker.points, key=choose) if marker.points else marker.pose.position
        return pixels_of(np.array([[found.x, found.y, found.z]]), size, CLOSE, ROOM)[0]

    label_y_m = layers["labels"].pose.position.y
    label = "label: the track id; orange and (hidden)\nwhile the person is only predicted"
    notes = (
        (label, "labels", lambda p: 0.0, (0.45, 0.95)),
        ("orange: filled", "filled_joints", lambda p: -abs(p.y - label_y_m - 0.75), (0.70, 0.74)),
        ("blue: measured", "joints", lambda p: p.y + p.x, (0.70, 0.58)),
        ("faint: filled,\nand not certain", "filled_joints", lambda p: p.y, (0.70, 0.24)),
        ("furniture: topic /furniture of\nthe sample bag, not of the node", None, None, (0.03, 0.10)),
    )
    for text, layer, choose, at in notes:
        style = {"color": "white", "fontsize": 12, "textcoords": "axes fraction", "va": "top"}
        arrow = {"arrowstyle": "-|>", "color": "white", "linewidth": 1.2, "shrinkB": 9}
        if layer is None:
            axes.text(*at, text, transform=axes.transAxes, color="white", fontsize=12, va="top")
        else:
            axes.annotate(text, xy=point(layer, choose), xytext=at, arrowprops=arrow, **style)
    return rendered(figure)


def overlay(moment: Moment, furniture: Any) -> np.ndarray:
    """For docs/ros.md: the overlay as it came, smaller."""
    return np.asarray(cv2.resize(moment.overlay_bgr, (960, 540), interpolation=cv2.INTER_AREA))


# file -> frame of the bag, and what is drawn of it
PICTURES: dict[str, tuple[int, Callable[[Moment, Any], np.ndarray]]] = {
    "two_people.png": (BEHIND_FURNITURE, two_panels),
    "overlay.png": (BENDING, overlay),
    "rviz_first_view.png": (BEHIND_FURNITURE, first_view),
    "rviz_colours.png": (BEHIND_FURNITURE, colours),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="(default: docs)")
    args = parser.parse_args()
    try:
        answers, furniture = moments(tuple({frame for frame, _ in PICTURES.values()}))
    except OccposeError as error:
        print(error, file=sys.stderr)
        return 2
    for name, (frame, draw) in PICTURES.items():
        save(args.out / name, draw(answers[frame], furniture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
