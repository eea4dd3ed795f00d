"""What it costs to read a message of each family: unpacking it from DDS, and the adapter, in milliseconds.

    python -m tests.ros.measure_adapters [--people 1 5 20 100]

Medians of many runs, taken in turns; the ratio to occpose's own message is what can be compared between machines. The
detectors' message packages come from the ROS installation or, as for the tests, from tests/interfaces.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from occpose_core.report import Table, text_table
from occpose_ros.adapters import INPUTS
from occpose_ros.message_types import MessageTypes
from tests.ros.families import WRITERS, Person, World
from tests.ros.interfaces import provide
from tests.ros.people import keypoints, keypoints_msg, person_msg

_ROUNDS = 60
_UNPACK, _READ = "unpack", "read"


class _Postman(World):
    """Keeps what it takes to unpack the messages of one image."""

    def __init__(self) -> None:
        super().__init__("rclpy")
        self.unpack: list[Callable[[], Any]] = []

    def sent(self, name: str, msg: Any) -> Any:
        """See World.sent."""
        package, kind = name.split("/")
        raw, full = self._pack(msg, f"{package}/msg/{kind}"), f"{package}/msg/{kind}"
        self.unpack.append(lambda: self._unpack(raw, full))
        return self._unpack(raw, full)


def _crowd(people: int) -> list[Person]:
    xy_px, score = keypoints()
    return [Person(str(number + 1), xy_px + number, score) for number in range(people)]


def _own(world: World, people: list[Person]) -> Any:
    types = MessageTypes.from_rclpy()
    msgs = [person_msg(types, person.id, person.xy_px, person.score) for person in people]
    return world.sent("occpose_ros/Keypoints2DArray", keypoints_msg(types, msgs))


def _jobs(people: int) -> dict[tuple[str, str], Callable[[], Any]]:
    """(layout or family, part) -> what is measured."""
    jobs: dict[tuple[str, str], Callable[[], Any]] = {}
    for name, (family, write) in {"occpose": ("occpose", _own), **WRITERS}.items():
        postman = _Postman()
        message, read = write(postman, _crowd(people)), INPUTS[family].read
        jobs[name, _UNPACK] = lambda unpack=postman.unpack: [each() for each in unpack]
        jobs[name, _READ] = lambda read=read, message=message: read(message, "")
    return jobs


def measure_ms(people: int) -> dict[tuple[str, str], float]:
    """(layout or family, part) -> median milliseconds; everything takes turns, so that a busy moment hits all."""
    jobs = _jobs(people)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in jobs}
    for _ in range(_ROUNDS):
        for key, job in jobs.items():
            begun_s = time.perf_counter()
            job()
            times[key].append(1e3 * (time.perf_counter() - begun_s))
    return {key: float(np.median(values)) for key, values in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 5, 20, 100], metavar="N", help="in one image")
    args = parser.parse_args()
    provide()
    rows = []
    for people in args.people:
        ms = measure_ms(people)
        own = ms["occpose", _UNPACK] + ms["occpose", _READ]
        for name in dict.fromkeys(name for name, _ in ms):
            unpack, read = ms[name, _UNPACK], ms[name, _READ]
            rows.append((name, people, unpack, read, (unpack + read) / own))
    columns = ("messages", "people", "unpack (ms)", "adapter (ms)", "over occpose's own")
    print(text_table(Table(title="Reading one image", columns=columns, rows=tuple(rows), digits=2)))


if __name__ == "__main__":
    main()
