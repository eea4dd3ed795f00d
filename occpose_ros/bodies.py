"""Bodies that come one by one, each on a topic of its own, gathered by the image that they were seen in.

An image is complete when every body that is tracked has come, or when a body of a newer image comes. A body that is
said to be tracked but stays away delays one image, and is not waited for again until it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from occpose_ros.adapters import RejectedMessageError
from occpose_ros.adapters.hri import Bodies
from occpose_ros.adapters.keypoints import check_crowd
from occpose_ros.message_types import stamp_ns_from_msg

# An older stamp than this is no straggler: time begins anew, as in a bag that is played in a loop.
_BACKWARD_RESET_NS = 500_000_000
# So many bodies are listened to at once.
MAX_BODIES = 100
# Detectors lose a body in a bad moment and find it again: it is listened to for so long after it was last tracked.
KEEP_S = 10.0


class BodyGatherer:
    """Gathers hri_msgs/Skeleton2D by stamp. Its methods return the images that became complete, oldest first."""

    def __init__(self) -> None:
        self._tracked: frozenset[str] = frozenset()
        self._absent: frozenset[str] = frozenset()  # tracked, but not in the last image
        self._open: dict[str, Any] = {}
        self._open_ns = 0
        self._answered_ns: int | None = None

    def tracked(self, header: Any, ids: Collection[str]) -> list[Bodies]:
        """Who is there now. Nobody is an image without people."""
        self._tracked = frozenset(ids)
        self._absent &= self._tracked
        if self._tracked:
            return self._complete()
        complete = self._close()
        stamp_ns = stamp_ns_from_msg(header.stamp)
        if not self._is_over(stamp_ns):
            self._answered_ns = stamp_ns
            complete.append(Bodies(header=header, bodies={}))
        return complete

    def came(self, id: str, msg: Any) -> list[Bodies]:
        """The skeleton of a body; RejectedMessageError if its image is over."""
        stamp_ns = stamp_ns_from_msg(msg.header.stamp)
        if self._is_over(stamp_ns):
            self._absent -= {id}
            raise RejectedMessageError(
                "late_body", f"the skeleton of body {id!r} came after its image was answered: it comes late or twice"
            )
        # without stamps, an image begins when somebody comes again
        begins = stamp_ns != self._open_ns or (stamp_ns == 0 and id in self._open)
        complete = self._close() if begins else []
        self._open[id], self._open_ns = msg, stamp_ns
        self._absent -= {id}
        return complete + self._complete()

    def _is_over(self, stamp_ns: int) -> bool:
        """Whether the image of that stamp has been answered, or a newer one has begun."""
        over_ns = self._open_ns - 1 if self._open else self._answered_ns
        return bool(stamp_ns) and over_ns is not None and 0 <= over_ns - stamp_ns <= _BACKWARD_RESET_NS

    def _complete(self) -> list[Bodies]:
        """Close the image if nobody is missing."""
        return self._close() if self._tracked - self._absent <= self._open.keys() else []

    def _close(self) -> list[Bodies]:
        if not self._open:
            return []
        self._absent |= self._tracked - self._open.keys()
        bodies, self._open, self._answered_ns = self._open, {}, self._open_ns
        return [Bodies(header=next(iter(bodies.values())).header, bodies=bodies)]


class TrackedBodies:
    """Who is listened to: bodies come and go as the list of tracked ones says.

    join: begins to listen to a body, and says whether that is possible. leave: ends it. hand_over: gets each image that
    is complete.
    """

    def __init__(
        self, join: Callable[[str], bool], leave: Callable[[str], object], hand_over: Callable[[Bodies], object]
    ) -> None:
        self._join = join
        self._leave = leave
        self._hand_over = hand_over
        self._gatherer = BodyGatherer()
        self._tracked_s: dict[str, float] = {}  # when a body that is listened to was last tracked

    def on_list(self, msg: Any, now_s: float) -> None:
        """Take an hri_msgs/IdsList; RejectedMessageError, after all else is done, if a body cannot be listened to."""
        check_crowd(len(msg.ids))
        refused = [id for id in dict.fromkeys(msg.ids) if not self._listen(id, now_s)]
        for id in [id for id, last_s in self._tracked_s.items() if now_s - last_s > KEEP_S]:
            self._stop(id)
        for image in self._gatherer.tracked(msg.header, set(msg.ids).difference(refused)):
            self._hand_over(image)
        if refused:
            raise RejectedMessageError(
                "refused_body",
                f"{len(refused)} tracked bodies cannot be listened to, as {refused[0]!r}: an id is part of a topic's"
                f" name, of letters, digits and _, beginning with a letter, and {MAX_BODIES} bodies are the most",
            )

    def on_body(self, id: str, msg: Any) -> None:
        """Take the hri_msgs/Skeleton2D of a body that is listened to; RejectedMessageError if its image is over."""
        for image in self._gatherer.came(id, msg):
            self._hand_over(image)

    def leave_all(self) -> None:
        """Listen to nobody any more."""
        for id in list(self._tracked_s):
            self._stop(id)

    def _listen(self, id: str, now_s: float) -> bool:
        """Listen to a body; whether that is possible."""
        if id not in self._tracked_s:
            if len(self._tracked_s) >= MAX_BODIES and not self._stop_one(now_s):
                return False
            if not self._join(id):
                return False
        self._tracked_s[id] = now_s
        return True

    def _stop_one(self, now_s: float) -> bool:
        """Stop listening to the body that was last tracked longest ago, if it is tracked no more."""
        id = min(self._tracked_s, key=self._tracked_s.__getitem__)
        if self._tracked_s[id] == now_s:
            return False
        self._stop(id)
        return True

    def _stop(self, id: str) -> None:
        del self._tracked_s[id]
        self._leave(id)
