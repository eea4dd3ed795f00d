"""Who is who: names that follow people, whatever the detector calls them.

A person keeps the first id for as long as the pipeline remembers them. The detector's ids are believed where they fit
the poses: somebody seen where the bearer of the id is expected is that person, and nobody else is asked. Others (ids
that are new, empty, or at a place where their bearer cannot be) are assigned to the people whom they fit best, and are
newcomers where they fit none. An id that goes over to a newcomer goes out as "<id>#<number>".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from occpose_core.admission import Seen, count, prominence
from occpose_core.camera import rays_from_cam
from occpose_core.person import People
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.tracking import STRANGER, Expected, Trust, assign, median_m, misfit, surely_fit

# In a crowd beyond max_persons a newcomer takes a place only from somebody who is smaller by this factor.
_FOLLOWED = 1.5
_MET = 1000  # ids of the detector that are remembered after their bearers are forgotten


class Identities:
    """Finds the rows of people who are seen, and names newcomers. own_prefix: of the ids of people without one."""

    def __init__(self, own_prefix: str = "t") -> None:
        self._prefix = own_prefix
        self._given = 0  # own ids so far
        self._shared = 1  # ids so far that had to be told from the same id of somebody else
        self.reset()

    def reset(self) -> None:
        """Forget everybody and the detector; ids given so far are not given again."""
        self._detectors: dict[str, str] = {}  # id of a person -> the detector's last id for them, "" = none
        self._met: dict[str, str] = {}  # an id of the detector -> the person who last had it
        self._trust = Trust()

    def on_rows(
        self, ids: list[str], seen: Seen, people: People, config: PipelineConfig, dropped: Counter[str]
    ) -> Seen:
        """Add rows for newcomers to `people`, all of whom must be started, and sort what is seen by rows.

        ids: the detector's of the people in `seen`, "" = none, else unique. `dropped` is counted up.
        """
        self._detectors = {name: self._detectors.get(name, "") for name in people.ids}
        rows, jumped = self._find(ids, seen, people, config)
        if len(rows) > config.max_persons or -1 in rows.tolist():
            self._add_newcomers(ids, seen, rows, jumped, people, config, dropped)
        self._bind(ids, rows.tolist(), people)
        return seen.on_rows(rows, len(people))

    def _add_newcomers(
        self,
        ids: list[str],
        seen: Seen,
        rows: np.ndarray,
        jumped: np.ndarray,
        people: People,
        config: PipelineConfig,
        dropped: Counter[str],
    ) -> None:
        """Choose whom to follow, add rows for those of them who are new, and write these into `rows`."""
        chosen = _prominent(seen, rows >= 0, config.max_persons)
        count(dropped, "max_persons", ~chosen)
        strangers = (chosen & (rows < 0)).nonzero()[0]
        enough = seen.enough(config)[strangers]
        fresh = strangers[enough]
        count(dropped, "too_few_joints", ~enough)
        count(dropped, "pose_jump", jumped[fresh])
        rows[~chosen] = -1
        rows[fresh] = len(people) + np.arange(len(fresh))
        people.add(self._names([ids[person] for person in fresh], {*people.ids, *ids}))

    def _find(
        self, ids: list[str], seen: Seen, people: People, config: PipelineConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P,) rows, -1 = a newcomer; and (P,) bool: is not where the bearer of the id can be."""
        jumped = np.zeros(len(ids), dtype=bool)
        if not (ids and people.ids):
            return np.full(len(ids), -1), jumped
        row_of = {name: row for row, name in enumerate(self._detectors.values()) if name}
        bearers = [row_of.get(name, -1) for name in ids]
        bearer = np.array(bearers, dtype=np.int64)
        root, joints = people.pose_cam_m(config.velocity_time_s)
        expected = Expected(rays=rays_from_cam(joints), depth_m=root[:, 2], since_s=people.since_s)
        theirs = expected if bearers == list(range(len(people))) else expected.at(bearer)
        at_home = surely_fit(seen.rays, seen.visible, seen.shown, theirs, self._trust.bonus)
        if -1 in bearers:
            at_home &= bearer >= 0  # -1 is nobody, not the last row
        if at_home.all():
            self._trust.learn(right=len(ids), wrong=0)
            return bearer, jumped
        rows = np.where(at_home, bearer, -1)
        self._look_closer(ids, seen, rows, jumped, bearer, expected, config)
        known = bearer >= 0
        right = int(np.count_nonzero(known & (rows == bearer)))
        self._trust.learn(right=right, wrong=int(np.count_nonzero(known)) - right)
        return rows, jumped

    def _look_closer(
        self,
        ids: list[str],
        seen: Seen,
        rows: np.ndarray,
        jumped: np.ndarray,
        bearer: np.ndarray,
        expected: Expected,
        config: PipelineConfig,
    ) -> None:
        """Write into `rows` and `jumped` of _find about those whose rows are -1 so far; bearer: (P,) row of the id."""
        known = ((bearer >= 0) & (rows < 0)).nonzero()[0]
        if len(known):
            given = seen.rays[known], seen.visible[known], expected.at(bearer[known])
            sure = misfit(*given) <= self._trust.bonus  # nobody could fit so much better that the id would count less
            rows[known[sure]] = bearer[known[sure]]
            if not sure.all():
                far = median_m(*given) > config.jump_m + config.jump_mps * given[-1].since_s
                jumped[known] = far & ~sure
        asking = ((rows < 0) & (seen.shown > 0)).nonzero()[0]
        if self._trust.believed:
            asking = np.array([person for person in asking if not self._forgotten(ids[person])], dtype=np.int64)
        if len(asking):
            free = np.ones(len(expected.depth_m), dtype=bool)
            free[rows[rows >= 0]] = False
            self._assign(rows, asking, np.flatnonzero(free), seen, expected, np.where(jumped, -1, bearer))

    def _forgotten(self, name: str) -> bool:
        """The id is of somebody who has been away for too long, and so of nobody who is known."""
        return name in self._met and self._met[name] not in self._detectors

    def _assign(
        self, rows: np.ndarray, asking: np.ndarray, free: np.ndarray, seen: Seen, expected: Expected, bearer: np.ndarray
    ) -> None:
        """Write into `rows` which of the free rows the asking people fit best; bearer: (P,) row of the id, or -1."""
        gain = STRANGER - misfit(seen.rays[asking, None], seen.visible[asking, None], expected.at(free))
        own = bearer[asking, None] == free
        least = 0.0 if self._trust.believed else -np.inf  # who is not too far from the bearer of the id, is them
        gain = np.where(own, np.maximum(gain, least) + self._trust.bonus, gain)
        found, row = assign(gain)
        rows[asking[found]] = free[row]

    def _names(self, ids: Iterable[str], taken: set[str]) -> list[str]:
        """Unique ids of newcomers with the detector's ids; taken: those of known people, and all of the detector's."""
        names = []
        for name in ids:
            if name and name not in self._detectors:
                names.append(name)
                continue
            unique = self._unique(name)
            while unique in taken:
                unique = self._unique(name)
            names.append(unique)
            taken.add(unique)
        return names

    def _unique(self, name: str) -> str:
        if name:
            self._shared += 1
            return f"{name}#{self._shared}"
        self._given += 1
        return f"{self._prefix}{self._given}"

    def _bind(self, ids: list[str], rows: list[int], people: People) -> None:
        """Remember what the detector calls whom now; one whose id has gone to somebody else has none."""
        now = {people.ids[row]: name for row, name in zip(rows, ids, strict=True) if row >= 0 and name}
        if now == self._detectors:
            return
        names = set(now.values())
        kept = {name: self._detectors.get(name, "") for name in people.ids}
        self._detectors = {name: now.get(name, "" if last in names else last) for name, last in kept.items()}
        for person, name in now.items():
            self._met.pop(name, None)  # so that the ids that were seen last come last
            self._met[name] = person
        while len(self._met) > _MET:
            del self._met[next(iter(self._met))]


def _prominent(seen: Seen, followed: np.ndarray, max_persons: int) -> np.ndarray:
    """(P,) bool: the largest and surest; those who are followed already do not flicker in and out."""
    chosen = np.ones(len(followed), dtype=bool)
    if len(chosen) > max_persons:
        rank = prominence(seen) * np.where(followed, _FOLLOWED, 1.0)
        chosen[np.argsort(-rank, kind="stable")[max_persons:]] = False
    return chosen
