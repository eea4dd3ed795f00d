"""Images paired with the skeletons of the same moment, by message_filters; it outlives bags that begin again.

A synchroniser of message_filters drops the oldest stamps when it is full. After time went back, that is everything new,
and nothing is ever paired again: so it is made anew. It also keeps its lock for ever if anything raises inside it: then
too it is made anew. Nothing here raises into it: `on_pair` must not raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from occpose_core.errors import OccposeError
from occpose_core.pipeline_config import PipelineConfig
from occpose_ros.message_types import stamp_ns_from_msg

TOPICS = ("image", "skeletons")
# Time going back by more is a new recording; by less, a message that was late.
_BACKWARD_RESET_S = PipelineConfig().backward_reset_s


class PairingError(OccposeError):
    """Messages cannot be paired here."""


class StampWatch:
    """Notices that the stamps of a topic went back."""

    def __init__(self) -> None:
        self._last_ns: dict[str, int] = {}

    def went_back(self, topic: str, stamp_ns: int) -> bool:
        """Whether this stamp begins a new recording. Each topic arrives there on its own."""
        last_ns = self._last_ns.get(topic, stamp_ns)
        back = (last_ns - stamp_ns) * 1e-9 > _BACKWARD_RESET_S
        self._last_ns[topic] = stamp_ns if back else max(last_ns, stamp_ns)
        return back

    def forget(self) -> None:
        """Time begins anew for all topics."""
        self._last_ns.clear()


class Pairing:
    """Calls `on_pair(image, skeletons)` for messages whose stamps differ by less than `slop_s`.

    queue_size: so many of each are kept until their partner comes, no more. For one thread. Raises PairingError if
    message_filters is not there.
    """

    def __init__(self, on_pair: Callable[[Any, Any], None], *, queue_size: int, slop_s: float) -> None:
        self._on_pair = on_pair
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._watch = StampWatch()
        self._connect()

    def _connect(self) -> None:
        try:
            import message_filters
        except ImportError as error:
            raise PairingError(
                f"the overlay needs the package message_filters ({error}): install it, for example by"
                " `rosdep install --from-paths src --ignore-src`"
            ) from None
        # only keywords: the order of the arguments changed in Kilted
        self._filters = {topic: message_filters.SimpleFilter() for topic in TOPICS}
        self._synchroniser = message_filters.ApproximateTimeSynchronizer(
            fs=list(self._filters.values()), queue_size=self._queue_size, slop=self._slop_s
        )
        self._synchroniser.registerCallback(self._on_pair)

    def add(self, topic: str, msg: Any) -> bool:
        """Take a message of one of TOPICS; True if its stamp went back, and all that waited was forgotten.

        An error of message_filters comes through, and leaves nothing locked.
        """
        went_back = self._watch.went_back(topic, stamp_ns_from_msg(msg.header.stamp))
        if went_back:
            self._connect()
        try:
            self._filters[topic].signalMessage(msg)
        except BaseException:
            self._connect()
            raise
        return went_back

    def clear(self) -> None:
        """Forget all messages: the clock went back, or what comes next has nothing to do with what came before."""
        self._watch.forget()
        self._connect()
