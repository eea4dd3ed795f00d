"""What is measured, each as one table: the papers' standard figures, missing joints, and two papers' own ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.metrics import auc, joint_errors, norm_ratio_joint_errors, pa_joint_errors, pck
from occpose_core.report import Cell, Table
from occpose_core.skeleton import H36M17
from training.data.recording import Recording
from training.literature.errors import FIGURES, Errors, Figures, by_action, mean_of_actions, measure
from training.literature.lifting import Asked, Hiding, Lifter

MEAN = "mean of actions"
# name on the command line -> pattern of occpose_core.occlusion
SWEEPS = {"random": "joint30", "runs": "joint30c"}
MOST_MISSING = 3
_PELVIS = H36M17.index("pelvis")


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A checkpoint and the recordings that it is measured on. every: one in so many frames. progress: told of steps."""

    lifter: Lifter
    recordings: Sequence[Recording]
    every: int
    seed: int
    progress: Callable[[str], None]

    def batches(self, hiding: Hiding | None = None) -> Iterable[Asked]:
        """All batches of all recordings."""
        for number, recording in enumerate(self.recordings):
            self.progress(f"{hiding.pattern if hiding else 'nothing hidden'}: {number + 1}/{len(self.recordings)}")
            yield from self.lifter.ask(recording, self.every, hiding)

    def errors(self, hiding: Hiding | None = None) -> Errors:
        """Root-relative errors of all poses."""
        return Errors.join(
            [
                measure([asked.recording.action] * len(asked.frames), self.lifter.lift(asked), _target_m(asked))
                for asked in self.batches(hiding)
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Result:
    """A table for people, and the same as figures by row and name."""

    table: Table
    figures: dict[str, Figures]


def _target_m(asked: Asked) -> np.ndarray:
    """(N, J, 3) m root-relative, camera axes."""
    joints = asked.recording.joints_cam_m[asked.frames].astype(np.float64)
    return np.asarray(joints - joints[:, _PELVIS, None])


def _result(title: str, first: str, columns: dict[str, str], rows: dict[str, Figures], note: str) -> Result:
    cells: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *(figures[key] for key in columns)) for name, figures in rows.items()
    )
    return Result(table=Table(title=title, columns=(first, *columns.values()), rows=cells, note=note), figures=rows)


def standard(trial: Trial) -> Result:
    """P1, P2 and more for each action, and the plain mean of the actions."""
    actions = by_action(trial.errors())
    columns = {name: title for name, (title, _) in FIGURES.items()}
    note = (
        "mm and %. P1: MPJPE, P2: after each frame's own similarity transform without reflection, N-MPJPE: after its"
        " least-squares scale. PCK at 150 mm, AUC from 0 to 150 mm. All 17 joints count, the root too, with error 0."
    )
    return _result("Per action", "action", columns, {**actions, MEAN: mean_of_actions(actions)}, note)


def sweep(trial: Trial, kind: str) -> Result:
    """P1 and P2 (means of the actions) with one joint missing in 30 of 81 frames, for each joint. kind: of SWEEPS."""
    rows = {}
    for pattern in [None, *(f"{SWEEPS[kind]}({joint})" for joint in H36M17.joints)]:
        hiding = Hiding(pattern=pattern, seed=trial.seed) if pattern else None
        mean = mean_of_actions(by_action(trial.errors(hiding)))
        rows[pattern.partition("(")[2].removesuffix(")") if pattern else "none"] = mean
    frames = "random frames" if kind == "random" else "frames, in runs of 6,"
    note = f"Means of the actions, mm. The joint is missing in 30 {frames} of the 81 around each answered frame."
    columns = {name: FIGURES[name][0] for name in ("p1_mm", "p2_mm")}
    return _result("One joint missing", "joint", columns, rows, note)


def as_lcn(trial: Trial) -> Result:
    """LCN's own evaluation: absolute poses, made of the pose in the picture with the true depth of the root."""
    actions: list[str] = []
    plain, aligned = [], []
    for asked in trial.batches():
        image, picture = trial.lifter.image_pose(asked), asked.picture
        m_per_unit = picture.ray_scale[:, :, 0] * asked.root_depth_m[:, None]
        depth_m = asked.root_depth_m[:, None] + image[..., 2] * m_per_unit
        predicted = picture.to_cam(picture.back_projected(image[..., :2], depth_m))
        target = asked.recording.joints_cam_m[asked.frames].astype(np.float64)
        actions += [asked.recording.action] * len(asked.frames)
        plain.append(joint_errors(predicted, target))
        aligned.append(pa_joint_errors(predicted, target, reflect=True))
    kinds = {"absolute_mm": np.concatenate(plain), "p2_reflected_mm": np.concatenate(aligned)}
    rows = {
        str(action): {name: float(1e3 * errors[np.array(actions) == action].mean()) for name, errors in kinds.items()}
        for action in np.unique(actions)
    }
    mean = {name: float(np.mean([figures[name] for figures in rows.values()])) for name in kinds}
    columns = {"absolute_mm": "MPJPE", "p2_reflected_mm": "P2"}
    note = (
        "oracle: root depth. mm. MPJPE of absolute poses, not root-aligned, made with the true depth of the root; P2"
        " with reflection allowed."
    )
    return _result("As published for LCN", "action", columns, {**rows, MEAN: mean}, note)


def as_occluded_hpe(trial: Trial) -> Result:
    """The label-free system's own evaluation: 0 to 3 random joints missing, means of all frames, forgiving figures."""
    rows: dict[str, Figures] = {}
    for missing in range(MOST_MISSING + 1):
        hiding = Hiding(pattern=f"k-missing({missing})", seed=trial.seed) if missing else None
        scaled, aligned = [], []
        for asked in trial.batches(hiding):
            predicted, target = trial.lifter.lift(asked), _target_m(asked)
            scaled.append(norm_ratio_joint_errors(predicted, target))
            aligned.append(pa_joint_errors(predicted, target, reflect=True))
        by_norm_m, by_procrustes_m = np.concatenate(scaled), np.concatenate(aligned)
        rows[str(missing)] = {
            "n_mpjpe_norm_ratio_mm": 1e3 * float(by_norm_m.mean()),
            "p2_reflected_mm": 1e3 * float(by_procrustes_m.mean()),
            "pck150_after_procrustes_percent": 100 * pck(by_procrustes_m),
            "n_pck150_percent": 100 * pck(by_norm_m),
            "auc_after_procrustes_percent": 100 * auc(by_procrustes_m),
        }
    titles = ("N-MPJPE", "P2", "PCK", "N-PCK", "AUC")
    note = (
        "mm and %, means of all frames, not of the actions. N-MPJPE and N-PCK: scaled by the ratio of the norms. P2,"
        " PCK and AUC: after a similarity transform with reflection allowed. PCK at 150 mm, AUC from 0 to 150 mm."
    )
    columns = dict(zip(rows["0"], titles, strict=True))
    return _result("As published for the label-free lifter", "missing", columns, rows, note)


AS_PUBLISHED: dict[str, Callable[[Trial], Result]] = {"lcn": as_lcn, "occluded-hpe": as_occluded_hpe}
