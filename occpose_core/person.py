"""What the pipeline remembers of people: a row each of one structured array, so that one more costs a step little."""

from __future__ import annotations

import sys
from typing import TypeAlias

import numpy as np

from occpose_core.fusion import bone_vectors, fuse, measured_bones
from occpose_core.geometry import squared_lengths
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M, PipelineConfig
from occpose_core.scale import SIZE, Heights, remembered
from occpose_core.skeleton import H36M17
from occpose_core.smoothing import OneEuro, filtered

_J = len(H36M17.joints)
_FRAME_S = 1 / 30
_MOST_GONE = 1000  # of whom the stature is remembered

Rows: TypeAlias = slice | np.ndarray  # some rows, by their indices; or all of them, as slice(None)


def rows_where(which: np.ndarray) -> Rows:
    """The rows where `which` (N,) bool is True: for all a slice, which NumPy takes as a view, without a copy."""
    return slice(None) if np.count_nonzero(which) == len(which) else which.nonzero()[0]


class People:
    """N people: their unique `ids`; `rows` (N,) with the fields below; and the image that a step is about.

    stamp_ns: of that image. since_s: (N,) seconds since the last lifted frame; inf for rows not started. newcomers: the
    rows that were added since `advance`.
    fuse: whether to join the bones of hidden joints with those last measured. smooth: whether to smooth poses.

    rays (T, J, 2), score (T, J): the network's window in the camera frame, newest frame last; score 0 = not visible
    state (S,): what a streaming network keeps, zeros for a person without a past
    started: whether a frame has been lifted; if not, the fields below mean nothing
    measured_ns: stamp of the last lifted frame
    answered_ns: stamp of the last pose, which a network that remembers gives for hidden people, too
    place: filter state of the root's place as two vectors, (x / z, y / z) and (log z, 0), for each has a speed of its
        own; placed: whether it has a past
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
        self.stamp_ns, self.since_s, self.newcomers = 0, np.zeros(0), slice(None)
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
                ("place", filtered(2, 2)),
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

    @property
    def ray(self) -> np.ndarray:
        """(N, 2), to be read and written: the root's x / z and y / z."""
        return np.asarray(self.rows["place"]["answer"][:, 0])

    @property
    def log_depth(self) -> np.ndarray:
        """(N,), to be read and written: log of the root's z, m."""
        return np.asarray(self.rows["place"]["answer"][:, 1, 0])

    @property
    def all_assumed(self) -> bool:
        """Whether everybody's stature is assumed, and the ground has told nothing of anybody's."""
        return not (np.count_nonzero(self.rows["source"]) or np.count_nonzero(self.rows["size"]["ground_s"]))

    def advance(self, stamp_ns: int, gap_s: float) -> None:
        """Go on to the image of that stamp, without those who have not been lifted for gap_s."""
        self.stamp_ns = stamp_ns
        self.keep(self.rows["started"])  # the others are left by a step that failed
        self.since_s = (stamp_ns - self.rows["measured_ns"]) * 1e-9
        self.keep(self.since_s <= gap_s)
        self.newcomers = slice(len(self), None)

    def add(self, ids: list[str]) -> None:
        """Append rows without a past, but for the statures of those who were here before."""
        if ids:
            new = np.zeros(len(ids), dtype=self.rows.dtype)
            new["height_m"] = ASSUMED_HEIGHT_M
            for row, name in enumerate(ids):
                if name in self._gone:
                    new["size"][row] = remembered(self._gone.pop(name))
            self.ids = self.ids + ids
            self.rows = np.concatenate([self.rows, new])
            self.since_s = np.append(self.since_s, np.full(len(ids), np.inf))

    def keep(self, which: np.ndarray) -> None:
        """Drop all rows but those where `which` (N,) bool is True."""
        if np.count_nonzero(which) < len(which):
            for row in np.flatnonzero(~which & (self.rows["size"]["ground_s"] > 0)):
                self._gone[self.ids[row]] = self.rows["size"][row].copy()
            for name in list(self._gone)[:-_MOST_GONE]:
                del self._gone[name]
            self.ids = [name for name, kept in zip(self.ids, which, strict=True) if kept]
            self.rows, self.since_s = self.rows[which], self.since_s[which]

    def restart(self, which: np.ndarray) -> None:
        """Forget the past of the rows that an index array or a mask gives; they keep their ids."""
        self.rows[which] = np.zeros((), dtype=self.rows.dtype)
        self.since_s[which] = np.inf

    def push(self, rays: np.ndarray, score: np.ndarray) -> None:
        """Append a frame to all windows: rays (N, J, 2), score (N, J). Those of newcomers are filled with it."""
        for window, frame in ((self.rows["rays"], rays), (self.rows["score"], score)):
            window[:, :-1] = window[:, 1:]
            window[:, -1] = frame
            window[self.newcomers] = frame[self.newcomers, None]

    def pose_cam_m(self, velocity_time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Roots (N, 3) and joints (N, J, 3) now, if the root's velocity fades with velocity_time_s unseen."""
        place = self.rows["place"]["answer"]
        if np.count_nonzero(self.since_s):
            ahead_s = -velocity_time_s * np.expm1(self.since_s / -velocity_time_s)
            place = place + self.rows["place"]["rate"] * ahead_s[:, None, None]
        depth, root = np.exp(place[:, 1, :1]), np.empty((len(place), 3))
        root[:, :2], root[:, 2:] = depth * place[:, 0], depth
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
            rows["place"][name][:, 1, 0] += np.log(ratio)
        for name in ("sample", "answer", "rate"):
            rows["joints"][name] *= ratio[:, None, None]
        rows["bone"] *= ratio[:, None, None]
        rows["bone_sigma_m"] *= ratio[:, None]
        rows["sigma_m"] *= ratio[:, None]

    def update(
        self,
        which: Rows,
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
        rows = self.rows
        dt_s = np.where(rows["placed"][which], self.since_s[which], np.inf)
        joints_root_m, sigma_m = self._pose(which, config, joints_root_m, sigma_m, visible)
        past, depth = rows["place"][which], root_cam_m[:, 2:]
        place = np.zeros((len(depth), 2, 2))
        place[:, 0] = root_cam_m[:, :2] / depth
        before = past["answer"][:, 1, 0]
        place[:, 1, 0] = before + _depth_gain(joints_root_m, visible, dt_s) * (np.log(depth[:, 0]) - before)
        euro = OneEuro(min_cutoff_hz=config.min_cutoff_hz, beta=config.beta)
        trust = np.array([1.0, config.depth_trust])
        rows["place"][which] = euro.step(place, past, dt_s[:, None], trust, unit_m=depth)
        if self._fuse:
            row, joint = np.nonzero(measured_bones(visible))
            measured = np.arange(len(rows))[which][row], joint
            rows["bone"][measured] = bone_vectors(rows["joints"]["answer"][which])[row, joint]
            rows["bone_sigma_m"][measured] = sigma_m[row, joint]
            rows["bone_ns"][measured], rows["bone_seen"][measured] = self.stamp_ns, True
        rows["size"][which], rows["measured_ns"][which] = size, self.stamp_ns
        rows["started"][which] = rows["placed"][which] = True
        self.since_s[which] = 0.0

    def predict(
        self,
        which: Rows,
        config: PipelineConfig,
        *,
        joints_root_m: np.ndarray,
        sigma_m: np.ndarray,
        visible: np.ndarray,
    ) -> None:
        """Take poses (R, J, 3) with sigmas (R, J) of hidden people into their rows; visible: (R, J)."""
        self._pose(which, config, joints_root_m, sigma_m, visible)

    def _pose(
        self, which: Rows, config: PipelineConfig, joints_root_m: np.ndarray, sigma_m: np.ndarray, visible: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fuse and smooth poses into rows; returns them as they are before smoothing, and their sigmas."""
        rows = self.rows
        if self._fuse:
            moved_m = config.hold_growth_mps * (self.stamp_ns - rows["bone_ns"][which]) * 1e-9
            held_sigma_m = np.where(rows["bone_seen"][which], np.hypot(rows["bone_sigma_m"][which], moved_m), np.inf)
            joints_root_m, sigma_m = fuse(joints_root_m, sigma_m, visible, rows["bone"][which], held_sigma_m)
        if self._smooth:
            euro = OneEuro(min_cutoff_hz=config.min_cutoff_hz, beta=config.beta)
            dt_s = np.where(rows["started"], (self.stamp_ns - rows["answered_ns"]) * 1e-9, np.inf)[which]
            trust = np.where(visible, 1.0, config.filled_trust)
            rows["joints"][which] = euro.step(joints_root_m, rows["joints"][which], dt_s[:, None], trust)
        else:
            rows["joints"]["answer"][which] = joints_root_m
        rows["sigma_m"][which], rows["answered_ns"][which] = sigma_m, self.stamp_ns
        return joints_root_m, sigma_m


def _depth_gain(joints_root_m: np.ndarray, visible: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
    """(R,) in [0, 1], how far to follow a new distance that comes from the visible joints of (R, J, 3), one at least.

    The variance of a distance is inverse to the squares by which the visible joints spread across the view. From half
    of the whole body's on it is followed at once; below, the less the smaller, and the more the longer ago the last.
    """
    people, joints, _ = joints_root_m.shape
    if np.count_nonzero(visible) == visible.size:
        return np.ones(people)
    weight = np.empty((people, 2, joints))  # of the joints that are seen, and of the whole body's
    weight[:, 0], weight[:, 1] = visible, 1.0
    xy = joints_root_m[..., :2]
    squares = (weight @ squared_lengths(xy)[..., None])[..., 0]
    squares -= squared_lengths(weight @ xy) / np.add.reduce(weight, axis=-1)
    trust = np.minimum(2.0 * squares[:, 0] / np.maximum(squares[:, 1], sys.float_info.epsilon), 1.0) ** 2
    return np.asarray(1.0 - (1.0 - trust) ** (dt_s / _FRAME_S))
