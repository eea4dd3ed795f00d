"""What OccKP-1 shows to a model: recordings filmed by simulated cameras, with joints hidden by a pattern.

A `Shot` is one recording seen by one camera through one simulated detector. `Clips` are stretches of shots, one after
the other in flat arrays, with a pattern's mask drawn for each: the 81 frames up to a scored frame, or the whole
recording for patterns that are processes in time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from occpose_core.camera import px_from_cam, rays_from_px
from occpose_core.dataset import Motion
from occpose_core.geometry import stature_m
from occpose_core.occlusion import philox, visible_mask
from occpose_core.simulation import RIGS, box_size, detect, draw_views
from occpose_core.skeleton import H36M17
from occpose_core.types import GroundPlane

WINDOW = 81
# Without a limit on frames, one window in so many frames: neighbours would tell the same again.
WINDOW_STRIDE = 27
# Patterns that are processes over minutes: the whole recording is the window and all of its frames are scored.
_WHOLE_RECORDING = ("natural", "layout", "hallucinate")
_GARBAGE_PX = 100.0
_HALLUCINATION_SD = 0.05  # of the person's size
_HALLUCINATION_SCORE = (0.3, 0.7)
_PELVIS = H36M17.index("pelvis")
_CHUNK_FRAMES = 50_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Shot:
    """One recording as one camera and detector see it.

    rays: (T, J, 2) detected, undistorted. score: (T, J) the detector's in (0, 1], 0 where not detected or outside the
    image. joints_cam_m: (T, J, 3) the truth. focal_px: of the camera. ground: the floor, in the camera's axes.
    """

    name: str
    camera: str
    rate_hz: float
    focal_px: float
    rays: np.ndarray
    score: np.ndarray
    joints_cam_m: np.ndarray
    ground: GroundPlane

    def __len__(self) -> int:
        return len(self.rays)

    @cached_property
    def stature_m(self) -> float:
        """Of the person, the median over the recording."""
        return float(np.median(stature_m(self.joints_cam_m)))


def film(motion: Motion, rig: str, detector: str, seed: int = 0) -> Shot:
    """Film a recording with a camera drawn from a rig (a key of RIGS) and a detector (a key of INPUTS), seeded."""
    joints_world_m = motion.joints_world_m[None]
    views = draw_views(RIGS[rig], philox(motion.name, rig, "camera", 0, seed), joints_world_m[:, :, _PELVIS])
    camera = views.camera(0)
    joints_cam_m = views.joints_cam_m(joints_world_m)
    true_px = px_from_cam(joints_cam_m, camera)
    rng = philox(motion.name, rig, detector, 0, seed)
    kpts_px, score, found = detect(detector, true_px, motion.rate_hz, rng)
    in_image = ((kpts_px >= 0) & (kpts_px <= [camera.width - 1, camera.height - 1])).all(axis=-1)
    return Shot(
        name=motion.name,
        camera=rig,
        rate_hz=motion.rate_hz,
        focal_px=float(camera.K[0, 0]),
        rays=np.asarray(rays_from_px(kpts_px, camera)[0]),
        score=np.where(found & in_image & views.inside(joints_cam_m), score, 0.0)[0],
        joints_cam_m=joints_cam_m[0],
        ground=GroundPlane(normal_cam=views.cam_from_world[0, :, 2], distance_m=float(views.position_world_m[0, 2])),
    )


@dataclass(frozen=True, kw_only=True)
class Span:
    """A clip to be made: frames start..stop of a shot under a concrete pattern, and which of them are scored."""

    shot: int
    pattern: str
    start: int
    stop: int
    scored: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """Clips one after the other; F frames in all, N of them scored.

    start, stop: (F,) flat index of the own clip's first frame and of the one behind its last. shot: (F,) index.
    rays: (F, J, 2) as handed over, garbage where not visible. score: (F, J) as handed over, 0 = not visible. hidden:
    (F, J) bool, what the detector does not truly see: missing, or given in a wrong place. given_score, given_rays:
    before the pattern. joints_cam_m: (F, J, 3) truth. scored: (N,) flat indices; pattern: (N,) what each was under.
    rate_hz: of all of them.
    """

    start: np.ndarray
    stop: np.ndarray
    shot: np.ndarray
    rays: np.ndarray
    score: np.ndarray
    hidden: np.ndarray
    given_score: np.ndarray
    given_rays: np.ndarray
    joints_cam_m: np.ndarray
    scored: np.ndarray
    pattern: np.ndarray
    rate_hz: float

    @property
    def visible(self) -> np.ndarray:
        """(F, J) bool."""
        return np.asarray(self.score > 0)

    def unhidden(self) -> Clips:
        """The same as if the pattern had hidden nothing."""
        return dataclasses.replace(self, score=self.given_score, rays=self.given_rays)


def spans(shots: Sequence[Shot], patterns: Sequence[str], max_frames: int | None, look_ahead: int = 0) -> list[Span]:
    """Which frames to score, spread evenly over all recordings in proportion to their length; the same at every call.

    patterns: concrete ones of one kind, taken in turns. look_ahead: frames behind the scored one that a clip still has.
    """
    whole = is_process(patterns[0])
    chosen = _spread([len(shot) for shot in shots], max_frames, whole)
    made: list[Span] = []
    for index, (shot, frames) in enumerate(zip(shots, chosen, strict=True)):
        if whole and len(frames):
            pattern = patterns[len(made) % len(patterns)]
            made.append(Span(shot=index, pattern=pattern, start=0, stop=len(shot), scored=tuple(frames)))
        elif not whole:
            for frame in frames:
                pattern, stop = patterns[len(made) % len(patterns)], min(frame + 1 + look_ahead, len(shot))
                start = max(0, frame + 1 - WINDOW)
                made.append(Span(shot=index, pattern=pattern, start=start, stop=stop, scored=(frame,)))
    return made


def is_process(pattern: str) -> bool:
    """Whether a pattern's window is the whole recording."""
    return pattern.partition("(")[0] in _WHOLE_RECORDING


def _spread(lengths: Sequence[int], max_frames: int | None, whole: bool) -> list[list[int]]:
    """Scored frames of each recording. Windows end where there is a whole one behind, or in the second half."""
    first = [0 if whole else min(WINDOW - 1, length // 2) for length in lengths]
    usual = sum(lengths) if whole else -(-sum(lengths) // WINDOW_STRIDE)
    wanted = usual if max_frames is None else min(sum(lengths), max_frames)
    shares = np.cumsum(lengths) * wanted // sum(lengths)  # exact whole numbers, so equal everywhere
    counts = np.minimum(np.diff(shares, prepend=0), np.subtract(lengths, first))
    return [
        [begin + (2 * step + 1) * (length - begin) // (2 * int(count)) for step in range(int(count))]
        for begin, length, count in zip(first, lengths, counts, strict=True)
    ]


def chunks(planned: Iterable[Span]) -> Iterator[list[Span]]:
    """Groups of spans that fit into memory together."""
    group: list[Span] = []
    frames = 0
    for span in planned:
        group.append(span)
        frames += span.stop - span.start
        if frames >= _CHUNK_FRAMES:
            yield group
            group, frames = [], 0
    if group:
        yield group


def make_clips(shots: Sequence[Shot], group: Sequence[Span], seed: int = 0) -> Clips:
    """Draw the masks and lay the clips into flat arrays."""
    parts = [shots[span.shot] for span in group]
    lengths = np.array([span.stop - span.start for span in group])
    first = np.cumsum(lengths) - lengths
    start = np.repeat(first, lengths)

    def joined(name: str) -> np.ndarray:
        cuts = (getattr(shot, name)[span.start : span.stop] for shot, span in zip(parts, group, strict=True))
        return np.concatenate(list(cuts))

    drawn = [_draw(shot, span, seed) for shot, span in zip(parts, group, strict=True)]
    kept, noise, doubt = (np.concatenate(each) for each in zip(*drawn, strict=True))
    rays, given = joined("rays"), joined("score")
    wrong = ~kept & np.repeat([span.pattern.startswith("hallucinate") for span in group], lengths)[:, None]
    score = np.where(wrong & (given > 0), doubt, np.where(kept, given, 0.0))
    visible = score > 0
    focal_px = np.repeat([shot.focal_px for shot in parts], lengths)[:, None, None]
    handed = np.where((visible & wrong)[..., None], rays + _HALLUCINATION_SD * box_size(rays) * noise, rays)
    last_value = np.take_along_axis(rays, np.maximum(last_seen(~visible, start), start[:, None])[..., None], axis=0)
    return Clips(
        start=start,
        stop=start + np.repeat(lengths, lengths),
        shot=np.repeat([span.shot for span in group], lengths),
        rays=np.where(visible[..., None], handed, last_value + _GARBAGE_PX / focal_px * noise),
        score=score,
        hidden=~((given > 0) & kept),
        given_score=given,
        given_rays=rays,
        joints_cam_m=joined("joints_cam_m"),
        scored=np.concatenate([np.array(s.scored) - s.start + f for s, f in zip(group, first, strict=True)]),
        pattern=np.repeat([span.pattern for span in group], [len(span.scored) for span in group]),
        rate_hz=parts[0].rate_hz,
    )


def _draw(shot: Shot, span: Span, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A clip's mask (T, J), True = not hidden by the pattern; unit noise (T, J, 2), scores (T, J) for wrong joints."""
    rng = philox(shot.name, shot.camera, span.pattern, span.start, seed)
    # Look-ahead frames repeat the last mask.
    behind = 0 if is_process(span.pattern) else span.stop - 1 - span.scored[-1]
    frames = span.stop - span.start
    mask = visible_mask(span.pattern, frames - behind, shot.rate_hz, rng)
    noise = rng.standard_normal((frames, *mask.shape[1:], 2))
    doubt = rng.uniform(*_HALLUCINATION_SCORE, size=noise.shape[:-1])
    return np.pad(mask, ((0, behind), (0, 0)), mode="edge"), noise, doubt


def last_seen(hidden: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Flat index of the last frame, up to and with each one, in which a joint was not hidden, -1 for none in its clip.

    hidden: (F, J) bool. start: (F,) first frame of the own clip. Returns (F, J) int64.
    """
    frame = np.arange(len(hidden))[:, None]
    last = np.maximum.accumulate(np.where(hidden, -1, frame), axis=0)
    return np.where(last >= start[:, None], last, -1)
