"""Errors of many poses, kept for each, so that no batch or order can mix what belongs to different actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.metrics import auc, joint_errors, masked_mean, n_joint_errors, pa_joint_errors, pck
from occpose_core.skeleton import H36M17

Figures = dict[str, float]

_WRISTS = H36M17.indices("left_wrist", "right_wrist")
_ANKLES = H36M17.indices("left_ankle", "right_ankle")


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Of N root-relative poses. actions: (N,) str. The others: (N, J) m, plain, after alignment, after scaling."""

    actions: np.ndarray
    plain_m: np.ndarray
    aligned_m: np.ndarray
    scaled_m: np.ndarray

    @staticmethod
    def join(parts: Sequence[Errors]) -> Errors:
        """One after the other."""
        return Errors(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})

    def of(self, chosen: np.ndarray) -> Errors:
        """Those of the chosen (N,) bool poses."""
        return Errors(**{name: values[chosen] for name, values in vars(self).items()})


def measure(actions: Sequence[str] | np.ndarray, predicted_m: np.ndarray, target_m: np.ndarray) -> Errors:
    """Errors of poses (N, J, 3), root-relative, each with its action; every pose is aligned and scaled by itself."""
    single = np.float32  # a whole data set is kept
    return Errors(
        actions=np.asarray(actions, dtype=np.str_),
        plain_m=joint_errors(predicted_m, target_m).astype(single),
        aligned_m=pa_joint_errors(predicted_m, target_m).astype(single),
        scaled_m=n_joint_errors(predicted_m, target_m).astype(single),
    )


def _mm(values_m: np.ndarray) -> float:
    return 1e3 * masked_mean(values_m.astype(np.float64))


# By the name in the JSON file: column title, and the figure of some poses. All joints count, the root too.
FIGURES: dict[str, tuple[str, Callable[[Errors], float]]] = {
    "p1_mm": ("P1", lambda errors: _mm(errors.plain_m)),
    "p2_mm": ("P2", lambda errors: _mm(errors.aligned_m)),
    "n_mpjpe_mm": ("N-MPJPE", lambda errors: _mm(errors.scaled_m)),
    "pck150_percent": ("PCK", lambda errors: 100 * pck(errors.plain_m)),
    "auc_percent": ("AUC", lambda errors: 100 * auc(errors.plain_m)),
    "wrists_mm": ("wrists", lambda errors: _mm(errors.plain_m[:, _WRISTS])),
    "ankles_mm": ("ankles", lambda errors: _mm(errors.plain_m[:, _ANKLES])),
}


def figures_of(errors: Errors) -> Figures:
    """All figures of some poses."""
    return {name: figure(errors) for name, (_, figure) in FIGURES.items()}


def by_action(errors: Errors) -> dict[str, Figures]:
    """The figures of each action, by name."""
    return {str(action): figures_of(errors.of(errors.actions == action)) for action in np.unique(errors.actions)}


def mean_of_actions(actions: dict[str, Figures]) -> Figures:
    """The plain mean of the actions' figures, whatever their numbers of frames."""
    return {name: float(np.mean([figures[name] for figures in actions.values()])) for name in FIGURES}
