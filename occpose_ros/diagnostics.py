"""What the node knows about itself, counted by several threads and told once a period on /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from occpose_core.types import ScaleSource

# An error is shown for as long as it happens, and at least this long, so that a person can read it.
_ERROR_SHOWN_S = 10.0
_TOTALS = ("received", "answered", "rested", "resets", "callback_errors")


@dataclass(kw_only=True)
class Period:
    """What happened since the last report."""

    started_s: float = field(default_factory=time.monotonic)
    received: int = 0
    answered: int = 0
    rested: int = 0
    people: int = 0  # of the last answer
    scales: Counter[ScaleSource] = field(default_factory=Counter)
    joints: int = 0
    filled_joints: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    latency_ms: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Length so far."""
        return max(time.monotonic() - self.started_s, 1e-3)

    @property
    def left_out(self) -> str:
        """What was dropped, in words; "" if nothing was."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted((+self.dropped).items()))


class Statistics:
    """Counters of a node; every method may be called from any thread (one lock, held for microseconds)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._period = Period()
        self._total: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._age_s = self._received_s = np.nan
        self._last_error = ""
        self._last_error_s = -np.inf

    def received(self) -> None:
        """A keypoints message arrived."""
        with self._lock:
            self._period.received += 1
            self._total["received"] += 1
            self._received_s = time.monotonic()

    def aged(self, age_s: float) -> None:
        """The newest keypoints message had this age, by its stamp, when it was read."""
        with self._lock:
            self._age_s = age_s

    def dropped(self, reasons: Mapping[str, int]) -> None:
        """Joints, people or messages were left out: reason -> count."""
        counts = {reason: count for reason, count in reasons.items() if count}
        if not counts:
            return
        with self._lock:
            self._period.dropped.update(counts)
            self._dropped.update(counts)

    def answered(
        self,
        *,
        people: int,
        joints: int,
        filled_joints: int,
        step_ms: float,
        latency_ms: float,
        scales: Iterable[ScaleSource] = (),
    ) -> None:
        """A message was answered. scales: the people's."""
        with self._lock:
            period = self._period
            period.answered += 1
            period.people = people
            period.scales = Counter(scales)
            period.joints += joints
            period.filled_joints += filled_joints
            period.step_ms.append(step_ms)
            period.latency_ms.append(latency_ms)
            self._total["answered"] += 1

    def rested(self) -> None:
        """A keypoints message was not answered because nobody listens."""
        with self._lock:
            self._period.rested += 1
            self._total["rested"] += 1

    def error(self, sentence: str) -> None:
        """A callback failed and was stopped at the border."""
        with self._lock:
            self._total["callback_errors"] += 1
            self._last_error = sentence
            self._last_error_s = time.monotonic()

    def reset(self) -> None:
        """All people were forgotten because time went backwards."""
        with self._lock:
            self._total["resets"] += 1

    @property
    def age_s(self) -> float:
        """Of the newest keypoints message when it was read; NaN if there was none."""
        with self._lock:
            return self._age_s

    @property
    def recent_error(self) -> str:
        """The last error, "" if it is old."""
        with self._lock:
            return self._last_error if time.monotonic() - self._last_error_s < _ERROR_SHOWN_S else ""

    def report(self) -> tuple[Period, dict[str, str]]:
        """What happened since the last report, and all values for a DiagnosticStatus."""
        with self._lock:
            period, self._period = self._period, Period()
            values = {
                "input rate (Hz)": f"{period.received / period.seconds:.1f}",
                "input age (s)": f"{self._age_s:.3f}",
                "input silence (s)": f"{time.monotonic() - self._received_s:.3f}",
                "output rate (Hz)": f"{period.answered / period.seconds:.1f}",
                "people": str(period.people),
                **{f"people.scale_{scale.name.lower()}": str(period.scales[scale]) for scale in ScaleSource},
                "filled joints (share)": f"{period.filled_joints / max(period.joints, 1):.3f}",
                **_percentiles("latency", period.latency_ms),
                **_percentiles("step", period.step_ms),
                **{name: str(self._total[name]) for name in _TOTALS},
                **{f"dropped.{reason}": str(count) for reason, count in sorted(self._dropped.items())},
                **{f"dropped_now.{reason}": str(period.dropped[reason]) for reason in sorted(self._dropped)},
                "last error": self._last_error,
            }
        return period, values


def _percentiles(name: str, values_ms: list[float]) -> dict[str, str]:
    return {
        f"{name} p{percent} (ms)": f"{np.percentile(values_ms, percent) if values_ms else np.nan:.1f}"
        for percent in (50, 95)
    }


def verdict(cases: Iterable[tuple[bytes, object, str]], otherwise: str) -> tuple[bytes, str]:
    """Level and sentence of the first case (level, whether it holds, sentence) that holds, else OK."""
    return next(((level, sentence) for level, holds, sentence in cases if holds), (DiagnosticStatus.OK, otherwise))


def diagnostic_array(
    *, name: str, hardware_id: str, level: bytes, message: str, values: Mapping[str, str], stamp: object
) -> DiagnosticArray:
    """Make diagnostic_msgs/DiagnosticArray with one status. stamp: builtin_interfaces/Time."""
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id, values=pairs)
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array
