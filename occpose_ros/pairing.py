"""Images paired with other messages of the same moment; it outlives bags that begin again.

message_filters pairs them where it is installed. A synchroniser of it drops the oldest stamps when it is full. After
time went back, that is everything new, and nothing is ever paired again: so it is made anew. It also keeps its lock for
ever if anything raises inside it: then too it is made anew. Nothing here raises into it: `on_pair` must not raise.

Where message_filters is not installed, messages of equal stamps are paired, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from occpose_core.pipeline_config import PipelineConfig
from occpose_ros.message_types import stamp_ns_from_msg

# Time going back by more is a new recording; by less, a message that was late.
_BACKWARD_RESET_S = PipelineConfig().backward_reset_s
_ONLY_EQUAL_STAMPS = (
    "message_filters is not installed, so an image is found by its stamp only if that is the same to the nanosecond:"
    " install the package if your detector rounds the stamps of its images"
)


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


class EqualStamps:
    """Calls `on_pair` with the messages, one of each topic, that have the same stamp; of each `queue_size` wait."""

    def __init__(self, topics: tuple[str, ...], on_pair: Callable[..., None], queue_size: int) -> None:
        self.queues: list[dict[int, Any]] = [{} for _ in topics]  # by stamp in nanoseconds
        self._of_topic = dict(zip(topics, self.queues, strict=True))
        self._on_pair = on_pair
        self._queue_size = queue_size

    def add(self, topic: str, msg: Any) -> None:
        """Take a message of one of the topics."""
        stamp_ns, mine = stamp_ns_from_msg(msg.header.stamp), self._of_topic[topic]
        mine[stamp_ns] = msg
        if all(stamp_ns in queue for queue in self.queues):
            self._on_pair(*(queue.pop(stamp_ns) for queue in self.queues))
        elif len(mine) > self._queue_size:
            del mine[min(mine)]


class Pairing:
    """Calls `on_pair(image, other)` for messages whose stamps differ by less than `slop_s`.

    topics: names of the two, as `add` is told them. queue_size: so many of each are kept until their partner comes, no
    more. For one thread. `restriction`: what to say once about pairs that are not found here, or "".
    """

    def __init__(
        self, on_pair: Callable[[Any, Any], None], *, topics: tuple[str, str], queue_size: int, slop_s: float
    ) -> None:
        self._on_pair = on_pair
        self._topics = topics
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._watch = StampWatch()
        self._message_filters = _message_filters()
        self.restriction = _ONLY_EQUAL_STAMPS if self._message_filters is None else ""
        self._connect()

    @property
    def tolerance(self) -> str:
        """How far stamps of a pair may be apart, in words that follow "the stamp of the image"."""
        return "to the nanosecond" if self.restriction else f"within slop_s ({self._slop_s:g} s)"

    def _connect(self) -> None:
        if self._message_filters is None:
            self._synchroniser: Any = EqualStamps(self._topics, self._on_pair, self._queue_size)
            self._add = self._synchroniser.add
            return
        filters = {topic: self._message_filters.SimpleFilter() for topic in self._topics}
        # only keywords: the order of the arguments changed in Kilted
        self._synchroniser = self._message_filters.ApproximateTimeSynchronizer(
            fs=list(filters.values()), queue_size=self._queue_size, slop=self._slop_s
        )
        self._synchroniser.registerCallback(self._on_pair)
        self._add = lambda topic, msg: filters[topic].signalMessage(msg)

    def add(self, topic: str, msg: Any) -> bool:
        """Take a message of one of the topics; True if its stamp went back, and all that waited was forgotten.

        An error of message_filters comes through, and leaves nothing locked.
        """
        went_back = self._watch.went_back(topic, stamp_ns_from_msg(msg.header.stamp))
        if went_back:
            self._connect()
        try:
            self._add(topic, msg)
        except BaseException:
            self._connect()
            raise
        return went_back

    def clear(self) -> None:
        """Forget all messages: the clock went back, or what comes next has nothing to do with what came before."""
        self._watch.forget()
        self._connect()


def _message_filters() -> Any:
    """The package, which is not on PyPI; None where it is not installed."""
    try:
        import message_filters
    except ImportError:
        return None
    return message_filters
