"""Soak test: the real node for long at a high rate, with people who come, go and hide; does it grow, slow down, lose?

The same minute is played again and again, so that each can be compared with the others; between two of them the stamps
jump back, as they do when a bag begins again. Reported are the slope of the node's memory, the drift of its latency,
and what became of every message: answered, dropped for a reason that the node's diagnostics count, or lost.

    python -m occpose_ros.soak                                     # ten minutes, as `make soak`
    python -m occpose_ros.soak --minutes 60 --rate 30 --json soak.json
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.files import refuse_existing
from occpose_core.report import Table, text_table, write_json
from occpose_ros.bag import (
    CAMERA_INFO_TYPE,
    KEYPOINTS_TYPE,
    SKELETON_INFO_TYPE,
    SKELETONS_TYPE,
    BagReader,
    Record,
    typestore,
)
from occpose_ros.bench.crowd import passers_by
from occpose_ros.bench.machine import machine, machine_line
from occpose_ros.demo import SAMPLE
from occpose_ros.interrupts import with_node
from occpose_ros.live import NodeProcess, Player, Recording, own_domain, ros_missing
from occpose_ros.message_types import stamp_cdr
from occpose_ros.replay.topics import find_topics
from occpose_ros.report.tables import latency_figures

_LISTENED = {"skeletons": SKELETONS_TYPE, "skeleton_info": SKELETON_INFO_TYPE}
_BEGIN_NS = 1_000_000_000
_WARM_SHARE = 0.2  # of the rounds: caches fill, the allocator finds its size
_SAMPLE_S = 1.0
# What passes. Less than this many MB an hour cannot be told from noise in ten minutes.
_MAX_MB_PER_HOUR = 20.0
_MAX_LATENCY_RATIO = 1.5
_LEAST_MINUTES = 5.0  # after the warm-up; below, slopes say nothing and are printed only


class SoakError(OccposeError):
    """What shall be soaked makes no sense, or cannot be done here."""


@dataclass(kw_only=True)
class Soak:
    """What was seen so far. memory: (seconds, MB). rounds: latencies (ms) of the answers, round by round."""

    sent: int = 0
    answered: int = 0
    received: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    rounds: list[list[float]] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    @property
    def warm_ups(self) -> int:
        """Rounds that do not count for slopes."""
        return min(max(1, round(_WARM_SHARE * len(self.rounds))), len(self.rounds) - 1)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Median of the slopes between all pairs of points, which a few outliers do not move (Theil, Sen); 0 of one."""
    x, y = np.array(points, dtype=np.float64).reshape(-1, 2).T
    first, second = np.triu_indices(len(x), k=1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first]))) if len(first) else 0.0


def memory_mb(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def _round(images: Sequence[Any], rate_hz: float) -> list[tuple[int, bytearray]]:
    """Nanoseconds since the first, and serialised message."""
    store = typestore()
    return [
        (int(number * 1e9 / rate_hz), bytearray(store.serialize_cdr(image, KEYPOINTS_TYPE)))
        for number, image in enumerate(images)
    ]


def _stamped(film: Sequence[tuple[int, bytearray]], number: int) -> Iterator[Record]:
    """The round with its stamps, which go back to those of the round before but are never the same: a ns later."""
    for since_ns, raw in film:
        stamp_ns = _BEGIN_NS + since_ns + number
        stamp_cdr(raw, stamp_ns)
        yield Record(topic="/keypoints", msgtype=KEYPOINTS_TYPE, stamp_ns=stamp_ns, raw=bytes(raw), message=None)


def soak(film: Sequence[tuple[int, bytearray]], camera_info: bytes, minutes: float, people: int) -> Soak:
    """Play the round again and again for so long. Raises LiveError if the node ends before."""
    seen = Soak()
    with own_domain(), NodeProcess({"max_persons": str(people)}) as node, Player(node.check, _LISTENED) as player:
        player.wait_until_ready(camera_info)
        begun_s = time.monotonic()

        def sample(_: float) -> None:
            now_s = time.monotonic() - begun_s
            if not seen.memory or now_s - seen.memory[-1][0] >= _SAMPLE_S:
                seen.memory.append((now_s, memory_mb(node.pid)))

        for number in itertools.count():
            records = list(_stamped(film, number))
            player.begin_anew()
            recording = player.play(records, sample)
            _count(seen, records, recording)
            for counts, folder in ((seen.threads, "task"), (seen.files, "fd")):
                counts.append(len(list(Path(f"/proc/{node.pid}/{folder}").iterdir())))
            _say(seen, time.monotonic() - begun_s)
            if time.monotonic() - begun_s >= 60.0 * minutes:
                break
        if code := node.stop():
            raise SoakError(f"the node stopped with exit code {code} instead of 0: {node.last_words()}")
    return seen


def _count(seen: Soak, records: Sequence[Record], recording: Recording) -> None:
    """Add a round: its answers by stamp, and the node's counters, which go on from round to round."""
    sent_ns = {record.stamp_ns: sent_ns for record, sent_ns in zip(records, recording.sent_ns, strict=True)}
    answers = recording.answered_ns()
    answered = answers.keys() & sent_ns.keys()
    seen.sent += len(sent_ns)
    seen.answered += len(answered)
    seen.rounds.append([(answers[stamp_ns] - sent_ns[stamp_ns]) * 1e-6 for stamp_ns in answered])
    seen.received = int(recording.diagnostics["received"])
    seen.dropped = Counter(recording.dropped())


def _say(seen: Soak, seconds: float) -> None:
    latency = latency_figures(seen.rounds[-1])
    print(
        f"{seconds / 60:6.1f} min  {seen.sent} sent  {seen.sent - seen.answered} unanswered"
        f"  p50 {latency['p50']:.1f} ms  p95 {latency['p95']:.1f} ms  {seen.memory[-1][1]:.1f} MB",
        flush=True,
    )


def figures_of(seen: Soak) -> dict[str, Any]:
    """The figures of the JSON file, without `machine`."""
    rounds, begin_s = seen.rounds[seen.warm_ups :], seen.memory[0][0]
    length_s = seen.memory[-1][0] - begin_s
    warm = [(at, mb) for at, mb in seen.memory if at - begin_s >= length_s * seen.warm_ups / len(seen.rounds)]
    third = max(1, len(rounds) // 3)
    early, late = (latency_figures(list(itertools.chain(*of))) for of in (rounds[:third], rounds[-third:]))
    replaced = seen.dropped["replaced"]
    return {
        "minutes": length_s / 60,
        "minutes_after_warm_up": (warm[-1][0] - warm[0][0]) / 60,
        "messages": seen.sent,
        "answered": seen.answered,
        "replaced_by_newer": replaced,
        "lost_on_the_way": seen.sent - seen.received,
        "lost_in_the_node": seen.received - seen.answered - replaced,
        "dropped": dict(seen.dropped),
        "memory_mb": {"first": seen.memory[0][1], "warm": warm[0][1], "last": seen.memory[-1][1]},
        # of the later half: memory settles over some minutes, and what leaks goes on growing
        "memory_slope_mb_per_hour": 3600.0 * slope(warm[len(warm) // 2 :: max(1, len(warm) // 500)]),
        "latency_ms": {"early": early, "late": late},
        "latency_drift": late["p50"] / early["p50"],
        "threads": {"first": seen.threads[0], "last": seen.threads[-1]},
        "open_files": {"first": seen.files[0], "last": seen.files[-1]},
    }


def faults_of(figures: dict[str, Any]) -> list[str]:
    """What is beyond its limit, each in a sentence."""
    long_enough = figures["minutes_after_warm_up"] >= _LEAST_MINUTES
    lost = figures["lost_in_the_node"] + figures["lost_on_the_way"]
    cases = (
        (lost, f"{lost} messages were neither answered nor counted as dropped"),
        (
            long_enough and figures["memory_slope_mb_per_hour"] > _MAX_MB_PER_HOUR,
            f"memory grows by {figures['memory_slope_mb_per_hour']:.1f} MB an hour, more than {_MAX_MB_PER_HOUR:g}",
        ),
        (
            long_enough and figures["latency_drift"] > _MAX_LATENCY_RATIO,
            f"the median latency grew {figures['latency_drift']:.2f} times, more than {_MAX_LATENCY_RATIO:g}",
        ),
        (figures["threads"]["last"] > figures["threads"]["first"], "the node has more threads than at first"),
        (figures["open_files"]["last"] > figures["open_files"]["first"], "the node has more files open than at first"),
    )
    return [sentence for fault, sentence in cases if fault]


def _table(figures: dict[str, Any]) -> Table:
    memory, latency = figures["memory_mb"], figures["latency_ms"]
    rows = (
        ("messages sent", figures["messages"]),
        ("answered", figures["answered"]),
        ("replaced by a newer one", figures["replaced_by_newer"]),
        ("lost on the way", figures["lost_on_the_way"]),
        ("lost in the node", figures["lost_in_the_node"]),
        ("memory after the warm-up (MB)", memory["warm"]),
        ("memory at the end (MB)", memory["last"]),
        ("memory slope (MB an hour)", figures["memory_slope_mb_per_hour"]),
        ("latency p50, early (ms)", latency["early"]["p50"]),
        ("latency p50, late (ms)", latency["late"]["p50"]),
        ("latency p99, early (ms)", latency["early"]["p99"]),
        ("latency p99, late (ms)", latency["late"]["p99"]),
        ("latency p50, late over early", figures["latency_drift"]),
    )
    return Table(title=f"Soak of {figures['minutes']:.1f} minutes", columns=("", "value"), rows=rows, digits=2)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m occpose_ros.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="length (default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=60.0, metavar="HZ", help="messages a second (default: %(default)s)"
    )
    parser.add_argument(
        "--people", type=int, default=20, metavar="N", help="most people at once (default: %(default)s)"
    )
    parser.add_argument(
        "--round", type=float, default=60.0, metavar="S", help="length of a round (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    args = parser.parse_args(argv)
    for name, low, high in (("minutes", 0.01, 10_000), ("rate", 1, 1000), ("people", 1, 1000), ("round", 1, 600)):
        if not low <= getattr(args, name) <= high:
            raise SoakError(f"--{name} must be between {low:g} and {high:g}, got {getattr(args, name):g}")
    return args


def run(args: argparse.Namespace) -> int:
    """Soak, print, write; 0 if all is within its limits, else 1. Raises OccposeError for what the user can mend."""
    if missing := ros_missing():
        raise SoakError(f"a node is needed: {missing}")
    if args.json is not None:
        refuse_existing(args.json, args.force)
    where = machine()
    print(machine_line(where), flush=True)
    with BagReader(SAMPLE) as bag:
        topics = find_topics(bag)
        messages = [record.message for record in bag.messages([topics.keypoints])]
        camera_info = bytes(next(iter(bag.messages(bag.topics_of(CAMERA_INFO_TYPE)))).raw)
    images = passers_by(messages, args.people, max(2, round(args.round * args.rate)), args.rate, seed=0)
    seen = soak(_round(list(images), args.rate), camera_info, args.minutes, args.people)
    figures = {"machine": where, "rate_hz": args.rate, "people": args.people, **figures_of(seen)}
    if args.json is not None:
        write_json(args.json, figures, args.force)
    print("", text_table(_table(figures)), "", sep="\n")
    faults = faults_of(figures)
    print("\n".join(faults) or "all within limits")
    return 1 if faults else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak test; 0 passed, 1 beyond limits, 2 could not, 130 interrupted."""
    return with_node("soak", lambda: run(_arguments(argv)))


if __name__ == "__main__":
    sys.exit(main())
