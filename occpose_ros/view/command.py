"""Look at people in 3D in the browser: those of a running node, or of a recorded bag.

Without BAG it listens to pose_node, which needs ROS; with BAG it needs none. Blue joints are measured, orange ones are
estimates of hidden joints, and around each joint is a sphere of one standard deviation. A bag without skeletons has a
model run over it first. Only this machine can open the page, unless --host says otherwise. Ctrl-C ends it.

    occpose view                                               # pose_node, as soon as it is there
    occpose view --fixed-frame map                             # where TF says that the camera is
    occpose view two_people_replay/output.mcap                 # what `occpose replay` wrote, or `ros2 bag record`
    occpose view samples/two_people.mcap --ground-frame map    # run the model over it, on the ground that TF knows
    occpose view --host 0.0.0.0                                # for everybody in the network, without any password
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from occpose_core.runtime import BACKENDS, DEFAULT_MODEL
from occpose_ros.interrupts import stopping_in_order
from occpose_ros.view.page import Page
from occpose_ros.view.server import LOCALHOST, open_server
from occpose_ros.view.source import Frames, Source, ViewError

_TICK_S = 1 / 30
_EVERYWHERE = ("0.0.0.0", "::", "")
_SILENT_S = 5.0  # after which it is said what may be wrong


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("bag", type=Path, nargs="?", metavar="BAG", help="a recording (default: a running node)")
    parser.add_argument("--skeletons", metavar="TOPIC", help="topic of the skeletons, if there are several")
    parser.add_argument(
        "--fixed-frame", default="", metavar="FRAME", help="frame of TF, z up, that stands still (default: the camera)"
    )
    parser.add_argument(
        "--ground-frame",
        default="",
        metavar="FRAME",
        help="frame of TF, z up, whose plane z = 0 is the ground (default: the fixed frame)",
    )
    parser.add_argument(
        "--model", help=f"run this model over BAG, even if it has skeletons (if it has none: {DEFAULT_MODEL})"
    )
    parser.add_argument(
        "--backend", choices=["auto", *BACKENDS], default="auto", help="what runs it (default: %(default)s)"
    )
    parser.add_argument(
        "--host",
        default=LOCALHOST,
        metavar="ADDRESS",
        help="address of this machine to listen on (default: %(default)s, this machine alone); 0.0.0.0 lets everybody"
        " in who can reach it, without a password",
    )
    parser.add_argument("--port", type=_port, help="port to listen on (default: the first free one from 8080 on)")


@contextlib.contextmanager
def _source(args: argparse.Namespace) -> Iterator[Source]:
    """What is looked at. Raises OccposeError."""
    with_tf = bool(args.fixed_frame or args.ground_frame)
    if args.bag is not None:
        from occpose_ros.view.answers import answered_bag
        from occpose_ros.view.bag_source import BagSource

        with (
            answered_bag(args.bag, args.skeletons, args.model, args.backend, args.ground_frame) as (path, topic),
            BagSource(path, topic, title=args.bag.name, with_tf=with_tf) as bag,
        ):
            yield bag
        return
    if args.model:
        raise ViewError("--model runs over a BAG: name one, or leave --model out to see what a running node answers")
    from occpose_ros.live import ros_missing

    if reason := ros_missing():
        raise ViewError(
            f"a running node is heard by ROS 2 and occpose's messages ({reason}): source the setup file of your"
            " workspace, in a checkout `. scripts/env.sh`; or name a BAG, which needs no ROS"
        )
    from occpose_ros.view.live_source import LiveSource

    with LiveSource(args.skeletons, with_tf=with_tf) as node:
        yield node


def run(args: argparse.Namespace) -> int:
    """Show it until Ctrl-C, which is no fault."""
    frames = Frames(fixed_frame=args.fixed_frame.lstrip("/"), ground_frame=args.ground_frame.lstrip("/"))
    with stopping_in_order(), open_server(args.host, args.port) as server, _source(args) as source:
        # The server is first: that its port is taken is said before a model runs for minutes.
        page = Page(server, source, frames)
        with contextlib.suppress(KeyboardInterrupt):
            print(_invitation(source.title, server.get_host(), server.get_port()), flush=True)
            _show(page, source)
    return 0


def _invitation(title: str, host: str, port: int) -> str:
    if host in _EVERYWHERE:
        where = f"http://{socket.gethostname()}:{port}, where everybody can look who reaches this machine"
    else:
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return f"{title} is shown at {where}; Ctrl-C ends it"


def _show(page: Page, source: Source) -> None:
    """Raises OccposeError when there is nothing to show any more."""
    silent_since_s = next_s = time.monotonic()
    told = False
    while True:
        next_s = max(next_s + _TICK_S, time.monotonic())
        source.wait(next_s - time.monotonic())
        if page.update() or not (why := page.problem or _silence(source)):
            silent_since_s, told = time.monotonic(), False
        elif not told and time.monotonic() - silent_since_s > _SILENT_S:
            print(f"occpose view: {why}", file=sys.stderr, flush=True)
            told = True


def _silence(source: Source) -> str:
    """Why nothing comes, "" if a recording has nothing there."""
    return source.status() if source.playback is None else ""
