"""What a replay has found out about a bag, and report.json, which has the same form for one bag and for many."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core import __version__
from occpose_core.errors import OccposeError
from occpose_ros.scoring.sums import Intervals, Sums, figures_of_sums

SCHEMA = 1
WRONG_FORM = (ValueError, LookupError, TypeError, AttributeError)  # how it shows that JSON is something else
AS_RECORDED = ""  # the pattern of a run in which nothing was hidden on top


class ReportError(OccposeError):
    """A file is no report of a replay, or one of another version."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What one model has answered to one bag. pattern: what was hidden on top, or AS_RECORDED.

    figures: as people read them. intervals: dotted key -> 95 % interval. sums: dotted key -> (sum, count), from which
    the figures over several bags are made.
    """

    model: str
    pattern: str
    figures: Mapping[str, Any]
    intervals: Intervals
    sums: Sums

    @property
    def key(self) -> tuple[str, str]:
        """Model and pattern."""
        return self.model, self.pattern

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {
            "model": self.model,
            "pattern": self.pattern,
            "figures": self.figures,
            "intervals": self.intervals,
            "sums": self.sums,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> RunResult:
        """What `to_json` gave, after it was in a file: NaN has become None. Raises one of WRONG_FORM."""
        figures, sums = _with_nan(said["figures"]), _pairs(said["sums"])
        figures_of_sums(sums)
        for counts in (figures["dropped"], figures["latency_ms"]["counts"]):
            sum(counts.values())
        float(figures["resets"] + figures["speed_x_realtime"])
        return cls(
            model=str(said["model"]),
            pattern=str(said["pattern"]),
            figures=figures,
            intervals=_pairs(said["intervals"]),
            sums=sums,
        )


@dataclass(frozen=True, kw_only=True)
class BagResult:
    """What is known of a bag that was replayed: every model, as recorded and under every pattern.

    fingerprint: of the recording's bytes. seconds: of recorded time. comparison: of the models with the first one.
    """

    bag: str
    path: str
    fingerprint: Mapping[str, Any]
    seconds: float
    runs: tuple[RunResult, ...]
    comparison: Sequence[Mapping[str, Any]] = ()

    def run(self, key: tuple[str, str]) -> RunResult | None:
        """That of a model and a pattern."""
        return next((run for run in self.runs if run.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {
            "bag": self.bag,
            "path": self.path,
            "fingerprint": self.fingerprint,
            "seconds": self.seconds,
            "runs": [run.to_json() for run in self.runs],
            "comparison": self.comparison,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> BagResult:
        """See RunResult."""
        return cls(
            bag=str(said["bag"]),
            path=str(said["path"]),
            fingerprint=dict(said["fingerprint"]),
            seconds=float(said["seconds"]),
            runs=tuple(RunResult.from_json(run) for run in said["runs"]),
            comparison=_with_nan(said["comparison"]),
        )


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A bag of which nothing is known, and a sentence that says why."""

    bag: str
    path: str
    reason: str


Outcome = BagResult | Failure


@dataclass(frozen=True, kw_only=True)
class SavedReport:
    """What a report.json says that another run needs. version: of the occpose that wrote it."""

    version: str
    settings: Mapping[str, Any]
    bags: tuple[BagResult, ...]


def read_report(path: Path) -> SavedReport:
    """Read a report.json. Raises ReportError if it is none, or has another form than this version writes."""
    try:
        said = json.loads(path.read_bytes())
        if said.get("schema") != SCHEMA:
            raise ReportError(
                f"{path} has the form of another version of occpose ({said.get('schema')!r}, this one has {SCHEMA}):"
                " make it again with `occpose replay`"
            )
        bags = tuple(BagResult.from_json(bag) for bag in said["bags"])
        return SavedReport(version=str(said["occpose"]), settings=dict(said["settings"]), bags=bags)
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}; give a report.json of `occpose replay`") from None
    except ReportError:
        raise
    except WRONG_FORM:
        raise ReportError(f"{path} is no report of `occpose replay`: give the report.json of one") from None


def header(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What every report begins with."""
    return {"schema": SCHEMA, "occpose": __version__, "settings": settings}


def _pairs(said: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {str(key): (float(first), float(second)) for key, (first, second) in _with_nan(said).items()}


def _with_nan(value: Any) -> Any:
    """What a file says, with NaN where it has nothing: there is no NaN in JSON."""
    if isinstance(value, Mapping):
        return {key: _with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value
