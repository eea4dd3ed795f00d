"""PosePipeline: from 2D keypoints, message by message, to 3D skeletons. The only object of occpose that remembers.

A step admits people, gives names to those who have none, lifts all of them in one batch, scales them to their height,
places them on their rays, smooths them, and keeps the hidden alive by prediction until they are lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from occpose_core.admission import Seen, admit, count
from occpose_core.camera import px_from_cam, px_from_rays, rays_from_cam, view_of
from occpose_core.errors import OccposeError
from occpose_core.geometry import place_root, stature_m
from occpose_core.person import People
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M, PipelineConfig
from occpose_core.skeleton import H36M17
from occpose_core.tracking import Tracker
from occpose_core.types import Camera, Keypoints2D, Origin, Skeleton3D, State

if TYPE_CHECKING:
    from occpose_core.runtime import Engine, Lifted

# One sigma of measured and of filled joints where the network gives none: what single-frame lifters publish on their
# own data (5 cm), and three times that for what they have not seen.
_DEFAULT_SIGMA_M = (0.05, 0.15)
_SMALLEST_STATURE_M = 0.1  # a network that answers with less has collapsed


class PipelineError(OccposeError):
    """The engine does not fit the pipeline."""


@dataclass(frozen=True, kw_only=True)
class PipelineOutput:
    """What one step has to say.

    lost_ids: people of the last answer who are not in this one. dropped: reason -> count, of this step. reset: the past
    was forgotten because time went back or the camera frame changed. answered: False if the whole message was dropped;
    then there is nothing to publish.
    """

    stamp_ns: int
    skeletons: tuple[Skeleton3D, ...] = ()
    lost_ids: tuple[str, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    reset: bool = False
    answered: bool = True


class PosePipeline:
    """Completes and lifts people; one instance per camera.

    engine: a lifter for h36m17. config: may be replaced between steps. Raises PipelineError.
    """

    def __init__(self, engine: Engine, config: PipelineConfig | None = None) -> None:
        if engine.info.layout != H36M17.name:
            raise PipelineError(
                f"model {engine.info.name!r} works on layout {engine.info.layout!r}, the pipeline on {H36M17.name!r}:"
                " choose a model of that layout"
            )
        self.config = config or PipelineConfig()
        self._engine = engine
        self._tracker = Tracker()
        self._published: tuple[str, ...] = ()
        self.reset()

    def reset(self) -> None:
        """Forget everybody and the time; ids given so far are not given again."""
        self._tracker.reset()
        self._people = People.nobody(self._engine.info.window)
        self._stamp_ns: int | None = None
        self._frame_id = ""

    def step(self, people: Sequence[Keypoints2D], stamp_ns: int, camera: Camera) -> PipelineOutput:
        """Take the people of one image and answer with the skeletons of all who are seen or held.

        people: in h36m17, pixels of `camera`. stamp_ns: of the image. Raises PeopleError if somebody has not 17 joints.
        """
        reset = False
        if self._stamp_ns is not None:
            ahead_s = (stamp_ns - self._stamp_ns) * 1e-9
            reset = ahead_s < -self.config.backward_reset_s or camera.frame_id != self._frame_id
            if reset:
                self.reset()
            elif ahead_s <= 0:
                reason = "out_of_order" if ahead_s < 0 else "duplicate_stamp"
                return PipelineOutput(stamp_ns=stamp_ns, dropped={reason: 1}, answered=False)
        dropped: Counter[str] = Counter()
        ids, seen = admit(people, self.config, camera, dropped)
        self._stamp_ns, self._frame_id = stamp_ns, camera.frame_id
        self._people.keep(self._people.since_s(stamp_ns) <= self.config.gap_s)
        seen = self._give_rows(ids, seen, stamp_ns, dropped)
        self._forget_jumpers(seen, stamp_ns, dropped)
        self._people.push(seen.rays, seen.visible)
        filled_px = self._lift(seen, stamp_ns, camera, dropped)
        skeletons = self._skeletons(seen, filled_px, stamp_ns, camera)
        self._people.keep(self._people.started)
        now = tuple(skeleton.id for skeleton in skeletons)
        lost = tuple(name for name in self._published if name not in now)
        self._published = now
        return PipelineOutput(stamp_ns=stamp_ns, skeletons=skeletons, lost_ids=lost, dropped=dict(dropped), reset=reset)

    def _enough(self, seen: Seen) -> np.ndarray:
        return np.asarray(seen.visible.sum(axis=-1) >= self.config.min_visible_joints)

    def _give_rows(self, ids: list[str], seen: Seen, stamp_ns: int, dropped: Counter[str]) -> Seen:
        """Name the nameless, add rows for newcomers, and sort what is seen by rows."""
        nameless = np.flatnonzero([not name for name in ids])
        given = self._tracker.assign(
            seen.rays[nameless],
            seen.visible[nameless],
            stamp_ns,
            min_joints=self.config.min_visible_joints,
            ttl_s=self.config.gap_s,
            taken=set(ids),
        )
        for person, name in zip(nameless, given, strict=True):
            ids[person] = name
        known = set(self._people.ids)
        enough = self._enough(seen)
        self._people.add([name for name, lift in zip(ids, enough, strict=True) if lift and name not in known])
        row_of = {name: row for row, name in enumerate(self._people.ids)}
        rows = np.array([row_of.get(name, -1) for name in ids], dtype=np.int64)
        count(dropped, "too_few_joints", (rows < 0).sum())
        return seen.on_rows(rows, len(self._people))

    def _forget_jumpers(self, seen: Seen, stamp_ns: int, dropped: Counter[str]) -> None:
        """Start anew the rows whose joints are where that person cannot be: the id has gone to somebody else."""
        people = self._people
        root = people.predict_root(stamp_ns, self.config.velocity_time_s)
        away = np.linalg.norm(seen.rays - rays_from_cam(people.joints_root_m + root[:, None]), axis=-1)
        away_m = np.sort(np.where(seen.visible, away * root[:, 2:], np.inf))
        median_m = away_m[np.arange(len(people)), np.maximum(seen.visible.sum(axis=-1) - 1, 0) // 2]
        far_m = self.config.jump_m + self.config.jump_mps * people.since_s(stamp_ns)
        jumped = people.started & self._enough(seen) & (median_m > far_m)
        count(dropped, "pose_jump", jumped.sum())
        people.restart(np.flatnonzero(jumped))

    def _lift(self, seen: Seen, stamp_ns: int, camera: Camera, dropped: Counter[str]) -> np.ndarray | None:
        """Run the network for all who show enough and update their rows; returns its 2D pose (N, J, 2) px, if any."""
        people, config = self._people, self.config
        rows = np.flatnonzero(self._enough(seen))
        if not len(rows):
            return None
        view = view_of(people.rays[rows], people.visible[rows])
        visible = people.visible[rows]
        kpts = np.where(visible[..., None], view.normalise(people.rays[rows]), np.float32(0))
        lifted = self._engine.run(kpts, visible.astype(np.float32))
        joints = view.to_cam(lifted.joints_root_m.astype(np.float64))
        stature = stature_m(joints)
        usable = _finite(lifted) & (stature > _SMALLEST_STATURE_M)
        count(dropped, "non_finite", (~usable).sum())
        people.restart(rows[~usable])
        filled_px = None
        if lifted.filled is not None:
            filled_px = np.zeros_like(seen.rays)
            filled_px[rows[usable]] = px_from_rays(view.rays(lifted.filled[:, None])[usable, 0], camera)
        sigma = np.where(seen.visible[rows], *_DEFAULT_SIGMA_M) if lifted.sigma_m is None else lifted.sigma_m
        rows, joints, sigma, stature = rows[usable], joints[usable], sigma[usable], stature[usable]
        stature = people.average_stature(rows, stature, stamp_ns, config.stature_time_s)
        scale = (config.target_height_m or ASSUMED_HEIGHT_M) / stature
        joints = joints * scale[:, None, None]
        root, placed = place_root(joints, seen.rays[rows], seen.score[rows])
        count(dropped, "not_placed", (~placed).sum())
        rows = rows[placed]
        people.smooth(rows, joints[placed], root[placed], seen.visible[rows], stamp_ns, config)
        people.sigma_m[rows] = (sigma * scale[:, None])[placed]
        people.stature_m[rows] = stature[placed]
        people.lifted[rows] += 1
        people.measured_ns[rows] = stamp_ns
        people.started[rows] = True
        return filled_px

    def _skeletons(
        self, seen: Seen, filled_px: np.ndarray | None, stamp_ns: int, camera: Camera
    ) -> tuple[Skeleton3D, ...]:
        """Everybody who is seen now or was within hold_s."""
        people, config = self._people, self.config
        since_s = people.since_s(stamp_ns)
        root = people.predict_root(stamp_ns, config.velocity_time_s)
        joints = (people.joints_root_m + root[:, None]).astype(np.float32)
        grown = config.hold_growth_mps * np.where(people.started, since_s, 0.0)
        sigma = np.hypot(people.sigma_m, grown[:, None]).astype(np.float32)
        px = px_from_cam(joints, camera)
        if filled_px is not None:
            px = np.where((since_s == 0)[:, None, None], filled_px, px)
        px = np.where(seen.visible[..., None], seen.xy_px, px.astype(np.float32))
        origin = np.where(seen.visible, Origin.MEASURED, Origin.FILLED).astype(np.uint8)
        origin[sigma > config.unknown_sigma_m] = Origin.UNKNOWN
        return tuple(
            Skeleton3D(
                id=people.ids[row],
                state=State.TRACKED if since_s[row] == 0 else State.OCCLUDED,
                joints_cam_m=joints[row],
                sigma_m=sigma[row],
                origin=origin[row],
                kpts_px=px[row],
                height_m=config.target_height_m or ASSUMED_HEIGHT_M,
                metric=config.target_height_m is not None,
            )
            for row in np.flatnonzero(since_s <= config.hold_s)
        )


def _finite(lifted: Lifted) -> np.ndarray:
    """(B,) bool: whether all that the network says of a person is finite, and no sigma negative."""
    answers = [lifted.joints_root_m, lifted.sigma_m, lifted.filled]
    finite = [np.isfinite(x).reshape(len(x), -1).all(axis=-1) for x in answers if x is not None]
    if lifted.sigma_m is not None:
        finite.append((lifted.sigma_m >= 0).all(axis=-1))
    return np.asarray(np.logical_and.reduce(finite))
