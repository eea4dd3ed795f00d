"""Images and skeletons find each other, also after time went back or something raised; nothing piles up.

By message_filters where it is installed, and everywhere by stamps that are equal.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from occpose_ros.message_types import stamp_ns_from_msg
from occpose_ros.pairing import Pairing, StampWatch

SECOND_NS = 1_000_000_000
FRAME_NS = SECOND_NS // 30


@pytest.mark.parametrize(
    ("stamps_s", "expected"),
    [
        pytest.param([1, 2, 3], [False, False, False], id="forwards"),
        pytest.param([5, 5, 4.9, 5.1], [False, False, False, False], id="repeated and late"),
        pytest.param([50, 51, 1, 2], [False, False, True, False], id="a bag begins again"),
        pytest.param([50, 1, 49, 2], [False, True, False, True], id="a message of the last round among the first"),
        pytest.param([100, 99.6, 99.45], [False, False, True], id="half a second counts from the newest"),
    ],
)
def test_stamps_that_go_back_are_noticed(stamps_s, expected):
    watch = StampWatch()
    assert [watch.went_back("image", round(stamp * SECOND_NS)) for stamp in stamps_s] == expected


def test_topics_go_back_one_by_one():
    watch = StampWatch()
    for topic in ("image", "skeletons"):
        watch.went_back(topic, 50 * SECOND_NS)
    assert watch.went_back("image", 0)
    assert not watch.went_back("skeletons", 51 * SECOND_NS)
    assert watch.went_back("skeletons", SECOND_NS)
    watch.forget()
    assert not watch.went_back("image", 0)


class Recorder:
    """A pairing that remembers what it paired, as stamps."""

    def __init__(self, **settings):
        self.pairs = []
        topics = ("image", "skeletons")
        self.pairing = Pairing(self.record, **{"topics": topics, "queue_size": 5, "slop_s": 0.01} | settings)

    def record(self, image, skeletons):
        self.pairs.append(tuple(stamp_ns_from_msg(msg.header.stamp) for msg in (image, skeletons)))

    def add(self, topic, stamp_ns):
        return self.pairing.add(topic, message(stamp_ns))


@pytest.fixture
def without_message_filters(monkeypatch):
    monkeypatch.setitem(sys.modules, "message_filters", None)


@pytest.fixture
def with_message_filters():
    pytest.importorskip("message_filters", reason="needs the ROS package message_filters")


@pytest.fixture(params=["without_message_filters", pytest.param("with_message_filters", marks=pytest.mark.needs_ros)])
def anyhow(request):
    """With message_filters and without."""
    request.getfixturevalue(request.param)


def test_without_message_filters_it_says_what_is_not_found(without_message_filters):
    assert "only if that is the same to the nanosecond" in Recorder().pairing.restriction


def test_without_message_filters_only_equal_stamps_are_paired(without_message_filters):
    recorder = Recorder()
    for stamp_ns in (SECOND_NS, SECOND_NS + 1, 2 * SECOND_NS):
        recorder.add("image", stamp_ns)
    recorder.add("skeletons", SECOND_NS + 1)
    recorder.add("skeletons", 2 * SECOND_NS - 1)
    assert recorder.pairs == [(SECOND_NS + 1,) * 2]


def message(stamp_ns):
    from builtin_interfaces.msg import Time

    sec, nanosec = divmod(stamp_ns, SECOND_NS)
    return SimpleNamespace(header=SimpleNamespace(stamp=Time(sec=sec, nanosec=nanosec)))


def test_pairs_by_stamp_while_skeletons_lag(anyhow):
    recorder = Recorder()
    for number in range(20):
        recorder.add("image", number * FRAME_NS)
        if number >= 3:
            recorder.add("skeletons", (number - 3) * FRAME_NS)
    assert recorder.pairs == [(number * FRAME_NS, number * FRAME_NS) for number in range(17)]


@pytest.mark.needs_ros
@pytest.mark.parametrize("off_ms, paired", [(0, True), (5, True), (15, False)])
def test_stamps_may_differ_by_less_than_the_slop(with_message_filters, off_ms, paired):
    recorder = Recorder()
    recorder.add("image", SECOND_NS)
    recorder.add("skeletons", SECOND_NS + off_ms * 1_000_000)
    assert bool(recorder.pairs) is paired


@pytest.mark.parametrize("every", [1, 3], ids=["each image", "a slow detector, so that images wait"])
def test_a_bag_may_begin_again_many_times(anyhow, every):
    recorder = Recorder()
    for _ in range(5):
        for number in range(60):
            recorder.add("image", 100 * SECOND_NS + number * FRAME_NS)
            if number % every == 0:
                recorder.add("skeletons", 100 * SECOND_NS + number * FRAME_NS)
    # of every round but the first, the first image is lost: the skeletons' jump comes after it
    assert len(recorder.pairs) >= 5 * 60 // every - 4


@pytest.mark.needs_ros
def test_an_error_inside_leaves_nothing_locked(with_message_filters):
    recorder = Recorder()
    with pytest.raises(ValueError):
        recorder.add("image", -SECOND_NS)  # rclpy knows no time before zero
    for _ in range(2):  # a lock that is held would stop the second
        recorder.add("image", SECOND_NS)
        recorder.add("skeletons", SECOND_NS)
    assert len(recorder.pairs) == 2


def test_no_more_wait_than_the_queue_holds(anyhow):
    recorder = Recorder(queue_size=7)
    for number in range(100):
        recorder.add("image", number * FRAME_NS)
    assert [len(queue) for queue in recorder.pairing._synchroniser.queues] == [7, 0]
    recorder.pairing.clear()
    assert [len(queue) for queue in recorder.pairing._synchroniser.queues] == [0, 0]
