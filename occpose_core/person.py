"""What the pipeline remembers of people: a row each in a handful of arrays, so that one more costs a step little."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from occpose_core.pipeline_config import PipelineConfig
from occpose_core.skeleton import H36M17
from occpose_core.smoothing import OneEuro

_J = len(H36M17.joints)


def _rows(*shape: int, dtype: type = np.float64) -> np.ndarray:
    """A field of no people yet."""
    return field(default_factory=lambda: np.zeros((0, *shape), dtype=dtype))


@dataclass(kw_only=True, eq=False)
class People:
    """N people. `started` False means that a row has seen no lifted frame yet and its other fields mean nothing.

    ids: N unique names. rays, visible: (N, T, J, 2) and (N, T, J), the window of the network, newest frame last.
    measured_ns: (N,) stamp of the last lifted frame. place, place_rate: (N, 3) root as x / z, y / z and log z, and its
    change per second. joints_root_m, joints_rate: (N, J, 3) pose in camera axes and its change per second. sigma_m:
    (N, J). stature_m: (N,) slow mean of what the network takes for the person's height. lifted: (N,) frames in it.
    """

    ids: list[str] = field(default_factory=list)
    rays: np.ndarray
    visible: np.ndarray
    started: np.ndarray = _rows(dtype=bool)
    measured_ns: np.ndarray = _rows(dtype=np.int64)
    place: np.ndarray = _rows(3)
    place_rate: np.ndarray = _rows(3)
    joints_root_m: np.ndarray = _rows(_J, 3)
    joints_rate: np.ndarray = _rows(_J, 3)
    sigma_m: np.ndarray = _rows(_J)
    stature_m: np.ndarray = _rows()
    lifted: np.ndarray = _rows(dtype=np.int64)

    @classmethod
    def nobody(cls, window: int) -> People:
        """No people, for a network that looks at `window` frames."""
        return cls(rays=np.zeros((0, window, _J, 2)), visible=np.zeros((0, window, _J), dtype=bool))

    def __len__(self) -> int:
        return len(self.ids)

    def _arrays(self) -> list[str]:
        return [item.name for item in fields(self) if item.name != "ids"]

    def add(self, ids: list[str]) -> None:
        """Append empty rows."""
        self.ids = self.ids + ids
        for name in self._arrays():
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((len(ids), *old.shape[1:]), dtype=old.dtype)]))

    def keep(self, rows: np.ndarray) -> None:
        """Drop all rows but those where `rows` (N,) bool is True."""
        if rows.all():
            return
        self.ids = [name for name, kept in zip(self.ids, rows, strict=True) if kept]
        for name in self._arrays():
            setattr(self, name, getattr(self, name)[rows])

    def restart(self, rows: np.ndarray) -> None:
        """Forget the past of rows given by index or mask; they keep their ids."""
        for name in self._arrays():
            getattr(self, name)[rows] = 0

    def push(self, rays: np.ndarray, visible: np.ndarray) -> None:
        """Append a frame to all windows: rays (N, J, 2), visible (N, J). A row not started is filled with it."""
        self.rays = np.concatenate([self.rays[:, 1:], rays[:, None]], axis=1)
        self.visible = np.concatenate([self.visible[:, 1:], visible[:, None]], axis=1)
        fresh = ~self.started
        self.rays[fresh], self.visible[fresh] = rays[fresh, None], visible[fresh, None]

    def since_s(self, stamp_ns: int) -> np.ndarray:
        """(N,) seconds since the last lifted frame; inf for rows not started."""
        return np.where(self.started, (stamp_ns - self.measured_ns) * 1e-9, np.inf)

    def predict_root(self, stamp_ns: int, velocity_time_s: float) -> np.ndarray:
        """(N, 3) m, where the roots are at a later time if their velocities fade with velocity_time_s."""
        since_s = np.where(self.started, self.since_s(stamp_ns), 0.0)
        ahead_s = velocity_time_s * (1.0 - np.exp(-since_s / velocity_time_s))
        return root_from_place(self.place + self.place_rate * ahead_s[:, None])

    def average_stature(self, rows: np.ndarray, stature_m: np.ndarray, stamp_ns: int, time_s: float) -> np.ndarray:
        """Mean stature (R,) of some rows with new values (R,): of all frames at first, of the last time_s later."""
        gain = np.maximum(1.0 - np.exp(-self.since_s(stamp_ns)[rows] / time_s), 1.0 / (self.lifted[rows] + 1.0))
        return np.asarray(self.stature_m[rows] + gain * (stature_m - self.stature_m[rows]))

    def smooth(
        self, rows: np.ndarray, joints_root_m: np.ndarray, root_cam_m: np.ndarray, visible: np.ndarray,
        stamp_ns: int, config: PipelineConfig,
    ) -> None:  # fmt: skip
        """Filter new poses (R, J, 3) and roots (R, 3) into some rows.

        The root is filtered as a ray and a distance: the ray is measured far better, and so stays free of the noise of
        the distance. visible: (R, J).
        """
        euro = OneEuro(min_cutoff_hz=config.min_cutoff_hz, beta=config.beta)
        dt_s = self.since_s(stamp_ns)[rows]
        self.joints_root_m[rows], self.joints_rate[rows] = euro.step(
            joints_root_m, self.joints_root_m[rows], self.joints_rate[rows], dt_s[:, None],
            trust=np.where(visible, 1.0, config.filled_trust),
        )  # fmt: skip
        place, depth = place_from_root(root_cam_m), root_cam_m[:, 2]
        for axes, trust in ((slice(0, 2), 1.0), (slice(2, 3), config.depth_trust)):
            self.place[rows, axes], self.place_rate[rows, axes] = euro.step(
                place[:, axes], self.place[rows, axes], self.place_rate[rows, axes], dt_s, trust=trust, unit_m=depth
            )


def place_from_root(root_cam_m: np.ndarray) -> np.ndarray:
    """(..., 3) m in front of the camera -> x / z, y / z, log z."""
    depth = root_cam_m[..., 2:]
    return np.concatenate([root_cam_m[..., :2] / depth, np.log(depth)], axis=-1)


def root_from_place(place: np.ndarray) -> np.ndarray:
    """The inverse of place_from_root."""
    depth = np.exp(place[..., 2:])
    return np.concatenate([place[..., :2] * depth, depth], axis=-1)
