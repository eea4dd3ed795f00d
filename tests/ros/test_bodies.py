"""Bodies on topics of their own, gathered by image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_ros.adapters import RejectedMessageError
from occpose_ros.bodies import BodyGatherer
from occpose_ros.message_types import stamp_ns_from_msg
from tests.ros.families import World

WORLD = World("rosbags")
FRAME_NS = 33_000_000
LATE = "late"


def skeleton(stamp_ns: int):
    return WORLD.make("hri_msgs/Skeleton2D", header=WORLD.header(stamp_ns), skeleton=[])


def play(events: str) -> str:
    """Play what happens, as in "a1 b1 ab@2": bodies a and b come with stamp 1, then the list a, b with stamp 2.

    Returns the images, each as "ids@stamp" and in the words of the events; `late` for a body that is refused.
    """
    gatherer, answers = BodyGatherer(), []
    for event in events.split():
        ids, _, at = event.partition("@") if "@" in event else (event[0], "", event[1:])
        stamp_ns = int(at) * FRAME_NS
        try:
            if "@" in event:
                images = gatherer.tracked(WORLD.header(stamp_ns), ids)
            else:
                images = gatherer.came(ids, skeleton(stamp_ns))
        except RejectedMessageError as error:
            assert error.reason == "late_body"
            answers.append(LATE)
            continue
        for image in images:
            answers.append(f"{''.join(sorted(image.bodies))}@{stamp_ns_from_msg(image.header.stamp) // FRAME_NS}")
    return " ".join(answers)


@pytest.mark.parametrize(
    ("events", "answers"),
    [
        pytest.param("ab@1 a2 b2 b3 a3", "ab@2 ab@3", id="all have come"),
        pytest.param("ab@1 a2 a3 a4", "a@2 a@3 a@4", id="who stays away is not waited for twice"),
        pytest.param("ab@1 a2 a3 b4 a4 a5 b5", "a@2 a@3 ab@4 ab@5", id="until it comes back"),
        pytest.param("ab@1 a2 a3 a4 b4 a5 b5", "a@2 a@3 a@4 late ab@5", id="which may cost it one image"),
        pytest.param("ab@1 a2 a@2 a3", "a@2 a@3", id="the list says that nobody else is there"),
        pytest.param("a@1 a2 abc@2 a3 b3 c3", "a@2 abc@3", id="others come"),
        pytest.param("a@1 b2 a2", "ab@2", id="a body that is not in the list yet"),
        pytest.param("@1 @2 @3", "@1 @2 @3", id="nobody"),
        pytest.param("a@1 a2 @2 @3 a@4 a5", "a@2 @3 a@5", id="an empty list with the stamp of an image adds nothing"),
        pytest.param("ab@1 a2 @3", "a@2 @3", id="who was there goes out before nobody"),
        pytest.param("ab@5 b6 a5 a6", "late ab@6", id="a straggler of an older image"),
        pytest.param("a@5 a6 a6", "a@6 late", id="twice"),
        pytest.param("a@50 a51 a@1 a2 a3", "a@51 a@2 a@3", id="a bag begins again"),
        pytest.param("ab@50 a51 b1 a1 a2 b2", "a@51 ab@1 ab@2", id="in the middle of an image"),
        pytest.param(
            "ab@0 a0 b0 b0 a0 a0 a0", "ab@0 ab@0 a@0 a@0", id="without stamps, an image begins with a repetition"
        ),
    ],
)
def test_images_are_told_by_stamps_and_lists(events, answers):
    assert play(events) == answers


@given(
    st.lists(st.lists(st.sampled_from("abcd"), unique=True), min_size=1, max_size=20), st.sets(st.sampled_from("abcd"))
)
def test_every_body_goes_out_once_in_its_image_or_is_late(frames, tracked):
    """Whatever is said to be tracked, and whoever comes."""
    sent = [(id, stamp) for stamp, ids in enumerate(frames, start=2) for id in ids]
    last = len(frames) + 2
    events = [f"{''.join(sorted(tracked))}@1", *(f"{id}{stamp}" for id, stamp in sent), f"@{last}"]
    answers = play(" ".join(events)).split()
    late = answers.count(LATE)
    images = [answer.split("@") for answer in answers if answer != LATE]
    gone_out = [(id, int(stamp)) for ids, stamp in images for id in ids]
    stamps = [int(stamp) for _, stamp in images]
    assert stamps == sorted(set(stamps))
    assert len(set(gone_out)) == len(gone_out) and set(gone_out) <= set(sent)
    assert len(gone_out) + late == len(sent)
    assert late <= len(sent) - len({stamp for _, stamp in sent})  # no image is late as a whole


@given(st.lists(st.permutations("abc"), max_size=10))
def test_who_all_come_are_answered_at_once(frames):
    events = ["abc@1", *(f"{id}{stamp}" for stamp, ids in enumerate(frames, start=2) for id in ids)]
    assert play(" ".join(events)) == " ".join(f"abc@{stamp}" for stamp in range(2, len(frames) + 2))
