"""How good recorded answers are: skeletons against the true ones of the same bag, matched by stamp and id.

Poses are compared root-relative in the camera's axes. A joint is
    not in layout   if the detector's layout cannot give it at all (spine and head top of COCO),
    visible         if the detector gave it and the truth calls it MEASURED,
    hidden          otherwise.
The baselines use the system's own answers: a joint as it was answered when last measured (hold), moved on at constant
velocity, and the training-mean pose turned to the person. A joint never measured before has the mean pose in all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.baselines import constant_velocity, hold, mean_pose_view_m, velocity_start
from occpose_core.camera import rays_from_cam, view_of
from occpose_core.geometry import bone_lengths_m
from occpose_core.metrics import CHI3_RADII, calibration, joint_errors, masked_mean, n_joint_errors, pa_joint_errors
from occpose_core.skeleton import H36M17, SKELETONS, available, convert_keypoints
from occpose_core.types import Origin
from occpose_ros.message_types import stamp_ns_from_msg

MM_PER_M = 1000.0
GROUPS = ("all", "visible", "hidden", "not_in_layout")
_J = len(H36M17.joints)
_PELVIS = H36M17.index("pelvis")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """N answers, sorted by person and time, with the truth of the same stamp and id where there is one.

    stamp_ns: (N,) int64. track: (N,) index of the id. joints_cam_m: (N, J, 3). sigma_m: (N, J). origin: (N, J).
    given: (N, J) bool, the detector gave the joint. in_layout: (N, J) bool. truth_cam_m: (N, J, 3), NaN without truth.
    truth_seen: (N, J) bool. ids: the track ids.
    """

    stamp_ns: np.ndarray
    track: np.ndarray
    joints_cam_m: np.ndarray
    sigma_m: np.ndarray
    origin: np.ndarray
    given: np.ndarray
    in_layout: np.ndarray
    truth_cam_m: np.ndarray
    truth_seen: np.ndarray
    ids: tuple[str, ...]

    @property
    def has_truth(self) -> np.ndarray:
        """(N,) bool."""
        return np.isfinite(self.truth_cam_m).all(axis=(-2, -1))

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """The joint groups of errors, name -> (N, J) bool; joints without truth are in none."""
        known = np.repeat(self.has_truth[:, None], _J, axis=1)
        visible = known & self.in_layout & self.given & self.truth_seen
        hidden = known & self.in_layout & ~visible
        return dict(zip(GROUPS, (known, visible, hidden, known & ~self.in_layout), strict=True))

    def runs(self) -> list[slice]:
        """The rows of each track."""
        edges = np.flatnonzero(np.diff(self.track)) + 1
        bounds = [0, *edges.tolist(), len(self.track)]
        return [slice(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b > a]


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """figures: as in report.json, millimetres. pairs: what they were made from. errors_m: of the system and of each
    baseline, name -> (N, J), NaN without truth."""

    figures: dict[str, Any]
    pairs: Pairs
    errors_m: dict[str, np.ndarray]


def _given(message: Any, layout_name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Of a Keypoints2DArray: id -> (J,) bool of joints that are given, and (J,) bool of joints that its layout has."""
    layout = SKELETONS.get(layout_name or message.layout)
    if layout is None:
        return {}, np.ones(_J, dtype=bool)
    count, seen = len(layout.joints), {}
    for person in message.people:
        if len(person.xy) == 2 * count and len(person.score) == count:
            score = np.nan_to_num(np.asarray(person.score, dtype=np.float32))
            xy = np.asarray(person.xy, dtype=np.float32).reshape(count, 2)
            score = np.where(np.isfinite(xy).all(axis=-1), score, 0.0).astype(np.float32)
            seen[person.id] = convert_keypoints(np.nan_to_num(xy), score, layout)[1] > 0
    return seen, available(layout)


def _rows(
    keypoints: Sequence[Any], skeletons: Sequence[Any], truth: Sequence[Any], layout: str
) -> list[tuple[Any, ...]]:
    """(id, stamp, answer, given, in_layout, true skeleton or None), sorted by id and stamp; of duplicates the last."""
    detected = {stamp_ns_from_msg(message.header.stamp): _given(message, layout) for message in keypoints}
    true = {(stamp_ns_from_msg(m.header.stamp), person.id): person for m in truth for person in m.people}
    nobody: tuple[dict[str, np.ndarray], np.ndarray] = {}, np.ones(_J, dtype=bool)
    rows = {}
    for message in skeletons:
        stamp_ns = stamp_ns_from_msg(message.header.stamp)
        people, in_layout = detected.get(stamp_ns, nobody)
        for person in message.people:
            given = people.get(person.id, np.zeros(_J, dtype=bool))
            rows[person.id, stamp_ns] = (person, given, in_layout, true.get((stamp_ns, person.id)))
    return [(*key, *rows[key]) for key in sorted(rows)]


def pair(keypoints: Sequence[Any], skeletons: Sequence[Any], truth: Sequence[Any], layout: str = "") -> Pairs:
    """Match messages of a bag: Keypoints2DArray (input), Skeleton3DArray (answers) and Skeleton3DArray (truth)."""
    rows = _rows(keypoints, skeletons, truth, layout)
    ids = tuple(dict.fromkeys(row[0] for row in rows))
    unknown = np.full(3 * _J, np.nan), np.full(_J, Origin.UNKNOWN)
    true = [(row[5].position, row[5].origin) if row[5] is not None else unknown for row in rows]

    def stack(values: list[Any], *shape: int, dtype: type = np.float64) -> np.ndarray:
        return np.array(values, dtype=dtype).reshape(len(rows), *shape)

    return Pairs(
        stamp_ns=stack([row[1] for row in rows], dtype=np.int64),
        track=stack([ids.index(row[0]) for row in rows], dtype=np.int64),
        joints_cam_m=stack([row[2].position for row in rows], _J, 3),
        sigma_m=stack([row[2].std_dev for row in rows], _J),
        origin=stack([row[2].origin for row in rows], _J, dtype=np.uint8),
        given=stack([row[3] for row in rows], _J, dtype=bool),
        in_layout=stack([row[4] for row in rows], _J, dtype=bool),
        truth_cam_m=stack([position for position, _ in true], _J, 3),
        truth_seen=stack([origin for _, origin in true], _J) == Origin.MEASURED,
        ids=ids,
    )


def _root_relative(joints_cam_m: np.ndarray) -> np.ndarray:
    return joints_cam_m - joints_cam_m[..., _PELVIS : _PELVIS + 1, :]


def _mean_pose_cam_m(joints_cam_m: np.ndarray) -> np.ndarray:
    """(N, J, 3) the training-mean pose, turned from the view of each answered person to the camera's axes."""
    rays = rays_from_cam(joints_cam_m)
    return view_of(rays, np.ones(rays.shape[:-1], dtype=bool)).to_cam(mean_pose_view_m()[None].astype(np.float64))


def _frame_ns(stamps_ns: np.ndarray) -> float:
    steps = np.diff(np.unique(stamps_ns))
    return float(np.median(steps)) if len(steps) else 1e9 / 30.0


def baselines(pairs: Pairs) -> dict[str, np.ndarray]:
    """Root-relative poses (N, J, 3), camera axes, of each baseline."""
    answers_m = _root_relative(pairs.joints_cam_m)
    never_m = _mean_pose_cam_m(pairs.joints_cam_m)
    frame_ns = _frame_ns(pairs.stamp_ns)
    found = {"mean_pose": never_m, "hold": never_m.copy(), "constant_velocity": never_m.copy()}
    for run in pairs.runs():
        frame = np.rint((pairs.stamp_ns[run] - pairs.stamp_ns[run.start]) / frame_ns).astype(np.int64)
        # Answers on a regular grid of frames; a gap holds the answer before it.
        row_of_frame = np.searchsorted(frame, np.arange(frame[-1] + 1), side="right") - 1
        grid_m = answers_m[run][row_of_frame]
        measured = pairs.origin[run] == Origin.MEASURED
        last = np.maximum.accumulate(np.where(measured, frame[:, None], -1), axis=0)
        before = velocity_start(last, np.zeros(len(frame), dtype=np.int64), 1e9 / frame_ns)
        found["hold"][run] = hold(grid_m, last, never_m[run])
        found["constant_velocity"][run] = constant_velocity(grid_m, last, before, frame, never_m[run])
    return found


def _by_group(errors_m: np.ndarray, groups: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: masked_mean(errors_m, mask) * MM_PER_M for name, mask in groups.items()}


def _coverage(keypoints: Sequence[Any], skeletons: Sequence[Any], layout: str) -> dict[str, int]:
    """Frames in which every person of whom a joint is given has a skeleton of the same stamp."""
    ids_at = {stamp_ns_from_msg(m.header.stamp): {person.id for person in m.people} for m in skeletons}
    with_people = answered = 0
    for message in keypoints:
        given = {person for person, joints in _given(message, layout)[0].items() if joints.any()}
        ids = ids_at.get(stamp_ns_from_msg(message.header.stamp), set())
        with_people += bool(given)
        # A person without an id gets one from the tracker.
        answered += bool(given) and given - {""} <= ids and len(ids) >= len(given)
    return {"total": len(keypoints), "with_people": with_people, "answered": answered}


def _second_difference(pairs: Pairs, joints_m: np.ndarray) -> np.ndarray:
    """(N, J) length of the second difference over this frame and the two before, NaN where a frame is missing."""
    frame_ns = _frame_ns(pairs.stamp_ns)
    found = np.full((len(joints_m), _J), np.nan)
    for run in pairs.runs():
        regular = np.abs(np.diff(pairs.stamp_ns[run]) - frame_ns) < 0.2 * frame_ns
        lengths = np.linalg.norm(np.diff(joints_m[run], n=2, axis=0), axis=-1)
        found[run][2:] = np.where((regular[:-1] & regular[1:])[:, None], lengths, np.nan)
    return found


def _finite_mean(values: np.ndarray, mask: np.ndarray | None = None) -> float:
    finite = np.isfinite(values)
    return masked_mean(values, finite if mask is None else finite & mask)


def _flicker_m_s2(pairs: Pairs) -> dict[str, float]:
    """Mean acceleration of absolute joints where measured, where filled, and of the truth."""
    per_second = (1e9 / _frame_ns(pairs.stamp_ns)) ** 2
    answers = _second_difference(pairs, pairs.joints_cam_m) * per_second
    measured = pairs.origin == Origin.MEASURED
    truth = _second_difference(pairs, pairs.truth_cam_m) * per_second
    return {
        "measured": _finite_mean(answers, measured),
        "filled": _finite_mean(answers, ~measured),
        "truth": _finite_mean(truth),
    }


def _bone_length_drift(pairs: Pairs) -> float:
    """Mean over people and bones of the standard deviation of a bone's length over its mean."""
    drift = []
    for run in pairs.runs():
        lengths_m = bone_lengths_m(pairs.joints_cam_m[run])
        drift.append(lengths_m.std(axis=0) / np.maximum(lengths_m.mean(axis=0), 1e-6))
    return float(np.mean(drift)) if drift else float("nan")


def _metric_share(skeletons: Sequence[Any]) -> float:
    """Share of the answered people whose scale was known."""
    metric = [person.metric for message in skeletons for person in message.people]
    return float(np.mean(metric)) if metric else float("nan")


def _against_truth(
    pairs: Pairs, errors_m: Mapping[str, np.ndarray], interval_radii: tuple[float, float]
) -> dict[str, Any]:
    groups, known = pairs.groups, pairs.has_truth
    answers_m, truth_m = _root_relative(pairs.joints_cam_m)[known], _root_relative(pairs.truth_cam_m)[known]
    root_error_m = np.linalg.norm((pairs.joints_cam_m - pairs.truth_cam_m)[known, _PELVIS], axis=-1)
    depth = np.stack([pairs.joints_cam_m[known, _PELVIS, 2], pairs.truth_cam_m[known, _PELVIS, 2]], axis=-1)
    of = {name: _by_group(errors, groups) for name, errors in errors_m.items()}
    mpjpe_mm = of.pop("occpose")
    best = min(figures["hidden"] for figures in of.values())
    error_m = _root_relative(pairs.joints_cam_m - pairs.truth_cam_m)
    no_root = np.arange(_J) != _PELVIS
    return {
        "mpjpe_mm": mpjpe_mm,
        "baselines": of,
        "hidden_below_best_baseline": 1.0 - mpjpe_mm["hidden"] / best,
        "joints": {name: int(mask.sum()) for name, mask in groups.items()},
        "pa_mpjpe_mm": masked_mean(pa_joint_errors(answers_m, truth_m)) * MM_PER_M,
        "n_mpjpe_mm": masked_mean(n_joint_errors(answers_m, truth_m)) * MM_PER_M,
        "root_error_mm": masked_mean(root_error_m) * MM_PER_M,
        "depth_bias": float(np.mean(depth[:, 0] / depth[:, 1] - 1.0)) if known.any() else float("nan"),
        "accel_error_mm": _finite_mean(_second_difference(pairs, error_m)) * MM_PER_M,
        "calibration": {
            name: calibration(errors_m["occpose"], pairs.sigma_m, groups[name] & no_root, interval_radii)
            for name in ("visible", "hidden")
        },
        "per_joint_mm": {
            joint: _by_group(errors_m["occpose"][:, j], {name: mask[:, j] for name, mask in groups.items()})
            for j, joint in enumerate(H36M17.joints)
        },
    }


def score(
    keypoints: Sequence[Any],
    skeletons: Sequence[Any],
    truth: Sequence[Any],
    layout: str = "",
    interval_radii: tuple[float, float] = CHI3_RADII,
) -> Score:
    """Figures of recorded answers.

    keypoints: the Keypoints2DArray messages that went in. skeletons: the Skeleton3DArray messages that came out.
    truth: Skeleton3DArray messages, or none: then every error is NaN, and coverage, flicker and bone drift remain.
    layout: of the keypoints, if it is another than their messages say. interval_radii: of the model that answered, see
    ModelInfo.
    """
    pairs = pair(keypoints, skeletons, truth, layout)
    target_m = _root_relative(pairs.truth_cam_m)
    poses_m = {"occpose": _root_relative(pairs.joints_cam_m), **baselines(pairs)}
    errors_m = {name: joint_errors(pose_m, target_m) for name, pose_m in poses_m.items()}
    figures = {
        "frames": _coverage(keypoints, skeletons, layout),
        **_against_truth(pairs, errors_m, interval_radii),
        "flicker_m_s2": _flicker_m_s2(pairs),
        "bone_length_drift": _bone_length_drift(pairs),
        "people": len(pairs.ids),
        "metric": _metric_share(skeletons),
    }
    return Score(figures=figures, pairs=pairs, errors_m=errors_m)
