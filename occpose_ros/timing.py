"""What stamps mean: when a message came, how old it is, and what if its stamp says nothing.

Ages are told, and lead to a drop only where the user wants it: recordings and cameras with clocks of their own have
stamps that are far from the node's clock and yet in good order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from occpose_ros.adapters import KeypointsArray, RejectedMessageError

ZERO_STAMPS = ("arrival", "drop")
# No detector is so slow and no clock so badly set: stamps that are farther from the node's clock have another one.
_OTHER_CLOCK_S = 60.0
_UNITS = ((365.25 * 86400.0, "years"), (86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True, kw_only=True)
class Received:
    """A keypoints message and when it came: in monotonic seconds, and by the node's clock; and its image, if any."""

    msg: Any
    received_s: float
    received_ns: int
    image: Any = None


def timed(
    keypoints: KeypointsArray, received: Received, now_ns: int, *, zero_stamps: str, max_age_s: float
) -> tuple[KeypointsArray, float]:
    """Keypoints with a stamp that means something, and their age in s; RejectedMessageError if that cannot be had.

    Those that come without a stamp get that of their arrival, and count themselves as `no_stamp` in `dropped`.
    zero_stamps, max_age_s: as the node's parameters.
    """
    if keypoints.stamp_ns == 0:
        keypoints = _stamped(keypoints, received, zero_stamps)
    return keypoints, _age_s(keypoints.stamp_ns, now_ns, max_age_s)


def _stamped(keypoints: KeypointsArray, received: Received, zero_stamps: str) -> KeypointsArray:
    """zero_stamps: one of ZERO_STAMPS. A clock that has not begun (sim time without /clock) tells no arrival."""
    if zero_stamps == "drop":
        raise RejectedMessageError(
            "no_stamp", "keypoints have the stamp 0: stamp them with the time of the image, or set zero_stamps: arrival"
        )
    if received.received_ns == 0:
        raise RejectedMessageError(
            "no_stamp", "keypoints have the stamp 0 and so has the clock: publish /clock, or set use_sim_time to false"
        )
    return replace(keypoints, stamp_ns=received.received_ns, dropped={**keypoints.dropped, "no_stamp": 1})


def _age_s(stamp_ns: int, now_ns: int, max_age_s: float) -> float:
    """Seconds from the stamp until now; RejectedMessageError if that is more than max_age_s (0.0: any age is good)."""
    age = (now_ns - stamp_ns) * 1e-9
    if 0 < max_age_s < age:
        raise RejectedMessageError(
            "too_old",
            f"keypoints are {duration(age)} old, more than max_age_s ({max_age_s:g} s): raise it, speed up the"
            " detector, or, if this is a recording, set use_sim_time",
        )
    return age


def other_clock(age: float) -> str:
    """A sentence if stamps of this age (s) are not of the node's clock, else ""."""
    if abs(age) <= _OTHER_CLOCK_S:
        return ""
    return (
        f"stamps of the keypoints are {duration(abs(age))} {'behind' if age > 0 else 'ahead of'} the node's clock: if"
        " this is a recording or a simulation, set use_sim_time and publish /clock; else set the detector's clock"
    )


def duration(seconds: float) -> str:
    """Seconds in a unit that people can read."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds / size:.1f} {unit}"
