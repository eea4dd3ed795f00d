"""What the pipeline remembers of people: a row each of one structured array, so that one more costs a step little."""

from __future__ import annotations

import sys

import numpy as np

from occpose_core.fusion import bone_vectors, fuse, measured_bones
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.scale import SIZE, Heights, remembered
from occpose_core.skeleton import H36M17
from occpose_core.smoothing import OneEuro, filtered

_J = len(H36M17.joints)
_FRAME_S = 1 / 30
_MOST_GONE = 1000  # of whom the stature is remembered


class People:
    """N people: their unique `ids`, and `rows` (N,) with the fields below.

    fuse: whether to join the bones of hidden joints with those last measured. smooth: whether to smooth poses.

    rays (T, J, 2), score (T, J): the network's window in the camera frame, newest frame last; score 0 = not visible
    state (S,): what a streaming network keeps, zeros for a person without a past
    started: whether a frame has been lifted; if not, the fields below mean nothing
    measured_ns: stamp of the last lifted frame; lifted: how many there are
    answered_ns: stamp of the last pose, which a network that remembers gives for hidden people, too
    ray, log_depth: filter states of the root's place, as x / z, y / z and log z; placed: whether they have a past
    joints: filter state of the root-relative pose (J, 3), m, camera axes; only its answer if poses are not smoothed
    bone (J, 3), bone_sigma_m, bone_seen, bone_ns (J,): each joint relative to its parent when both were last measured,
        how sure that was, whether and when; only if bones are joined
    sigma_m (J,): of the last pose
    size: what is known of the person's size (scale.SIZE); height_m, source, metric: the stature that all of the above
        is scaled to, where from (ScaleSource), and whether it is to be relied on
    """

    def __init__(self, window: int, state_size: int = 0, fuse: bool = True, smooth: bool = True) -> None:
        self._fuse, self._smooth = fuse, smooth
        self.ids: list[str] = []
        self._gone: dict[str, np.ndarray] = {}  # sizes of people who are not here, the last to leave last
        self.rows = np.zeros(
            0,
            dtype=[
                ("rays", np.float64, (window, _J, 2)),
                ("score", np.float32, (window, _J)),
                ("state", np.float32, (state_size,)),
                ("started", bool),
                ("measured_ns", np.int64),
                ("answered_ns", np.int64),
                ("lifted", np.int64),
                ("ray", filtered(2)),
                ("log_depth", filtered(1)),
                ("placed", bool),
                ("joints", filtered(_J, 3)),
                ("bone", np.float64, (_J, 3)),
                ("bone_sigma_m", np.float64, (_J,)),
                ("bone_seen", bool, (_J,)),
                ("bone_ns", np.int64, (_J,)),
                ("sigma_m", np.float64, (_J,)),
                ("size", SIZE),
                ("height_m", np.float64),
                ("source", np.uint8),
                ("metric", bool),
            ],
        )

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: list[str]) -> None:
        """Append rows without a past, but for the statures of those who were here before."""
        if ids:
            new = np.zeros(len(ids), dtype=self.rows.dtype)
            for row, name in enumerate(ids):
                if name in self._gone:
                    new["size"][row] = remembered(self._gone.pop(name))
            self.ids = self.ids + ids
            self.rows = np.concatenate([self.rows, new])

    def keep(self, which: np.ndarray) -> None:
        """Drop all rows but those where `which` (N,) bool is True."""
        if not which.all():
            for row in np.flatnonzero(~which & (self.rows["size"]["ground_s"] > 0)):
                self._gone[self.ids[row]] = self.rows["size"][row].copy()
            for name in list(self._gone)[:-_MOST_GONE]:
                del self._gone[name]
            self.ids = [name for name, kept in zip(self.ids, which, strict=True) if kept]
            self.rows = self.rows[which]

    def restart(self, which: np.ndarray) -> None:
        """Forget the past of the rows that an index array or a mask gives; they keep their ids."""
        self.rows[which] = np.zeros((), dtype=self.rows.dtype)

    def push(self, rays: np.ndarray, score: np.ndarray) -> None:
        """Append a frame to all windows: rays (N, J, 2), score (N, J). A row not started is filled with it."""
        fresh = ~self.rows["started"]
        for window, frame in ((self.rows["rays"], rays), (self.rows["score"], score)):
            window[:, :-1] = window[:, 1:]
            window[:, -1] = frame
            window[fresh] = frame[fresh, None]

    def since_s(self, stamp_ns: int) -> np.ndarray:
        """(N,) seconds since the last lifted frame; inf for rows not started."""
        return np.where(self.rows["started"], (stamp_ns - self.rows["measured_ns"]) * 1e-9, np.inf)

    def pose_cam_m(self, since_s: np.ndarray, velocity_time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Roots (N, 3) and joints (N, J, 3), if the root's velocity fades with velocity_time_s since the last frame."""
        ahead_s = velocity_time_s * (1.0 - np.exp(-since_s[:, None] / velocity_time_s))
        ray, log_depth = (
            state["answer"] + state["rate"] * ahead_s for state in (self.rows["ray"], self.rows["log_depth"])
        )
        depth = np.exp(log_depth)
        root = np.concatenate([depth * ray, depth], axis=-1)
        return root, self.rows["joints"]["answer"] + root[:, None]

    def scale_to(self, heights: Heights) -> None:
        """Take everybody to have these statures (N,): all places and poses are blown up or down about the camera.

        So the filters see nobody move when a stature changes.
        """
        rows = self.rows
        before_m = np.where(rows["started"], rows["height_m"], heights.height_m)
        rows["height_m"], rows["source"], rows["metric"] = heights.height_m, heights.source, heights.metric
        if (before_m == heights.height_m).all():
            return
        ratio = heights.height_m / before_m
        for name in ("sample", "answer"):
            rows["log_depth"][name] += np.log(ratio)[:, None]
        for name in ("sample", "answer", "rate"):
            rows["joints"][name] *= ratio[:, None, None]
        rows["bone"] *= ratio[:, None, None]
        rows["bone_sigma_m"] *= ratio[:, None]
        rows["sigma_m"] *= ratio[:, None]

    def update(
        self,
        which: np.ndarray,
        stamp_ns: int,
        config: PipelineConfig,
        *,
        joints_root_m: np.ndarray,
        root_cam_m: np.ndarray,
        sigma_m: np.ndarray,
        size: np.ndarray,
        visible: np.ndarray,
    ) -> None:
        """Take a lifted frame into R rows: (R, J, 3), (R, 3), (R, J), (R,) of SIZE and (R, J).

        The root is smoothed as a ray and a distance: the ray is measured far better, and so stays free of the noise of
        the distance. An arm says little about distance: there the old one counts more.
        """
        euro = OneEuro(min_cutoff_hz=config.min_cutoff_hz, beta=config.beta)
        rows, depth = self.rows, root_cam_m[:, 2]
        dt_s = np.where(rows["placed"][which], self.since_s(stamp_ns)[which], np.inf)
        joints_root_m, sigma_m = self._pose(which, stamp_ns, config, joints_root_m, sigma_m, visible)
        ray, log_depth = root_cam_m[:, :2] / depth[:, None], np.log(depth)[:, None]
        past = rows["log_depth"][which]
        gain = _depth_gain(joints_root_m, visible, dt_s)[:, None]
        log_depth = past["answer"] + gain * (log_depth - past["answer"])
        rows["log_depth"][which] = euro.step(log_depth, past, dt_s, config.depth_trust, unit_m=depth)
        rows["ray"][which] = euro.step(ray, rows["ray"][which], dt_s, unit_m=depth)
        if self._fuse:
            row, joint = np.nonzero(measured_bones(visible))
            measured = which[row], joint
            rows["bone"][measured] = bone_vectors(rows["joints"]["answer"][which])[row, joint]
            rows["bone_sigma_m"][measured] = sigma_m[row, joint]
            rows["bone_ns"][measured], rows["bone_seen"][measured] = stamp_ns, True
        rows["size"][which], rows["measured_ns"][which] = size, stamp_ns
        rows["started"][which] = rows["placed"][which] = True
        rows["lifted"][which] += 1

    def predict(
        self,
        which: np.ndarray,
        stamp_ns: int,
        config: PipelineConfig,
        *,
        joints_root_m: np.ndarray,
        sigma_m: np.ndarray,
        visible: np.ndarray,
    ) -> None:
        """Take poses (R, J, 3) with sigmas (R, J) of hidden people into their rows; visible: (R, J)."""
        self._pose(which, stamp_ns, config, joints_root_m, sigma_m, visible)

    def _pose(
        self,
        which: np.ndarray,
        stamp_ns: int,
        config: PipelineConfig,
        joints_root_m: np.ndarray,
        sigma_m: np.ndarray,
        visible: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fuse and smooth poses into rows; returns them as they are before smoothing, and their sigmas."""
        rows = self.rows
        if self._fuse:
            moved_m = config.hold_growth_mps * (stamp_ns - rows["bone_ns"][which]) * 1e-9
            held_sigma_m = np.where(rows["bone_seen"][which], np.hypot(rows["bone_sigma_m"][which], moved_m), np.inf)
            joints_root_m, sigma_m = fuse(joints_root_m, sigma_m, visible, rows["bone"][which], held_sigma_m)
        if self._smooth:
            euro = OneEuro(min_cutoff_hz=config.min_cutoff_hz, beta=config.beta)
            dt_s = np.where(rows["started"], (stamp_ns - rows["answered_ns"]) * 1e-9, np.inf)[which]
            trust = np.where(visible, 1.0, config.filled_trust)
            rows["joints"][which] = euro.step(joints_root_m, rows["joints"][which], dt_s[:, None], trust)
        else:
            rows["joints"]["answer"][which] = joints_root_m
        rows["sigma_m"][which], rows["answered_ns"][which] = sigma_m, stamp_ns
        return joints_root_m, sigma_m


def _depth_gain(joints_root_m: np.ndarray, visible: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
    """(R,) in [0, 1], how far to follow a new distance that comes from the visible joints of (R, J, 3).

    The variance of a distance is inverse to the squares by which the visible joints spread across the view. From half
    of the whole body's on it is followed at once; below, the less the smaller, and the more the longer ago the last.
    """
    xy = joints_root_m[..., :2]
    weight = np.ones((2, *visible.shape))  # of the joints that are seen, and of the whole body's
    weight[0] = visible
    centre = weight[..., None, :] @ xy / np.maximum(weight.sum(axis=-1), 1.0)[..., None, None]
    seen, whole = (weight * ((xy - centre) ** 2).sum(axis=-1)).sum(axis=-1)
    trust = np.minimum(2.0 * seen / np.maximum(whole, sys.float_info.min), 1.0) ** 2
    return np.asarray(1.0 - (1.0 - trust) ** (dt_s / _FRAME_S))
