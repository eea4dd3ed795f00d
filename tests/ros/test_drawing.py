"""What is drawn on the image, where, and that nothing a person may hold can break it. No ROS needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from occpose_core.camera import px_from_cam
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin, State
from occpose_ros.adapters import RejectedMessageError, skeletons_to_msg
from occpose_ros.appearance import FILLED_RGB, MEASURED_RGB
from occpose_ros.drawing import PersonOnImage, clip_segments, draw_people
from occpose_ros.images import image_scale
from occpose_ros.overlay import draw_overlay
from tests.ros.people import HEIGHT, WIDTH, camera, skeleton, standing_cam_m

GREY = 128
HIDDEN = ("left_knee", "left_ankle")


def person(hidden=(), sigma_m=0.02, **changes):
    xy_px = px_from_cam(standing_cam_m(), camera()).astype(float)
    origin = np.zeros(len(xy_px), np.uint8)
    origin[[H36M17.index(name) for name in hidden]] = Origin.FILLED
    fields = {"id": "7", "state": State.TRACKED, "xy_px": xy_px, "origin": origin}
    return PersonOnImage(**fields | {"sigma_m": np.full(len(xy_px), sigma_m)} | changes)


def drawn(*people, size=(WIDTH, HEIGHT)):
    image = np.full((size[1], size[0], 3), GREY, np.uint8)
    draw_people(image, people)
    return image


def likeness(image, at_px, rgb, radius=6):
    """Distance of the most alike pixel near a point to a colour, 0..1."""
    x, y = np.rint(at_px).astype(int)
    patch = image[max(y - radius, 0) : y + radius, max(x - radius, 0) : x + radius, ::-1] / 255.0
    return float(np.abs(patch - rgb).max(axis=-1).min())


def test_measured_joints_are_blue_dots_and_filled_ones_orange_rings():
    one = person(HIDDEN)
    image = drawn(one)
    for joint, name in enumerate(H36M17.joints):
        x, y = np.rint(one.xy_px[joint]).astype(int)
        centre = image[y, x, ::-1] / 255.0
        if name in HIDDEN:
            assert likeness(image, (x, y), FILLED_RGB) < 0.1 and np.abs(centre - FILLED_RGB).max() > 0.2
        else:
            assert np.abs(centre - MEASURED_RGB).max() < 0.02


def along(one, first, second, image):
    """Blue, green, red along a bone, (N, 3)."""
    ends = one.xy_px[[H36M17.index(first), H36M17.index(second)]]
    steps = np.linspace(0.15, 0.85, 200)[:, None]
    x, y = np.rint(ends[0] + steps * (ends[1] - ends[0])).astype(int).T
    return image[y, x]


def test_bones_are_solid_where_measured_and_dashed_where_filled():
    one = person(HIDDEN)
    image = drawn(one)
    solid, dashed = (along(one, f"{side}_knee", f"{side}_ankle", image)[:, ::-1] / 255.0 for side in ("right", "left"))
    assert np.abs(solid - MEASURED_RGB).max() < 0.02
    orange = np.abs(dashed - FILLED_RGB).max(axis=1) < 0.15
    assert 0.2 < orange.mean() < 0.9
    assert np.count_nonzero(np.diff(orange.astype(int)) == 1) >= 3  # several dashes


def test_filled_joints_fade_with_uncertainty():
    ankle = person().xy_px[H36M17.index("left_ankle")]
    distances = [likeness(drawn(person(HIDDEN, sigma_m=sigma)), ankle, FILLED_RGB) for sigma in (0.02, 0.08, 0.12)]
    assert distances[0] < distances[1] < distances[2]


def test_unknown_joints_are_left_out():
    origin = np.full(17, Origin.UNKNOWN, np.uint8)
    assert (drawn(person(origin=origin)) == GREY).all()


def test_a_predicted_person_is_labelled_in_orange():
    above_px = person().xy_px[H36M17.index("head_top")] - (0, 30)
    assert likeness(drawn(person()), above_px, FILLED_RGB, 40) > 0.2
    assert likeness(drawn(person(state=State.OCCLUDED)), above_px, FILLED_RGB, 40) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (160, 120), (3840, 200)], ids=str)
def test_any_image_size_will_do(size):
    drawn(person(HIDDEN), size=size)


anything = st.floats(width=32) | st.floats(-2000, 2000)


@settings(max_examples=60, deadline=None)
@given(
    xy_px=hnp.arrays(np.float64, (17, 2), elements=anything),
    origin=hnp.arrays(np.uint8, 17, elements=st.integers(0, 255)),
    sigma_m=hnp.arrays(np.float64, 17, elements=st.floats(0, 10)),
    id=st.text(max_size=60),
)
def test_nothing_that_a_person_holds_can_break_it(xy_px, origin, sigma_m, id):
    drawn(person(xy_px=xy_px, origin=origin, sigma_m=sigma_m, id=id), size=(64, 48))


@settings(max_examples=60, deadline=None)
@given(segments=hnp.arrays(np.float64, (20, 2, 2), elements=st.floats(-1e7, 1e7) | st.floats(-100, 200)))
def test_clipped_segments_lie_in_the_image_and_on_the_segment(segments):
    clipped, inside = clip_segments(segments, 100, 50)
    assert (clipped[inside] >= -1e-6).all() and (clipped[inside] <= (99 + 1e-6, 49 + 1e-6)).all()
    within = ((segments >= 0) & (segments <= (99, 49))).all(axis=(1, 2))
    assert inside[within].all() and np.allclose(clipped[within], segments[within])
    step = segments[:, 1] - segments[:, 0]
    off = clipped[:, 0] - segments[:, 0]
    area = np.abs(step[:, 0] * off[:, 1] - step[:, 1] * off[:, 0])
    assert (area[inside] <= 1e-6 * (1 + (step[inside] ** 2).sum(axis=1))).all()


def test_a_segment_across_the_image_is_cut_at_both_borders():
    clipped, inside = clip_segments(np.array([[[-50.0, 10.0], [150.0, 10.0]]]), 100, 50)
    assert inside.all() and np.allclose(clipped, [[[0, 10], [99, 10]]])


@pytest.mark.parametrize("share", [0.5, 2.0], ids=["half", "double"])
def test_people_are_scaled_to_the_image(types, share):
    msg = skeletons_to_msg([skeleton(hidden=HIDDEN)], [], stamp_ns=0, frame_id="camera", types=types)
    image = np.full((round(HEIGHT * share), round(WIDTH * share), 3), GREY, np.uint8)
    assert draw_overlay(image, msg, (WIDTH, HEIGHT)) == 1
    nose = skeleton().kpts_px[H36M17.index("nose")] * share
    assert likeness(image, nose, MEASURED_RGB, 2) < 0.05


def test_another_aspect_ratio_is_refused():
    with pytest.raises(RejectedMessageError, match="another aspect ratio: remap image and camera_info"):
        image_scale((640, 480), (WIDTH, HEIGHT))
    assert image_scale((640, 480), None).tolist() == [1, 1]


def test_a_person_without_all_joints_is_refused(types):
    msg = skeletons_to_msg([skeleton()], [], stamp_ns=0, frame_id="camera", types=types)
    msg.people[0].xy = types.sequence(skeleton().kpts_px[:-1])
    with pytest.raises(RejectedMessageError, match="32 coordinates") as caught:
        draw_overlay(np.zeros((10, 10, 3), np.uint8), msg, None)
    assert caught.value.reason == "wrong_joint_count"
