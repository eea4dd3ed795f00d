"""Show occpose at work: play a bag of two people, partly hidden, to the real node and measure its answers.

Starts pose_node as a robot would, plays the bag to it over DDS in real time, records skeletons and markers, and
compares them with the true poses in the bag. Takes about a minute. Writes into the output folder:

    report.html   the result, with pictures: open it in a browser
    report.json   every figure
    output.mcap   input, skeletons and markers: open it in RViz, Foxglove or `ros2 bag play`
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core.checkpoint import ModelInfo
from occpose_core.files import make_folder, refuse_existing, write_atomically
from occpose_core.report import text_table, write_json
from occpose_core.runtime import BACKENDS, DEFAULT_MODEL, load
from occpose_ros.bag import BagReader, BagWriter, Record, typestore
from occpose_ros.interrupts import with_node
from occpose_ros.live import RECORDED, LiveError, NodeProcess, Player, Recording, own_domain, ros_missing
from occpose_ros.replay.topics import Topics, find_topics
from occpose_ros.report.page import ReportRun, bag_page
from occpose_ros.report.tables import latency_figures, tables
from occpose_ros.scoring.messages import score_messages
from occpose_ros.scoring.score import Score

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "two_people.mcap"


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files that the demo writes, and no others."""

    folder: Path

    @property
    def page(self) -> Path:
        """For people."""
        return self.folder / "report.html"

    @property
    def figures(self) -> Path:
        """For programs."""
        return self.folder / "report.json"

    @property
    def bag(self) -> Path:
        """For RViz."""
        return self.folder / "output.mcap"

    def refuse(self, force: bool) -> None:
        """Raise OutputError if one of them is there already and may not be overwritten; make the folder."""
        make_folder(self.folder)
        for path in (self.page, self.figures, self.bag):
            refuse_existing(path, force)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What came back, unpacked: (topic, message, stamp in the bag's time)."""

    messages: tuple[tuple[str, Any, int], ...]

    def of(self, topic: str) -> list[Any]:
        """The messages of one topic, in order of receipt."""
        return [message for name, message, _ in self.messages if name == topic]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m occpose_ros.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bag", type=Path, default=SAMPLE, help="keypoints, camera_info and true skeletons (default: the sample)")
    add("--out", type=Path, default=Path("demo_out"), metavar="DIR", help="output folder (default: demo_out)")
    add("--model", default=DEFAULT_MODEL, help="a shipped model or an .onnx file (default: %(default)s)")
    add("--backend", choices=["auto", *BACKENDS], default="auto", help="what runs it (default: %(default)s)")
    add("--force", action="store_true", help="overwrite the three files of an earlier demo; `make demo` does")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    """Play, record, score, write. Raises OccposeError for anything that the user can mend."""
    if reason := ros_missing():
        raise LiveError(
            f"the demo needs ROS 2 and occpose's messages ({reason}); run `make demo`, or `. scripts/env.sh` first,"
            " or look at `occpose replay`, which needs no ROS"
        )
    outputs = Outputs(folder=args.out)
    outputs.refuse(args.force)
    info = load(args.model, args.backend).info  # a bad model gets its sentence here, before a process is started
    with BagReader(args.bag) as bag:
        topics = find_topics(bag)
        records = list(bag.messages())
        played = [record for record in records if record.topic in (topics.keypoints, topics.camera_info)]
        recording = _play(played, {"model": args.model, "backend": args.backend})
        answers = _unpack(recording, records[0].stamp_ns)
        with BagWriter(outputs.bag, force=args.force) as target:
            _write_bag(target, bag, records, answers)
    scored, figures = _figures(records, topics, answers, recording, info)
    write_json(outputs.figures, figures, args.force)
    write_atomically(outputs.page, _page(args.bag.name, scored, figures, answers, info).encode(), args.force)
    print("\n" + "\n\n".join(text_table(table) for table in tables(figures)))
    print(_farewell(args, outputs))
    return 0


def _play(records: Sequence[Record], parameters: Mapping[str, str]) -> Recording:
    """Start the node with these parameters, play the records to it and stop it."""
    cameras = [record.raw for record in records if record.msgtype.endswith("CameraInfo")]
    with own_domain() as domain_id, NodeProcess(parameters) as node, Player(node.check) as player:
        print(f"starting pose_node in DDS domain {domain_id}, on this machine only", flush=True)
        player.wait_until_ready(bytes(cameras[0]))
        print(f"playing {len(records) - len(cameras)} messages in real time", flush=True)
        recording = player.play(records, _progress())
        code = node.stop()
    if code:
        raise LiveError(f"pose_node stopped with exit code {code} instead of 0: {node.last_words()}")
    return recording


def _progress() -> Any:
    """A clock on a terminal; nothing in a log file."""
    shown = -1

    def show(seconds: float) -> None:
        nonlocal shown
        if sys.stderr.isatty() and int(seconds) > shown:
            shown = int(seconds)
            print(f"\r{shown} s", end="", file=sys.stderr, flush=True)

    return show


def _unpack(recording: Recording, first_ns: int) -> Answers:
    store = typestore()
    return Answers(
        messages=tuple(
            (topic, store.deserialize_cdr(raw, RECORDED[topic]), first_ns + since_ns)
            for topic, raw, since_ns in recording.messages
        )
    )


def _write_bag(target: BagWriter, bag: BagReader, records: Sequence[Record], answers: Answers) -> None:
    """Input and answers, merged in order of time."""
    jobs: list[tuple[int, Record | tuple[str, Any]]] = [(record.stamp_ns, record) for record in records]
    jobs += [(stamp_ns, (topic, message)) for topic, message, stamp_ns in answers.messages]
    for stamp_ns, job in sorted(jobs, key=lambda job: job[0]):
        if isinstance(job, Record):
            target.copy(job, bag)
        else:
            topic, message = job
            target.write(f"/{topic}", message, stamp_ns, latched=topic == "skeleton_info")


def _figures(
    records: Sequence[Record], topics: Topics, answers: Answers, recording: Recording, info: ModelInfo
) -> tuple[Score, dict[str, Any]]:
    """The score, and the figures of report.json."""
    keypoints = [record.message for record in records if record.topic == topics.keypoints]
    truth = [record.message for record in records if record.topic == topics.truth]
    skeletons = answers.of("skeletons")
    scored = score_messages(keypoints, skeletons, truth, interval_radii=info.interval_radii)
    return scored, {
        **scored.figures,
        "latency_ms": latency_figures([float(message.latency_ms) for message in skeletons]),
        "latency_note": "from receipt of the keypoints to publication of the skeletons, measured by the node",
        "speed_x_realtime": (records[-1].stamp_ns - records[0].stamp_ns) * 1e-9 / recording.wall_s,
        "dropped": recording.dropped(),
        "model": recording.diagnostics["model"],
        "engine": recording.diagnostics["engine"],
    }


def _page(bag: str, scored: Score, figures: Mapping[str, Any], answers: Answers, info: ModelInfo) -> str:
    run = ReportRun(
        model=info.name,
        pattern="",
        figures=figures,
        intervals=scored.intervals,
        score=scored,
        latencies_ms=[float(message.latency_ms) for message in answers.of("skeletons")],
    )
    return bag_page(
        "occpose demo", f"pose_node answered {bag}, played over DDS in real time, in another process.", [run]
    )


def _farewell(args: argparse.Namespace, outputs: Outputs) -> str:
    replay = f"occpose replay {os.path.relpath(args.bag)} --force"
    return f"""
wrote {outputs.page}: playback, charts and tables, open it in a browser
wrote {outputs.figures}: every figure
wrote {outputs.bag}: input and answers, open it in RViz or Foxglove

What to try next
  make test                    check everything that is promised
  . scripts/env.sh             then, in the same terminal:
  {replay}
                               the same without ROS, as fast as it goes; or your own bag
  occpose models               the other models
  occpose COMMAND --help       every command explains itself
On a machine with ROS 2, beside your own detector:
  ros2 launch occpose_ros pose.launch.py rviz:=true"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if it worked, 2 with one sentence if it could not, 130 if it was interrupted."""
    return with_node("demo", lambda: run(_arguments(argv)))


if __name__ == "__main__":
    sys.exit(main())
