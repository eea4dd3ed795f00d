"""Turn a 2D detector's keypoints, saved as .npz, into a bag that `occpose replay` reads.

FILE.npz holds
    keypoints  (T, J, 2), or (T, P, J, 2) of several people: pixels, x right, y down
    scores     (T, J) or (T, P, J) in 0..1, 0 = missing
    format     the joint layout, for example coco17
    width, height, fps   0 or absent = unknown

A 3D skeleton needs the camera. Without --focal-px or --fov-deg a lens of 60 degrees across the longer side is assumed,
and said so: shapes stay right, distances are as wrong as the assumption.

    occpose import-keypoints detections.npz --out detections.mcap
    occpose import-keypoints detections.npz --out detections.mcap --fps 25 --width 1920 --height 1080 --focal-px 1400
    occpose replay detections.mcap
"""

from __future__ import annotations

import argparse
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.skeleton import Skeleton, get_skeleton
from occpose_core.types import Camera
from occpose_ros.bag import BagWriter, typestore
from occpose_ros.message_types import NANOSECONDS, MessageTypes, header_to_msg

FRAME_ID = "camera_optical_frame"
START_NS = NANOSECONDS  # ROS tools take a stamp of 0 for "latest"
ASSUMED_FPS = 30.0
ASSUMED_FOV_DEG = 60.0  # across the longer side: webcams have 55 to 80, telephones 60 to 70
# Sizes that videos have; the smallest that holds the keypoints is assumed where the file does not say.
_USUAL_SIZES = ((320, 240), (640, 360), (640, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
_BEYOND = 1.1  # detectors guess so far beyond the border
_MAX_SCORE = 1.5  # heat maps overshoot 1 a little; more is another scale


class KeypointsFileError(OccposeError):
    """A keypoints file is missing, foreign or contradicts itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KeypointsFile:
    """xy_px: (T, P, J, 2) float32. score: (T, P, J) float32 in [0, 1]. width, height, fps: 0 = unknown."""

    xy_px: np.ndarray
    score: np.ndarray
    layout: Skeleton
    width: int
    height: int
    fps: float


def read_keypoints(path: Path, layout: str = "") -> KeypointsFile:
    """Read a keypoints file; `layout` replaces its own. Raises KeypointsFileError or LayoutError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise KeypointsFileError(f"{path} holds a single array; expected an .npz with keypoints and scores")
            members = {key: archive[key] for key in archive.files}
    except KeypointsFileError:
        raise
    except OSError as error:
        raise KeypointsFileError(f"cannot read {path}: {error.strerror or 'it is not an .npz file'}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise KeypointsFileError(f"{path} is not a whole .npz file; save it again with numpy.savez") from None
    missing = [key for key in ("keypoints", "scores") if key not in members]
    if missing:
        raise KeypointsFileError(f"{path} lacks {missing[0]!r}; it has {', '.join(members) or 'nothing'}")
    if not layout and "format" not in members:
        raise KeypointsFileError(f"{path} does not name its joint layout under 'format'; name it with --layout")
    skeleton = get_skeleton(layout or str(members["format"]))
    xy_px, score = _people(path, members["keypoints"], members["scores"], skeleton)
    known = {key: _positive(path, key, members.get(key, 0)) for key in ("width", "height", "fps")}
    return KeypointsFile(
        xy_px=np.where(score[..., None] > 0, xy_px, 0.0).astype(np.float32),
        score=np.minimum(score, 1.0).astype(np.float32),
        layout=skeleton,
        width=int(known["width"]),
        height=int(known["height"]),
        fps=known["fps"],
    )


def _positive(path: Path, key: str, value: Any) -> float:
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "iuf" or not math.isfinite(number) or number < 0:
        raise KeypointsFileError(f"{path}: {key!r} must be one number, 0 if unknown, got {value!r}")
    return float(number)


def _people(path: Path, xy_px: np.ndarray, score: np.ndarray, layout: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Check shapes and values; returns (T, P, J, 2) and (T, P, J)."""
    joints = len(layout.joints)
    if xy_px.ndim not in (3, 4) or xy_px.shape[-2:] != (joints, 2) or score.shape != xy_px.shape[:-1]:
        raise KeypointsFileError(
            f"{path}: layout {layout.name} needs keypoints (T, {joints}, 2) or (T, P, {joints}, 2) and scores"
            f" alike, got {xy_px.shape} and {score.shape}; name another layout with --layout"
        )
    if xy_px.dtype.kind not in "iuf" or score.dtype.kind not in "iuf":
        raise KeypointsFileError(f"{path}: keypoints and scores must be numbers, got {xy_px.dtype} and {score.dtype}")
    if not np.isfinite(score).all():
        raise KeypointsFileError(f"{path}: a score is not finite; write 0 for a missing joint")
    if not score.size or not (score > 0).any():
        raise KeypointsFileError(f"{path} holds no joint with a score above 0, so there is nothing to replay")
    if score.min() < 0 or score.max() > _MAX_SCORE:
        raise KeypointsFileError(f"{path}: scores go from {score.min():g} to {score.max():g}; scale them to 0..1")
    if not np.isfinite(xy_px[score > 0]).all():
        raise KeypointsFileError(f"{path}: a joint with a score above 0 has no finite position; give it score 0")
    return (xy_px, score) if xy_px.ndim == 4 else (xy_px[:, None], score[:, None])


def usual_size(file: KeypointsFile) -> tuple[int, int]:
    """The smallest usual image size, landscape or portrait, that holds the keypoints, or nearly."""
    reach = file.xy_px[file.score > 0].max(axis=0)
    upright = [(height, width) for width, height in _USUAL_SIZES]
    for width, height in sorted((*_USUAL_SIZES, *upright), key=math.prod):
        if reach[0] < _BEYOND * width and reach[1] < _BEYOND * height:
            return width, height
    return int(reach[0]) + 1, int(reach[1]) + 1


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a keypoints file may leave open. assumptions: one sentence for each guess."""

    camera: Camera
    fps: float
    assumptions: tuple[str, ...]


def _complete(file: KeypointsFile, args: argparse.Namespace) -> Recording:
    """From the arguments, else the file, else stated assumptions."""
    for name, value in (("fps", args.fps), ("width", args.width), ("height", args.height), ("focal-px", args.focal_px)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise KeypointsFileError(f"--{name} must be above 0, got {value:g}")
    if args.fov_deg is not None and not 1.0 <= args.fov_deg <= 170.0:
        raise KeypointsFileError(f"--fov-deg must lie between 1 and 170, got {args.fov_deg:g}")
    assumptions = []
    width, height, fps = args.width or file.width, args.height or file.height, args.fps or file.fps
    if not (width and height):
        width, height = usual_size(file)
        assumptions.append(f"image size unknown, assumed {width} x {height}; name it with --width and --height")
    if not fps:
        fps = ASSUMED_FPS
        assumptions.append(f"frame rate unknown, assumed {fps:g} Hz; name it with --fps")
    focal_px = args.focal_px
    if focal_px is None and args.fov_deg is not None:
        focal_px = width / 2 / math.tan(math.radians(args.fov_deg) / 2)
    if focal_px is None:
        focal_px = max(width, height) / 2 / math.tan(math.radians(ASSUMED_FOV_DEG) / 2)
        assumptions.append(
            f"focal length unknown, assumed {focal_px:.0f} px ({ASSUMED_FOV_DEG:g} degrees across the longer side);"
            " name it with --focal-px or --fov-deg"
        )
    K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    camera = Camera(width=width, height=height, K=K, D=np.zeros(5), distortion_model="plumb_bob", frame_id=FRAME_ID)
    return Recording(camera=camera, fps=fps, assumptions=tuple(assumptions))


def camera_info_to_msg(camera: Camera, header: Any) -> Any:
    """sensor_msgs/CameraInfo of a camera whose image is neither cropped nor binned, of rosbags' types."""
    types = typestore().types
    return types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model=camera.distortion_model,
        d=camera.D,
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([camera.K, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def write_bag(bag: BagWriter, file: KeypointsFile, recording: Recording) -> None:
    """Write /keypoints and /camera_info; people have no ids, the pipeline tracks them."""
    types, camera = MessageTypes.from_rosbags(typestore()), recording.camera
    for frame, (people_px, scores) in enumerate(zip(file.xy_px, file.score, strict=True)):
        stamp_ns = START_NS + round(frame * NANOSECONDS / recording.fps)
        header = header_to_msg(stamp_ns, camera.frame_id, types)
        people = [
            types.Keypoints2D(id="", xy=xy_px.ravel(), score=score)
            for xy_px, score in zip(people_px, scores, strict=True)
            if (score > 0).any()
        ]
        array = types.Keypoints2DArray(
            header=header, layout=file.layout.name, width=camera.width, height=camera.height, people=people
        )
        bag.write("/camera_info", camera_info_to_msg(camera, header), stamp_ns)
        bag.write("/keypoints", array, stamp_ns)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE.npz", help="keypoints of a video")
    parser.add_argument("--out", type=Path, required=True, metavar="BAG.mcap", help="the bag to write")
    parser.add_argument("--layout", default="", help="joint layout, if the file names none or a wrong one")
    parser.add_argument("--fps", type=float, help="frames per second")
    parser.add_argument("--width", type=int, help="of the image, pixels")
    parser.add_argument("--height", type=int, help="of the image, pixels")
    lens = parser.add_mutually_exclusive_group()
    lens.add_argument("--focal-px", type=float, help="focal length in pixels")
    lens.add_argument("--fov-deg", type=float, help="horizontal field of view in degrees")
    parser.add_argument("--force", action="store_true", help="overwrite BAG.mcap")


def run(args: argparse.Namespace) -> int:
    """Read, complete, write."""
    file = read_keypoints(args.file, args.layout)
    recording = _complete(file, args)
    with BagWriter(args.out, force=args.force) as bag:
        write_bag(bag, file, recording)
    for sentence in recording.assumptions:
        print(sentence)
    frames, people = file.score.shape[:2]
    seconds = frames / recording.fps
    print(f"wrote {args.out}: {frames} frames, {seconds:.1f} s, at most {people} people, {file.layout.name}")
    return 0
