"""Who is who: the row of every person seen, whatever the detector calls them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from occpose_core.admission import Seen, count
from occpose_core.camera import rays_from_cam
from occpose_core.person import People
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.tracking import Tracker


class Identities:
    """Finds the rows of people, and gives names to those who have none."""

    def __init__(self) -> None:
        self._tracker = Tracker()

    def reset(self) -> None:
        """Forget everybody; ids given so far are not given again."""
        self._tracker.reset()

    def on_rows(
        self,
        ids: list[str],
        seen: Seen,
        people: People,
        stamp_ns: int,
        config: PipelineConfig,
        dropped: Counter[str],
    ) -> Seen:
        """Add rows for newcomers to `people` and sort what is seen by rows.

        ids: the detector's of the people in `seen`, "" = none, else unique. `dropped` is counted up.
        """
        seen = self._give_rows(ids, seen, people, stamp_ns, config, dropped)
        self._forget_jumpers(seen, people, stamp_ns, config, dropped)
        return seen

    def _give_rows(
        self, ids: list[str], seen: Seen, people: People, stamp_ns: int, config: PipelineConfig, dropped: Counter[str]
    ) -> Seen:
        nameless = np.flatnonzero([not name for name in ids])
        given = self._tracker.assign(
            seen.rays[nameless],
            seen.visible[nameless],
            stamp_ns,
            min_joints=config.min_visible_joints,
            ttl_s=config.gap_s,
            taken=set(ids),
        )
        for person, name in zip(nameless, given, strict=True):
            ids[person] = name
        known = set(people.ids)
        enough = seen.enough(config)
        people.add([name for name, lift in zip(ids, enough, strict=True) if lift and name not in known])
        row_of = {name: row for row, name in enumerate(people.ids)}
        rows = np.array([row_of.get(name, -1) for name in ids], dtype=np.int64)
        count(dropped, "too_few_joints", (rows < 0).sum())
        return seen.on_rows(rows, len(people))

    def _forget_jumpers(
        self, seen: Seen, people: People, stamp_ns: int, config: PipelineConfig, dropped: Counter[str]
    ) -> None:
        """Start anew the rows whose joints are where that person cannot be: the id has gone to somebody else."""
        root, joints = people.pose_cam_m(stamp_ns, config.velocity_time_s)
        away = np.linalg.norm(seen.rays - rays_from_cam(joints), axis=-1)
        away_m = np.sort(np.where(seen.visible, away * root[:, 2:], np.inf))
        median_m = away_m[np.arange(len(people)), np.maximum(seen.visible.sum(axis=-1) - 1, 0) // 2]
        far_m = config.jump_m + config.jump_mps * people.since_s(stamp_ns)
        jumped = people.rows["started"] & seen.enough(config) & (median_m > far_m)
        count(dropped, "pose_jump", jumped.sum())
        people.restart(jumped)
