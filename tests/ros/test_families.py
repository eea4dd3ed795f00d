"""What holds for the messages of every detector family, as generated classes and as rosbags reads them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from occpose_core.skeleton import H36M17
from occpose_ros.adapters import INPUTS, RejectedMessageError, keypoints_from_yolo_msg
from tests.ros import families
from tests.ros.families import COCO17, WRITERS, Person, expected, read, standing
from tests.ros.people import FRAME_ID, WIDTH

# hips and shoulders tell left from right; all families have these
SHARED = COCO17.indices(
    *(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "hip", "knee"))
)

# the largest float32 is too large for the checks of generated classes
ANYTHING = st.floats(-(2.0**127), 2.0**127, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    """Up to three people with random joints, each with one score (ZED has no more) of two digits."""
    found = []
    for i in range(draw(st.integers(0, 3))):
        xy_px = draw(hnp.arrays(np.float32, (17, 2), elements=st.floats(1, 700, width=32)))
        visible = draw(hnp.arrays(bool, 17))
        score = np.float32(draw(st.integers(1, 99)) / 100)
        found.append(Person(str(i), xy_px, np.where(visible, score, np.float32(0))))
    return found


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=15)
@given(people=people())
def test_what_is_written_is_read(world, name, people):
    read_back = read(world, name, people)
    seen = [person for person in people if person.score.any() or name != "yolo"]  # who has no joints is not there
    assert (read_back.frame_id, read_back.stamp_ns) == (FRAME_ID, families.STAMP_NS)
    assert set(read_back.dropped) <= {"no_keypoints"}
    assert len(read_back.people) == len(seen)
    for got, person in zip(read_back.people, seen, strict=True):
        xy_px, score = expected(person)
        np.testing.assert_allclose(got.score, score, atol=1e-6)
        np.testing.assert_allclose(got.xy_px[got.visible], xy_px[score > 0], atol=1e-3)


@pytest.mark.parametrize("name", WRITERS)
def test_a_mirrored_image_is_turned_back(world, name):
    """The detector calls the left hand of a mirrored person right, and sees it on the other side."""
    person = standing(x_m=0.4)
    mirrored_px = person.xy_px[COCO17.mirror]
    mirrored_px[:, 0] = (WIDTH - 1) - mirrored_px[:, 0]
    mirrored = Person(person.id, mirrored_px, person.score[COCO17.mirror])
    (straight,) = read(world, name, [person]).people
    (turned,) = read(world, name, [mirrored], mirror=True).people
    np.testing.assert_allclose(turned.xy_px[turned.visible], straight.xy_px[straight.visible], atol=1e-3)
    np.testing.assert_array_equal(turned.score, straight.score)


@pytest.mark.parametrize("name", WRITERS)
def test_left_is_left(world, name):
    """A person who faces the camera has the left hand on the right side of the image."""
    (person,) = read(world, name, [standing()]).people
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        left, right = person.xy_px[H36M17.indices(f"left_{joint}", f"right_{joint}")]
        assert left[0] > WIDTH / 2 > right[0]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        pytest.param("yolo", ["7", "", "cat"], id="strings, empty without a tracker"),
        pytest.param("hri", ["abcde", "x1"], id="part of the topic"),
        pytest.param("zed38", ["7", "", "-32768"], id="numbers, none without tracking, wrapped"),
    ],
)
def test_ids_of_the_detector_are_kept(world, name, ids):
    assert [person.id for person in read(world, name, [standing(id) for id in ids]).people] == ids


def test_openpose_gives_no_ids(world):
    assert [person.id for person in read(world, "body25", [standing("7"), standing("8")]).people] == ["", ""]


@pytest.mark.parametrize("name", WRITERS)
def test_scores_of_joints_are_kept_but_zed_has_none(world, name):
    person = standing()
    person.score[SHARED] = np.linspace(0.3, 0.8, len(SHARED))
    (got,) = read(world, name, [person]).people
    joints = H36M17.indices(*(COCO17.joints[i] for i in SHARED))
    own = np.full(len(SHARED), person.score.max()) if name.startswith("zed") else person.score[SHARED]
    np.testing.assert_allclose(got.score[joints], own, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "layout"), [("yolo", "halpe26"), ("zed38", "zed34"), ("body25", "openpose18"), ("hri", "openpose18")]
)
def test_the_parameter_layout_replaces_that_of_the_family(world, name, layout):
    family, write = WRITERS[name]
    assert INPUTS[family].read(write(world, [standing()]), layout).layout == layout


def test_absurdly_many_people_are_refused(world):
    nobody = families.yolo_detection(world, [])
    msg = world.make("yolo_msgs/DetectionArray", header=world.header(), detections=[nobody] * 1001)
    with pytest.raises(RejectedMessageError, match="1001 people"):
        keypoints_from_yolo_msg(msg)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=15)
@given(
    xy_px=hnp.arrays(np.float32, (17, 2), elements=ANYTHING),
    score=hnp.arrays(np.float32, 17, elements=ANYTHING),
)
def test_no_numbers_break_an_adapter(world, name, xy_px, score):
    family, write = WRITERS[name]
    with np.errstate(all="ignore"):
        msg = write(world, [Person("1", xy_px, score)])
    for person in INPUTS[family].read(msg, "").people:
        assert np.isfinite(person.xy_px[person.visible]).all() and ((person.score >= 0) & (person.score <= 1)).all()


@pytest.mark.parametrize("name", WRITERS)
def test_nobody_is_an_empty_image(world, name):
    found = read(world, name, [])
    assert (len(found.people), found.dropped) == (0, {})


def test_the_cost_of_each_family_can_be_measured(interfaces):
    from tests.ros.measure_adapters import measure_ms

    ms = measure_ms(people=2)
    assert {name for name, _ in ms} == {"occpose", *WRITERS}
    assert all(value > 0 for value in ms.values())
