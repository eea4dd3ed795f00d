"""The life of a process with one node or several: arguments, executor, signals, exit status."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from occpose_core.errors import OccposeError

# A signal is noticed when the executor comes back; rcl waits without letting Python's handlers run.
_SIGNAL_LATENCY_S = 0.2


def run(
    make_nodes: Sequence[Callable[[], Any]],
    parser: argparse.ArgumentParser | None = None,
    argv: list[str] | None = None,
) -> int:
    """Spin nodes in one thread until SIGINT or SIGTERM; returns the exit status, 2 if one could not be made.

    An exception that escapes a callback is logged and the nodes go on: until Jazzy, rclpy's lifecycle services raise
    one when they are asked for a transition that the state does not allow. A node has `start(stopping)`, called once
    with an event that a signal sets, and `close()`, called while it can still publish: rclpy's own signal handlers
    would take the context away first. Threads that do not come back to an end are left behind, and the process with
    them, for an engine that hangs in native code would crash the interpreter's own way out.
    """
    argv = sys.argv if argv is None else argv
    parser = parser or argparse.ArgumentParser()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        parser.parse_args(remove_ros_args(argv)[1:])
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
        nodes = [make_node() for make_node in make_nodes]
    except (OccposeError, RuntimeError, ImportError) as error:  # RCLError, of bad --ros-args, is a RuntimeError
        remedy = ": build the ROS package and source its setup file" if isinstance(error, ImportError) else ""
        print(f"{parser.prog}: {error}{remedy}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    _spin(nodes, stop)
    rclpy.try_shutdown()
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _spin(nodes: Sequence[Any], stop: threading.Event) -> None:
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    for node in nodes:
        node.start(stop)
    # What is there now stays to the end. Looking through it for garbage again and again would take up to 80 ms each.
    gc.freeze()
    while not stop.is_set() and rclpy.ok():
        try:
            executor.spin_once(timeout_sec=_SIGNAL_LATENCY_S)
        except Exception as error:  # noqa: BLE001  the callback border, of rclpy's own callbacks too
            nodes[0].get_logger().error(f"{type(error).__name__}: {error}")
    for node in nodes:
        node.close()
    executor.shutdown()
    for node in nodes:
        node.destroy_node()
