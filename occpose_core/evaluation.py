"""OccKP-1: how far a model's 3D poses are from the truth when joints are hidden. docs/evaluation.md explains it.

The model answers every frame that a figure needs, in batches: the scored frames, the two before them (velocity,
acceleration), and those in which each hidden joint was last seen (the baselines that it must beat). Poses are compared
root-relative in the camera's axes; nothing of the truth reaches the model, not its scale either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from occpose_core.baselines import constant_velocity, hold, mean_pose_view_m, velocity_start
from occpose_core.camera import view_of
from occpose_core.clips import Clips, Shot, Span, chunks, last_seen, make_clips, spans
from occpose_core.errors import OccposeError
from occpose_core.geometry import place_root, stature_m
from occpose_core.occlusion import expand
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M
from occpose_core.placing import observed_frames, place
from occpose_core.runtime.engine import views_for
from occpose_core.skeleton import H36M17
from occpose_core.stepping import step_through

if TYPE_CHECKING:
    from occpose_core.runtime import Engine, Lifted

BATCH = 512
MODES = ("causal", "centre")
# Patterns whose figure is the mean over their arguments; others have a figure for each.
_POOLED = ("joint30", "joint30c")
_PELVIS = H36M17.index("pelvis")


class EvaluationError(OccposeError):
    """A model cannot be measured as asked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a model says of F frames; NaN where it was not asked.

    joints_m: (F, J, 3) root-relative, camera axes. sigma_m: (F, J), NaN if the model has none. mean_pose_m: (F, J, 3)
    the training-mean pose turned to each frame's person view. answered: (F,) bool, False where no joint at all was
    visible.
    """

    joints_m: np.ndarray
    sigma_m: np.ndarray
    mean_pose_m: np.ndarray
    answered: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """N scored frames with everything that the figures are made from.

    shot: (N,) index. pattern: (N,) the concrete one. hidden: (N, J) bool. hidden_s: (N, J) time since each joint was
    last seen, NaN for never. target_m, predicted_m, baselines by name: (N, J, 3) m, root-relative, camera axes;
    predicted_m is held where the model saw nothing. steps_predicted_m, steps_target_m: (N, 3, J, 3) frames n - 2,
    n - 1, n, NaN where there are none. sigma_m: (N, J). answered: (N,) bool. root_error_m: (N,), NaN where the person
    could not be placed, who is scaled to 1.70 m in each frame anew. place_error_m, depth: (N, 3), and metric: (N,), of
    placing.Places. interval_radii: the model's, see ModelInfo.
    """

    shot: np.ndarray
    pattern: np.ndarray
    hidden: np.ndarray
    hidden_s: np.ndarray
    target_m: np.ndarray
    predicted_m: np.ndarray
    baselines: dict[str, np.ndarray]
    steps_predicted_m: np.ndarray
    steps_target_m: np.ndarray
    sigma_m: np.ndarray
    answered: np.ndarray
    root_error_m: np.ndarray
    place_error_m: np.ndarray
    depth: np.ndarray
    metric: np.ndarray
    interval_radii: tuple[float, float]

    @staticmethod
    def join(parts: Sequence[Scores]) -> Scores:
        """One after the other."""
        whole = ("baselines", "interval_radii")
        names = [field.name for field in dataclasses.fields(Scores) if field.name not in whole]
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        baselines = {name: np.concatenate([part.baselines[name] for part in parts]) for name in parts[0].baselines}
        return Scores(baselines=baselines, interval_radii=parts[0].interval_radii, **arrays)


def figure_patterns(patterns: Sequence[str], pool: bool = False) -> dict[str, list[str]]:
    """Which concrete patterns each figure is over: `joint30` is one figure, `k-missing` one for each k.

    pool: one figure for each name that is given without its argument.
    """
    groups: dict[str, list[str]] = {}
    for name in patterns:
        concrete = expand(name)
        groups.update({name: concrete} if pool or name in _POOLED else {each: [each] for each in concrete})
    return groups


def check_mode(engine: Engine, mode: str, rate_hz: float) -> int:
    """Frames of the future that the model may see. Raises EvaluationError if model, mode and rate do not fit."""
    info = engine.info
    if not info.lifts:
        raise EvaluationError(
            f"model {info.name} gives no 3D pose (only {', '.join(info.outputs)}); name one that lifts"
        )
    if info.rate_hz and info.rate_hz != rate_hz:
        raise EvaluationError(f"model {info.name} was trained at {info.rate_hz:g} Hz; add --rate {info.rate_hz:g}")
    if (mode == "centre") != (info.look_ahead_s > 0):
        fitting = "centre" if info.look_ahead_s > 0 else "causal"
        raise EvaluationError(
            f"model {info.name} looks {info.look_ahead_s:g} s ahead; measure it with --mode {fitting}"
        )
    return round(info.look_ahead_s * rate_hz)


CleanAnswers = dict[tuple[tuple[object, ...], ...], np.ndarray]


def score(
    engine: Engine,
    shots: Sequence[Shot],
    patterns: Sequence[str],
    look_ahead: int = 0,
    max_frames: int | None = None,
    seed: int = 0,
    clean: CleanAnswers | None = None,
) -> Scores:
    """Run the model over all shots under concrete patterns of one kind, taken in turns.

    look_ahead: frames of the future that the model sees (check_mode). max_frames: scored at most, spread evenly.
    clean: answers to the same shots with nothing hidden, which patterns share: a dict that the caller keeps for this
    engine and these shots.
    """
    planned = spans(shots, patterns, max_frames, look_ahead)
    clean = {} if clean is None else clean
    return Scores.join([_score(engine, shots, group, look_ahead, seed, clean) for group in chunks(planned)])


def _score(
    engine: Engine,
    shots: Sequence[Shot],
    group: Sequence[Span],
    look_ahead: int,
    seed: int,
    clean: CleanAnswers,
) -> Scores:
    clips = make_clips(shots, group, seed)
    now = clips.scored
    last = last_seen(clips.hidden, clips.start)[now]
    before = velocity_start(last, clips.start[now], clips.rate_hz)
    steps = now[:, None] - np.arange(2, -1, -1)  # (N, 3)
    exists = steps >= clips.start[now, None]
    frames = np.concatenate([steps[exists], last[last >= 0], before[before >= 0], observed_frames(clips)])
    frames = np.unique(frames)
    own = ask(engine, clips, frames, look_ahead)
    same = tuple((span.shot, span.start, span.stop, span.scored) for span in group)
    if same not in clean:
        clean[same] = ask(engine, clips.unhidden(), now, look_ahead).joints_m[now]
    never = own.mean_pose_m[now]
    held = hold(own.joints_m, last, never)
    answered = own.answered[now]
    places = place(shots, clips, own.joints_m, own.sigma_m, engine.info.stature_gain)
    target = clips.joints_cam_m - clips.joints_cam_m[:, _PELVIS, None]
    return Scores(
        shot=clips.shot[now],
        pattern=clips.pattern,
        hidden=clips.hidden[now],
        hidden_s=np.where(last >= 0, (now[:, None] - last) / clips.rate_hz, np.nan),
        target_m=target[now],
        predicted_m=np.where(answered[:, None, None], own.joints_m[now], held),
        baselines={
            "mean_pose": never,
            "hold": held,
            "constant_velocity": constant_velocity(own.joints_m, last, before, now, never),
            "clean": clean[same],
        },
        steps_predicted_m=np.where(exists[..., None, None], own.joints_m[np.maximum(steps, 0)], np.nan),
        steps_target_m=target[np.maximum(steps, 0)],
        sigma_m=own.sigma_m[now],
        answered=answered,
        root_error_m=_root_error_m(own.joints_m[now], clips, now),
        place_error_m=places.error_m,
        depth=places.depth,
        metric=places.metric,
        interval_radii=engine.info.interval_radii,
    )


def ask(engine: Engine, clips: Clips, frames: np.ndarray, look_ahead: int = 0) -> Answers:
    """Let the model answer some frames of the clips, in batches. frames: (M,) flat indices, sorted.

    A window that begins before its clip is led in by the clip's first frame, one that ends behind it by the last.
    """
    count, joints = clips.score.shape
    answers = Answers(
        joints_m=np.full((count, joints, 3), np.nan),
        sigma_m=np.full((count, joints), np.nan),
        mean_pose_m=np.full((count, joints, 3), np.nan),
        answered=np.zeros(count, dtype=bool),
    )
    people = view_of(clips.rays, clips.visible)
    views = views_for(engine.info, clips.rays, clips.visible)
    kpts, score = views.normalise(clips.rays), clips.score.astype(np.float32)
    if engine.info.streaming:
        asked = step_through(engine, kpts, score, clips.start, clips.stop, frames, look_ahead, clips.rate_hz)
    else:
        asked = _windows(engine, kpts, score, clips, frames, look_ahead)
    seen = _sees(engine.info.window, clips, frames, look_ahead)
    for batch, lifted in asked:
        assert lifted.joints_root_m is not None  # check_mode has seen to it
        joints_m = views.at(batch).to_cam(lifted.joints_root_m.astype(np.float64))
        answers.joints_m[batch] = joints_m - joints_m[:, _PELVIS, None]
        answers.mean_pose_m[batch] = people.at(batch).to_cam(np.broadcast_to(mean_pose_view_m(), joints_m.shape))
        answers.answered[batch] = np.isfinite(joints_m).all(axis=(1, 2))
        if lifted.sigma_m is not None:
            answers.sigma_m[batch] = lifted.sigma_m
    answers.answered[frames] &= seen
    return answers


def _windows(
    engine: Engine, kpts: np.ndarray, score: np.ndarray, clips: Clips, frames: np.ndarray, look_ahead: int
) -> Iterator[tuple[np.ndarray, Lifted]]:
    """The frames in batches, and the answers to their windows."""
    steps = np.arange(1 - engine.info.window, 1) + look_ahead
    for begin in range(0, len(frames), BATCH):
        batch = frames[begin : begin + BATCH]
        window = np.clip(batch[:, None] + steps, clips.start[batch, None], clips.stop[batch, None] - 1)  # (B, T)
        yield batch, engine.run(kpts[window], score[window])


def _sees(window: int, clips: Clips, frames: np.ndarray, look_ahead: int) -> np.ndarray:
    """(M,) bool: whether any joint is visible in the frames that an answer depends on. window: 0 = all so far."""
    before = np.append(0, np.cumsum(clips.visible.any(axis=-1)))
    end, begin = frames + look_ahead + 1, clips.start[frames]
    begin = np.maximum(end - window, begin) if window else begin
    end = np.minimum(end, clips.stop[frames])
    return np.asarray(before[end] > before[begin])


def _root_error_m(joints_m: np.ndarray, clips: Clips, now: np.ndarray) -> np.ndarray:
    """(N,) distance of the placed pelvis from the true one, the person taken to be ASSUMED_HEIGHT_M tall."""
    scale = ASSUMED_HEIGHT_M / np.maximum(stature_m(joints_m), 1e-6)
    root, placed = place_root(joints_m * scale[:, None, None], clips.rays[now], clips.visible[now].astype(np.float64))
    return np.where(placed, np.linalg.norm(root - clips.joints_cam_m[now, _PELVIS], axis=-1), np.nan)
