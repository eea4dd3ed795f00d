"""Whether an exported file gives the answers of the trained model, number by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from occpose_core.checkpoint import ModelInfo
from occpose_core.errors import OccposeError
from occpose_core.export.films import answers, films
from occpose_core.runtime.engine import Engine

TOLERANCES_M = {"fp32": 1e-5, "fp16": 5e-3}


class ExportError(OccposeError):
    """The exported model does not give the answers of the trained one."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The largest differences to a reference, by output, and by the film that they were found on."""

    by_output: dict[str, float] = field(default_factory=dict)
    by_film: dict[str, float] = field(default_factory=dict)

    def note(self, film: str, output: str, given: np.ndarray, expected: np.ndarray) -> None:
        """Compare two arrays; a difference that is not a number is infinite."""
        with np.errstate(invalid="ignore"):
            largest = float(np.nan_to_num(np.abs(given - expected), nan=np.inf).max())
        for worst, key in ((self.by_output, output), (self.by_film, film)):
            worst[key] = max(worst.get(key, 0.0), largest)

    def note_all(self, film: str, answer: object, expected: Mapping[str, np.ndarray]) -> None:
        """Compare an engine's answer with that of torch by name; ExportError if torch's is not finite."""
        check_finite(expected)
        for name, values in expected.items():
            self.note(film, name, getattr(answer, name), values)


def check_finite(answer: Mapping[str, np.ndarray]) -> None:
    """Raise ExportError for torch's answer by name if it is not finite."""
    for name, values in answer.items():
        if not np.isfinite(values).all():
            raise ExportError(f"the model gives {name} that are not finite; train it again")


def compare_with_torch(engine: Engine, twin: nn.Module, model: nn.Module, info: ModelInfo) -> dict[str, Any]:
    """Largest differences of an engine's answers to those of the folded twin and of the model itself.

    Raises ExportError if those to the twin exceed TOLERANCES_M of the precision, or the model's answers are not finite.
    """
    model.eval()
    deployed, trained = Differences(), Differences()
    for film_name, film in films(info).items():
        for answer, inputs in answers(engine, film):
            for differences, reference in ((deployed, twin), (trained, model)):
                with torch.inference_mode():
                    expected = {name: value.numpy() for name, value in reference(*inputs).items()}
                differences.note_all(film_name, answer, {name: expected[name] for name in info.outputs})
    return judged(deployed, trained, info.precision)


def judged(deployed: Differences, trained: Differences, precision: str) -> dict[str, Any]:
    """What a model's file says of its differences to the folded twin and to the trained model, by kind.

    Raises ExportError if those to the twin exceed TOLERANCES_M of the precision.
    """
    tolerance = TOLERANCES_M[precision]
    for name, difference in deployed.by_output.items():
        if difference > tolerance:
            limit = f"more than {tolerance:g} for {precision}"
            raise ExportError(f"ONNX Runtime and torch differ by {difference:.2g} in {name}, {limit}")
    return {
        "max_difference": deployed.by_output,
        "max_difference_by_input": deployed.by_film,
        "max_difference_to_training_form": trained.by_output,
    }
