"""What a start of pose_node spends until its first skeletons arrive, in milliseconds.

    . scripts/env.sh && python -m tests.ros.measure_start [--starts 10]

A detector and a camera are there already and send 100 messages a second. Each part is the time since the one before.
Files are in the system's cache after the first start, which does not count: directly after boot the disk comes on top.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from occpose_core.report import Table, text_table
from occpose_ros.live import own_domain
from tests.ros.graph import Graph

_PERIOD_S = 0.01
_TIMEOUT_S = 60.0
# argv[1]: when the process was started, by the clock that all processes share
_NODE = """
import json, sys, time

begun_s, marks_ms = float(sys.argv.pop()), {}

def mark(part):
    marks_ms.setdefault(part, (time.monotonic() - begun_s) * 1e3)

mark("Python")
from occpose_ros import node_engine, outputs, pose_node
mark("libraries of the node")

def marked(owner, name, before="", after=""):
    function = getattr(owner, name)
    def marks(*args, **options):
        if before:
            mark(before)
        answer = function(*args, **options)
        if after:
            mark(after)
        return answer
    setattr(owner, name, marks)

def tell():
    mark("first skeletons")
    print(json.dumps(marks_ms), flush=True)
    globals()["tell"] = lambda: None

marked(pose_node.PoseNode, "__init__", after="node, in DDS")
marked(node_engine, "load_solver", after="OpenCV and SciPy")
marked(node_engine.NodeEngine, "__init__", after="ONNX Runtime and the model")
marked(pose_node.PoseNode, "configure", after="topics")
marked(pose_node.PoseNode, "_on_keypoints", before="discovery")
publish = outputs.Outputs.publish
outputs.Outputs.publish = lambda *args: (publish(*args), tell())[0]
raise SystemExit(pose_node.main(["pose_node"]))
"""


def start_ms(graph: Graph) -> dict[str, float]:
    """One start: part -> milliseconds until its end."""
    command = [sys.executable, "-c", _NODE, str(time.monotonic())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path.cwd())
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    told, deadline_s = b"", time.monotonic() + _TIMEOUT_S
    try:
        while not told.endswith(b"\n") and time.monotonic() < deadline_s:
            graph.send_camera()
            graph.send()
            due_s = time.monotonic() + _PERIOD_S
            while (left_s := due_s - time.monotonic()) > 0:
                graph.executor.spin_once(timeout_sec=left_s)
            told += process.stdout.read() or b""
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_TIMEOUT_S)
    return json.loads(told)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--starts", type=int, default=10, metavar="N", help="after one that does not count (default: 10)"
    )
    args = parser.parse_args()
    with own_domain() as domain_id:
        graph = Graph(domain_id)
        starts = [start_ms(graph) for _ in range(1 + args.starts)][1:]
        graph.close()
    ends = np.array([list(start.values()) for start in starts])
    spent = np.diff(ends, axis=1, prepend=0.0)
    shown = (np.min, np.median, np.max)
    rows = [(part, *(float(f(spent[:, column])) for f in shown)) for column, part in enumerate(starts[0])]
    rows.append(("all of it", *(float(f(ends[:, -1])) for f in shown)))
    columns = ("part", "least (ms)", "median (ms)", "most (ms)")
    print(text_table(Table(title=f"{args.starts} starts", columns=columns, rows=tuple(rows), digits=0)))


if __name__ == "__main__":
    main()
