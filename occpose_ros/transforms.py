"""Where frames were in each other, over time: what TF says, kept and looked up without tf2_ros.

One implementation serves the node and bags that are read without ROS. A lookup is made at the stamp of an image:
between two samples the translation is interpolated linearly and the rotation on the shortest arc (slerp); before the
first and after the last there is no answer, for a guess about a moving robot is worse than none.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.errors import OccposeError
from occpose_ros.message_types import NANOSECONDS, stamp_ns_from_msg

# So much past is kept, as in tf2.
HISTORY_NS = 10 * NANOSECONDS
# Detectors are so slow at most: when time goes back, transforms of the new time come before the first keypoints.
_AHEAD_NS = NANOSECONDS
# A quaternion whose length differs from 1 by more than this is no rotation: its sender has a fault.
_LENGTH_TOLERANCE = 0.01
# Bounds on memory: frames named after things that come and go would add up for ever. About 100 MB.
_MAX_SAMPLES = 100_000
_MAX_STATIC_FRAMES = 10_000


class TransformError(OccposeError):
    """A transform is not known, or makes no sense. awaited: a message that is still under way may bring it."""

    def __init__(self, sentence: str, *, awaited: bool = False) -> None:
        super().__init__(sentence)
        self.awaited = awaited


@dataclass(frozen=True, kw_only=True, eq=False)
class Transform:
    """Maps points of a source frame into a target frame: rotation (3, 3), translation_m (3,), float64.

    Raises TransformError if a number is not finite.
    """

    rotation: np.ndarray
    translation_m: np.ndarray

    def __post_init__(self) -> None:
        rotation = np.asarray(self.rotation, dtype=np.float64)
        translation_m = np.asarray(self.translation_m, dtype=np.float64)
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation_m", translation_m)
        if rotation.shape != (3, 3) or translation_m.shape != (3,):
            raise TransformError(f"expected (3, 3) and (3,), got {rotation.shape} and {translation_m.shape}")
        if not (np.isfinite(rotation).all() and np.isfinite(translation_m).all()):
            raise TransformError(f"a transform holds numbers that are not finite: translation {translation_m.tolist()}")

    @classmethod
    def identity(cls) -> Transform:
        """The transform that changes nothing."""
        return cls(rotation=np.eye(3), translation_m=np.zeros(3))

    def apply(self, points_m: np.ndarray) -> np.ndarray:
        """(..., 3) points of the source frame, in the target frame."""
        return points_m @ self.rotation.T + self.translation_m

    def after(self, first: Transform) -> Transform:
        """The transform that applies `first`, then this one."""
        return Transform(rotation=self.rotation @ first.rotation, translation_m=self.apply(first.translation_m))

    def inverse(self) -> Transform:
        """From target to source."""
        return Transform(rotation=self.rotation.T, translation_m=-self.translation_m @ self.rotation)


def _between(first: Transform, second: Transform, share: float) -> Transform:
    """share: 0 at the first, 1 at the second."""
    from scipy.spatial.transform import Rotation  # here, for it takes long to load, and most have no use for it

    turn = Rotation.from_matrix(first.rotation.T @ second.rotation).as_rotvec()
    return Transform(
        rotation=first.rotation @ Rotation.from_rotvec(share * turn).as_matrix(),
        translation_m=first.translation_m + share * (second.translation_m - first.translation_m),
    )


class _Link:
    """Where a frame was in its parent: samples in the order of their stamps, or one that always holds."""

    def __init__(self, parent: str, child: str, static: bool) -> None:
        self.parent = parent
        self.child = child
        self.static = static
        self._stamps_ns: list[int] = []
        self._samples: list[Transform] = []

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, stamp_ns: int, transform: Transform) -> None:
        stamps_ns, samples = self._stamps_ns, self._samples
        if self.static or (stamps_ns and stamp_ns < stamps_ns[-1] - HISTORY_NS):  # a recording begins again
            stamps_ns.clear()
            samples.clear()
        place = bisect_left(stamps_ns, stamp_ns)
        if place < len(stamps_ns) and stamps_ns[place] == stamp_ns:
            return  # the first one holds, as in tf2
        stamps_ns.insert(place, stamp_ns)
        samples.insert(place, transform)
        old = bisect_left(stamps_ns, stamps_ns[-1] - HISTORY_NS)
        del stamps_ns[:old], samples[:old]

    def forget_older_half(self) -> None:
        half = len(self) // 2
        del self._stamps_ns[:half], self._samples[:half]

    def forget_after(self, stamp_ns: int) -> None:
        first = bisect_right(self._stamps_ns, stamp_ns)
        del self._stamps_ns[first:], self._samples[first:]

    def at(self, stamp_ns: int, hold_ns: int) -> Transform:
        stamps_ns, samples = self._stamps_ns, self._samples
        if self.static:
            return samples[0]
        after = bisect_left(stamps_ns, stamp_ns)
        if after == len(stamps_ns):
            if stamp_ns - stamps_ns[-1] <= hold_ns:
                return samples[-1]
            age_s = (stamp_ns - stamps_ns[-1]) / NANOSECONDS
            raise TransformError(
                f"the newest transform of {self.child!r} in {self.parent!r} is {age_s:.3f} s older than the stamp",
                awaited=True,
            )
        if stamps_ns[after] == stamp_ns:
            return samples[after]
        if after == 0:
            age_s = (stamps_ns[0] - stamp_ns) / NANOSECONDS
            raise TransformError(
                f"the oldest known transform of {self.child!r} in {self.parent!r} is {age_s:.3f} s newer than the stamp"
            )
        begin_ns, end_ns = stamps_ns[after - 1], stamps_ns[after]
        return _between(samples[after - 1], samples[after], (stamp_ns - begin_ns) / (end_ns - begin_ns))


class TransformBuffer:
    """A forest of frames with 10 s of its past; every method may be called from any thread.

    Memory is bounded: at 100 000 samples the frames that have fallen silent are forgotten, and if those were few, the
    older half of the past.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._static: dict[str, _Link] = {}
        self._moving: dict[str, _Link] = {}
        self._samples = 0  # of all moving frames
        self._heard: set[str] = set()  # the moving frames that were heard of since memory was short

    def add(self, stamp_ns: int, parent: str, child: str, transform: Transform, static: bool = False) -> None:
        """Learn where `child` was in `parent`: the transform maps points of `child` into `parent`.

        static: it always holds. A frame has one parent; with another, its past is forgotten. Raises TransformError if a
        name is empty or both are equal.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise TransformError(f"a transform from {child!r} to {parent!r} needs two different names")
        with self._lock:
            if static and child not in self._static and len(self._static) >= _MAX_STATIC_FRAMES:
                raise TransformError(f"more than {_MAX_STATIC_FRAMES} static frames: look at who publishes /tf_static")
            moving, fixed = self._moving.pop(child, None), self._static.pop(child, None)
            self._samples -= len(moving) if moving else 0
            link = fixed if static else moving
            if link is None or link.parent != parent:
                link = _Link(parent, child, static)
            link.add(stamp_ns, transform)
            (self._static if static else self._moving)[child] = link
            if not static:
                self._samples += len(link)
                self._heard.add(child)
            if self._samples > _MAX_SAMPLES:
                self._shrink()

    def add_msg(self, msg: Any, static: bool) -> str:
        """Learn all transforms of a tf2_msgs/TFMessage; what was wrong with those left out, "" if none was."""
        refused = ""
        for stamped, transform in zip(msg.transforms, _transforms(msg.transforms), strict=True):
            try:
                if isinstance(transform, TransformError):
                    raise transform
                parent, child = stamped.header.frame_id, stamped.child_frame_id
                self.add(stamp_ns_from_msg(stamped.header.stamp), parent, child, transform, static)
            except TransformError as error:
                refused = f"a transform of {stamped.child_frame_id!r} is left out: {error}"
        return refused

    def lookup(self, target_frame: str, source_frame: str, stamp_ns: int, hold_ns: int = 0) -> Transform:
        """The transform that maps points of the source frame into the target frame at that time.

        hold_ns: for so long the newest of a frame's transforms stands for those that have not come yet. Raises
        TransformError, with a sentence, if a frame is unknown, the two are not connected, a frame is its own ancestor,
        or the stamp lies outside of what is known: there is no extrapolation.
        """
        target_frame, source_frame = target_frame.lstrip("/"), source_frame.lstrip("/")
        if target_frame == source_frame:
            return Transform.identity()
        with self._lock:
            source_chain, target_chain = self._chain(source_frame), self._chain(target_frame)
            if source_chain[-1] != target_chain[-1]:
                raise self._not_connected(target_frame, source_frame, target_chain[-1], source_chain[-1])
            ancestors = set(target_chain)
            ancestor = next(frame for frame in source_chain if frame in ancestors)
            up = self._climb(source_chain, ancestor, stamp_ns, hold_ns)
            return self._climb(target_chain, ancestor, stamp_ns, hold_ns).inverse().after(up)

    def clear(self) -> None:
        """Forget all but static transforms, which are sent only once."""
        with self._lock:
            self._keep(set())

    def begin_again(self, stamp_ns: int) -> None:
        """Forget what is newer, because time went back to this stamp; not what of the new time has come already."""
        with self._lock:
            for link in self._moving.values():
                link.forget_after(stamp_ns + _AHEAD_NS)
            self._keep({child for child, link in self._moving.items() if len(link)})

    def _shrink(self) -> None:
        self._keep(self._heard)
        if self._samples > _MAX_SAMPLES // 2:
            for link in self._moving.values():
                link.forget_older_half()
        self._keep(set(self._moving))

    def _keep(self, children: set[str]) -> None:
        self._moving = {child: link for child, link in self._moving.items() if child in children}
        self._samples = sum(map(len, self._moving.values()))
        self._heard = set()

    def _link(self, frame: str) -> _Link | None:
        return self._moving.get(frame, self._static.get(frame))

    def _chain(self, frame: str) -> list[str]:
        """A frame and its ancestors, up to the root of its tree."""
        chain = {frame: None}  # a dict is an ordered set
        while (link := self._link(frame)) is not None:
            frame = link.parent
            if frame in chain:
                raise TransformError(f"frame {frame!r} is its own ancestor: two nodes disagree about who its parent is")
            chain[frame] = None
        return list(chain)

    def _climb(self, chain: list[str], ancestor: str, stamp_ns: int, hold_ns: int) -> Transform:
        """From the beginning of a chain to one of its frames."""
        climbed = Transform.identity()
        for frame in chain[: chain.index(ancestor)]:
            link = self._link(frame)
            assert link is not None
            climbed = link.at(stamp_ns, hold_ns).after(climbed)
        return climbed

    def _not_connected(self, target_frame: str, source_frame: str, *roots: str) -> TransformError:
        known = {name for link in self._links() for name in (link.parent, link.child)}
        unknown = [frame for frame in (target_frame, source_frame) if frame not in known]
        if unknown:
            return TransformError(f"no transform of frame {unknown[0]!r} has come", awaited=True)
        return TransformError(
            f"frames {target_frame!r} and {source_frame!r} are not connected: the first belongs to the tree of"
            f" {roots[0]!r}, the other to that of {roots[1]!r}",
            awaited=True,
        )

    def _links(self) -> Iterator[_Link]:
        yield from self._static.values()
        yield from self._moving.values()


def _transforms(messages: Sequence[Any]) -> list[Transform | TransformError]:
    """Read geometry_msgs/TransformStamped, all at once, for robots send thousands a second; errors: no rigid motion."""
    if not messages:  # of none, old versions of SciPy make no rotations
        return []
    from scipy.spatial.transform import Rotation

    places = [(stamped.transform.rotation, stamped.transform.translation) for stamped in messages]
    numbers = np.array([(q.x, q.y, q.z, q.w, t.x, t.y, t.z) for q, t in places], dtype=np.float64).reshape(-1, 7)
    quaternions, translations_m = numbers[:, :4], numbers[:, 4:]
    unit = np.abs(np.linalg.norm(quaternions, axis=-1) - 1.0) <= _LENGTH_TOLERANCE
    finite = np.asarray(np.isfinite(translations_m).all(axis=-1))
    rotations = Rotation.from_quat(np.where(unit[:, None], quaternions, (0.0, 0.0, 0.0, 1.0))).as_matrix()
    found: list[Transform | TransformError] = []
    for row in range(len(messages)):
        if not unit[row]:
            found.append(TransformError(f"its quaternion {quaternions[row].tolist()} does not have length 1"))
        elif not finite[row]:
            found.append(TransformError(f"its translation {translations_m[row].tolist()} is not finite"))
        else:
            found.append(Transform(rotation=rotations[row], translation_m=translations_m[row]))
    return found
