"""PosePipeline: from 2D keypoints, message by message, to 3D skeletons. The only object of occpose that remembers.

A step admits people, gives names to those who have none, lifts all of them in one batch, scales them to their height,
places them on their rays, smooths them, and keeps the hidden alive by prediction until they are lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from occpose_core.admission import Seen, admit, count
from occpose_core.camera import CameraView, PersonView, px_from_rays, rays_from_cam
from occpose_core.errors import OccposeError
from occpose_core.geometry import place_root, stature_m
from occpose_core.identities import Identities
from occpose_core.person import People
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.refocusing import refocus, refocused
from occpose_core.runtime.engine import DEFAULT_SIGMA_M, FRAME_S, views_for
from occpose_core.scale import Placed, check_heights, heights, known_heights_m, network_stature_m, observe
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, GroundPlane, Keypoints2D, Origin, ScaleSource, Skeleton3D, State

if TYPE_CHECKING:
    from occpose_core.runtime import Engine, Lifted

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

    engine: a lifter for h36m17. config: may be replaced between steps. own_prefix: of the ids of people whom the
    detector gives none; processes that follow each other should have different ones. Raises PipelineError.
    """

    def __init__(self, engine: Engine, config: PipelineConfig | None = None, own_prefix: str = "t") -> None:
        info = engine.info
        if info.layout != H36M17.name:
            raise PipelineError(f"model {info.name!r} has layout {info.layout!r}: choose a model of {H36M17.name}")
        if not info.lifts:
            raise PipelineError(f"model {info.name!r} gives no 3D joints: choose a lifter")
        if info.look_ahead_s > 0:
            raise PipelineError(
                f"model {info.name!r} answers {info.look_ahead_s:g} s late: choose one without look-ahead"
            )
        self.config = config or PipelineConfig()
        self._engine = engine
        self._identities = Identities(own_prefix)
        self._published: tuple[str, ...] = ()
        self.reset()

    def reset(self) -> None:
        """Forget everybody and the time; own ids given so far are not given again."""
        self._identities.reset()
        info = self._engine.info
        # A network that remembers where hidden joints were needs nobody else to do so.
        self._people = People(info.frames, info.state_size, fuse=not info.remembers, smooth=not info.remembers)
        self._stamp_ns: int | None = None
        self._camera: Camera | None = None

    def step(
        self,
        people: Sequence[Keypoints2D],
        stamp_ns: int,
        camera: Camera,
        ground: GroundPlane | None = None,
        heights_m: Mapping[str, float] = MappingProxyType({}),
    ) -> PipelineOutput:
        """Take the people of one image and answer with the skeletons of all who are seen or held.

        people: in h36m17, pixels of `camera`. stamp_ns: of the image. ground: the plane that people stand on, if it is
        known. heights_m: known statures by the id that goes out; they come before the setting for everybody, and that
        before the ground. Raises PeopleError if somebody has not 17 joints, ScaleError if a height makes no sense.
        """
        check_heights(heights_m)
        reset, ahead_s = False, FRAME_S
        if self._stamp_ns is not None:
            ahead_s = (stamp_ns - self._stamp_ns) * 1e-9
            moved = self._camera is not None and camera.frame_id != self._camera.frame_id
            reset = ahead_s < -self.config.backward_reset_s or moved
            if reset:
                self.reset()
            elif ahead_s <= 0:
                reason = "out_of_order" if ahead_s < 0 else "duplicate_stamp"
                return PipelineOutput(stamp_ns=stamp_ns, dropped={reason: 1}, answered=False)
        dropped: Counter[str] = Counter()
        ids, seen = admit(people, self.config, camera, dropped)
        if self._camera not in (None, camera) and refocused(self._camera, camera):
            refocus(self._people, self._camera, camera, seen)
        self._stamp_ns, self._camera = stamp_ns, camera
        self._people.keep(self._people.since_s(stamp_ns) <= self.config.gap_s)
        seen = self._identities.on_rows(ids, seen, self._people, stamp_ns, self.config, dropped)
        known_m = known_heights_m(self._people.ids, self.config.target_height_m, heights_m)
        self._people.scale_to(heights(self._people.rows["size"], known_m))
        self._people.push(seen.rays, seen.score)
        filled_rays = self._lift(seen, stamp_ns, ahead_s, ground, dropped)
        skeletons = self._skeletons(seen, filled_rays, stamp_ns, camera)
        self._people.keep(self._people.rows["started"])
        now = tuple(skeleton.id for skeleton in skeletons)
        lost = tuple(name for name in self._published if name not in now)
        self._published = now
        return PipelineOutput(stamp_ns=stamp_ns, skeletons=skeletons, lost_ids=lost, dropped=dict(dropped), reset=reset)

    def _lift(
        self,
        seen: Seen,
        stamp_ns: int,
        ahead_s: float,
        ground: GroundPlane | None,
        dropped: Counter[str],
    ) -> np.ndarray | None:
        """Run the network for all of whom it can tell and update their rows; its 2D pose as rays (N, J, 2), if any.

        ahead_s: since the step before.
        """
        people, info, enough = self._people, self._engine.info, seen.enough(self.config)
        asked = enough | info.remembers
        rows = asked.nonzero()[0]
        if info.streaming and not asked.all():
            self._ask((~asked).nonzero()[0], ahead_s)  # the time of those who hide goes on too
        if not len(rows):
            return None
        view, lifted = self._ask(rows, ahead_s)
        assert lifted.joints_root_m is not None  # __init__ has refused other models
        finite = _finite(lifted)
        joints = view.to_cam(np.where(finite[:, None, None], lifted.joints_root_m, 0.0))
        sigma = np.where(seen.visible[rows], *DEFAULT_SIGMA_M) if lifted.sigma_m is None else lifted.sigma_m
        usable = finite & (stature_m(joints) > _SMALLEST_STATURE_M)
        if not usable.all():
            count(dropped, "non_finite", ~usable)
            people.restart(rows[~usable])
        placed = usable & enough[rows]
        self._place(rows[placed], joints[placed], sigma[placed], seen, stamp_ns, ground, dropped)
        hidden = usable & ~enough[rows]
        if hidden.any():
            self._predict(rows[hidden], joints[hidden], sigma[hidden], seen, stamp_ns)
        if lifted.filled is None:
            return None
        filled = np.where(usable[:, None, None], lifted.filled, 0.0)
        filled_rays = np.zeros_like(seen.rays)
        filled_rays[rows] = view.rays(filled)
        return filled_rays

    def _ask(self, rows: np.ndarray, ahead_s: float) -> tuple[PersonView | CameraView, Lifted]:
        """Run the network for some people, and keep what it wants to remember; its answers and their views."""
        people = self._people.rows
        rays, score = people["rays"][rows], people["score"][rows]
        visible = score > 0
        views = views_for(self._engine.info, rays, visible)
        kpts = np.where(visible[..., None], views.normalise(rays), np.float32(0))
        if self._engine.info.streaming:
            # rows are stepped together, so that all have the same time; newcomers have none, whenever they come
            dt_s = np.where(people["started"][rows], ahead_s, FRAME_S).astype(np.float32)
            lifted = self._engine.run(kpts, score, people["state"][rows], False, dt_s)
            people["state"][rows] = lifted.state
        else:
            lifted = self._engine.run(kpts, score)
        return views.at(-1), lifted

    def _place(
        self,
        rows: np.ndarray,
        joints_root: np.ndarray,
        sigma: np.ndarray,
        seen: Seen,
        stamp_ns: int,
        ground: GroundPlane | None,
        dropped: Counter[str],
    ) -> None:
        """Place poses (R, J, 3) with sigmas (R, J), as the network has them, scale them and take them into rows."""
        people, config = self._people, self.config
        root, placed = place_root(joints_root, seen.rays[rows], seen.score[rows])
        count(dropped, "not_placed", ~placed)
        rows = rows[placed]
        poses = Placed(
            joints_root=joints_root[placed],
            root=root[placed],
            sigma=sigma[placed],
            rays=seen.rays[rows],
            visible=seen.visible[rows],
        )
        since_s = people.since_s(stamp_ns)[rows]
        dt_s = np.where(np.isfinite(since_s), since_s, FRAME_S)
        gain = self._engine.info.stature_gain
        size = observe(people.rows["size"][rows], poses, ground, dt_s, config.stature_time_s, gain)
        scale = people.rows["height_m"][rows] / network_stature_m(size)
        people.update(
            rows,
            stamp_ns,
            config,
            joints_root_m=poses.joints_root * scale[:, None, None],
            root_cam_m=poses.root * scale[:, None],
            sigma_m=poses.sigma * scale[:, None],
            size=size,
            visible=poses.visible,
        )

    def _predict(self, rows: np.ndarray, joints_root: np.ndarray, sigma: np.ndarray, seen: Seen, stamp_ns: int) -> None:
        """Take the network's answer for people who show too little to be placed; their size and way stay the same."""
        scale = self._people.rows["height_m"][rows] / network_stature_m(self._people.rows["size"][rows])
        self._people.predict(
            rows,
            stamp_ns,
            self.config,
            joints_root_m=joints_root * scale[:, None, None],
            sigma_m=sigma * scale[:, None],
            visible=seen.visible[rows],
        )

    def _skeletons(
        self, seen: Seen, filled_rays: np.ndarray | None, stamp_ns: int, camera: Camera
    ) -> tuple[Skeleton3D, ...]:
        """Everybody who is seen now or was within hold_s."""
        people, config = self._people, self.config
        since_s = people.since_s(stamp_ns)
        joints = people.pose_cam_m(since_s, config.velocity_time_s)[1]
        grown = config.hold_growth_mps * np.minimum(since_s, config.hold_s)
        sigma = np.hypot(people.rows["sigma_m"], grown[:, None])
        rays = rays_from_cam(joints)
        if filled_rays is not None:
            # of a person who is hidden entirely the network does not know how the root moves on
            placed = (people.rows["answered_ns"] == stamp_ns) & seen.visible.any(axis=-1)
            rays = np.where(placed[:, None, None], filled_rays, rays)
        px = np.where(seen.visible[..., None], seen.xy_px, px_from_rays(rays, camera)).astype(np.float32)
        origin = np.full(sigma.shape, Origin.FILLED.value, dtype=np.uint8)
        origin[seen.visible] = Origin.MEASURED
        origin[sigma > config.unknown_sigma_m] = Origin.UNKNOWN
        joints, sigma = joints.astype(np.float32), sigma.astype(np.float32)
        height_m, metric, source = (people.rows[name].tolist() for name in ("height_m", "metric", "source"))
        return tuple(
            Skeleton3D(
                id=people.ids[row],
                state=State.TRACKED if since_s[row] == 0 else State.OCCLUDED,
                joints_cam_m=joints[row],
                sigma_m=sigma[row],
                origin=origin[row],
                kpts_px=px[row],
                height_m=height_m[row],
                metric=metric[row],
                scale_source=ScaleSource(source[row]),
            )
            for row in (since_s <= config.hold_s).nonzero()[0]
        )


def _finite(lifted: Lifted) -> np.ndarray:
    """(B,) bool: whether all that the network says and keeps of a person is finite, and no sigma negative."""
    answers = [lifted.joints_root_m, lifted.sigma_m, lifted.filled, lifted.state]
    values = np.concatenate([x.reshape(len(x), -1) for x in answers if x is not None], axis=-1)
    finite = np.isfinite(values).all(axis=-1)
    return np.asarray(finite if lifted.sigma_m is None else finite & (lifted.sigma_m >= 0).all(axis=-1))
