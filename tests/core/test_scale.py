"""The metric scale: what feet on the ground say about people's statures, and what they cannot say."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from occpose_core.geometry import stature_m
from occpose_core.scale import (
    SIZE,
    ScaleError,
    check_heights,
    heights,
    known_heights_m,
    measure,
    network_stature_m,
    observe,
)
from occpose_core.skeleton import H36M17
from occpose_core.types import GroundPlane, ScaleSource
from tests.core.cardboard import STATURE_M
from tests.core.grounded import KNEES_AND_ANKLES, LEFT_ANKLE, RIGHT_ANKLE, Room, leg_up, person_world_m, sitting_world_m

UNKNOWN = np.array([np.nan])
FRAME_S = np.array([1 / 30])
rooms = st.builds(
    Room,
    height_m=st.floats(0.4, 4.0),
    distance_m=st.floats(1.5, 8.0),
    pitch=st.floats(-0.3, 1.2),
    roll=st.floats(-0.6, 0.6),
    pan=st.floats(-0.5, 0.5),
)
statures = st.floats(0.9, 2.1)


def after(frames, ground=None, size=None, dt_s=FRAME_S, time_s=2.0):
    """What is known of somebody after a list of poses."""
    size = np.zeros(1, SIZE) if size is None else size
    for poses in frames:
        size = observe(size, poses, ground, dt_s, time_s)
    return size


def stature(room, poses):
    """The measurement in one pose of somebody of whom nothing else is known."""
    size = after([poses])
    log_stature, sd = measure(size, poses, room.ground)
    return float(np.exp(log_stature[0])), float(sd[0])


def in_front(room, joints_world_m):
    return (room.joints_cam_m(joints_world_m)[:, 2] > 0.3).all()


# --- one pose


@given(rooms, statures, st.floats(-3, 3), st.floats(0.3, 3.0))
def test_a_standing_person_is_measured_exactly(room, height_m, turn, size):
    person = person_world_m(height_m, turn)
    assume(in_front(room, person))
    measured, sd = stature(room, room.placed(person, size))
    if np.isfinite(measured):
        assert measured == pytest.approx(height_m * STATURE_OF_ONE, rel=1e-6)
    assert np.isfinite(measured) == (sd < 0.3)


# what stature_m makes of the cardboard figure's bones, over its nominal stature
STATURE_OF_ONE = stature(Room(), Room().placed(person_world_m()))[0] / STATURE_M


@pytest.mark.parametrize("height_m", [0.4, 1.0, 1.5, 2.5, 4.0])
def test_higher_cameras_measure_better(height_m):
    low, high = (stature(r, r.placed(person_world_m()))[1] for r in (Room(height_m=0.35), Room(height_m=height_m)))
    assert 0.01 < high < low


@given(rooms, statures, st.sampled_from([LEFT_ANKLE, RIGHT_ANKLE]), st.floats(-1e6, 1e6))
def test_one_hidden_foot_changes_nothing_and_its_coordinates_never(room, height_m, foot, garbage):
    person = person_world_m(height_m)
    assume(in_front(room, person))
    whole, _ = stature(room, room.placed(person))
    half, _ = stature(room, room.placed(person, hidden=[foot]))
    wild, _ = stature(room, room.placed(person, hidden=[foot], garbage=garbage))
    assert half == pytest.approx(whole, rel=1e-6, nan_ok=True)
    assert wild == half or (np.isnan(wild) and np.isnan(half))


@pytest.mark.parametrize(
    ("side", "up", "down"), [("left", LEFT_ANKLE, RIGHT_ANKLE), ("right", RIGHT_ANKLE, LEFT_ANKLE)]
)
def test_of_somebody_on_one_leg_the_lower_foot_counts(side, up, down):
    room, person = Room(), leg_up(person_world_m(1.8), side)
    for hidden in ((), [up]):
        measured, _ = stature(room, room.placed(person, hidden=hidden))
        assert measured == pytest.approx(1.8 * STATURE_OF_ONE, rel=1e-6)
    assert np.isnan(stature(room, room.placed(person, hidden=[down]))[0]), "the foot that is seen is in the air"


@pytest.mark.parametrize(
    ("person", "hidden"),
    [
        pytest.param(person_world_m(), KNEES_AND_ANKLES, id="both feet hidden"),
        pytest.param(sitting_world_m(), (), id="sits on a high chair"),
        pytest.param(person_world_m()[:, [2, 1, 0]] + [0, 0, 0.3], (), id="lies"),
        pytest.param(person_world_m() * [1, 1, -1] + [0, 0, 2], (), id="stands on the hands"),
    ],
)
def test_who_does_not_stand_on_feet_that_are_seen_is_not_measured(person, hidden):
    room = Room()
    assert np.isnan(stature(room, room.placed(person, hidden=hidden))[0])


@pytest.mark.parametrize(
    "ground",
    [
        pytest.param(GroundPlane(normal_cam=[0, -1, 0], distance_m=0.0), id="camera on the ground"),
        pytest.param(GroundPlane(normal_cam=[0, -1, 0], distance_m=-1.5), id="camera below the ground"),
        pytest.param(GroundPlane(normal_cam=[0, 1, 0], distance_m=1.5), id="upside down"),
        pytest.param(GroundPlane(normal_cam=[0, 0, 1], distance_m=1.5), id="behind the camera"),
        pytest.param(GroundPlane(normal_cam=[0, -1, 0], distance_m=0.05), id="camera near the ground"),
        pytest.param(GroundPlane(normal_cam=[1, 0, 0], distance_m=1.5), id="a wall"),
    ],
)
def test_planes_that_nobody_stands_on_say_nothing(ground):
    room = Room(height_m=1.0, pitch=0.0)
    frames = [room.placed(person_world_m(1.8))] * 60
    size = after(frames, ground)
    found = heights(size, UNKNOWN)
    assert (found.height_m[0], found.source[0], found.metric[0]) == (1.70, ScaleSource.ASSUMED, False)


@settings(max_examples=20)
@given(rooms, statures)
def test_mirrored_people_before_a_mirrored_camera_are_as_tall(room, height_m):
    person = person_world_m(height_m, turn=0.4)
    person[LEFT_ANKLE, 2] += 0.02
    assume(in_front(room, person))
    poses = room.placed(person)
    flip = np.array([-1.0, 1, 1])
    mirrored = dataclasses.replace(
        poses,
        joints_root=poses.joints_root[:, H36M17.mirror] * flip,
        root=poses.root * flip,
        rays=poses.rays[:, H36M17.mirror] * flip[:2],
    )
    ground = GroundPlane(normal_cam=room.ground.normal_cam * flip, distance_m=room.ground.distance_m)
    one, two = after([poses] * 3, room.ground), after([mirrored] * 3, ground)
    assert one["log_likelihood"] == pytest.approx(two["log_likelihood"], abs=1e-9)


# --- over time


@pytest.mark.parametrize("rate_hz", [5.0, 30.0, 120.0])
@pytest.mark.parametrize("height_m", [1.15, 1.55, 1.70, 1.95])
def test_the_estimate_converges_to_the_stature_at_any_rate(rate_hz, height_m):
    room, dt_s = Room(), np.array([1 / rate_hz])
    poses = room.placed(person_world_m(height_m), size=1.3)
    size, errors, sds = None, [], []
    for _ in range(round(10 * rate_hz)):
        size = after([poses], room.ground, size, dt_s)
        found = heights(size, UNKNOWN)
        errors.append(abs(np.log(found.height_m[0] / (height_m * STATURE_OF_ONE))))
        sds.append(found.sd[0])
    assert errors[-1] < 0.01
    assert errors[-1] <= errors[0]
    assert (found.source[0], found.metric[0]) == (ScaleSource.GROUND, True)
    assert sds[-1] < sds[0]


def test_one_frame_does_not_make_a_scale_metric():
    room = Room(height_m=0.6)
    size = after([room.placed(person_world_m(1.9))], room.ground)
    found = heights(size, UNKNOWN)
    assert found.source[0] == ScaleSource.GROUND
    assert not found.metric[0]
    assert 1.70 < found.height_m[0] < 1.75, "and hardly moves it"


def test_a_jump_leaves_little_trace():
    room = Room()
    standing = [room.placed(person_world_m(1.8))] * 60
    jump = [room.placed(person_world_m(1.8, floor_m=0.4 * np.sin(np.pi * t))) for t in np.linspace(0, 1, 15)]
    found = heights(after(standing + jump + standing, room.ground), UNKNOWN)
    assert found.height_m[0] == pytest.approx(1.8 * STATURE_OF_ONE, rel=0.01)


def test_feet_in_the_air_look_farther_never_nearer():
    room = Room()
    up = heights(after([room.placed(person_world_m(1.7, floor_m=0.25))] * 30, room.ground), UNKNOWN).height_m[0]
    down = heights(after([room.placed(person_world_m(1.7, floor_m=-0.25))] * 30, room.ground), UNKNOWN).height_m[0]
    assert abs(np.log(up / 1.7)) < abs(np.log(down / 1.7))


def test_what_was_learned_is_kept_while_the_feet_are_hidden():
    room, person = Room(), person_world_m(1.85)
    before = after([room.placed(person)] * 60, room.ground)
    hidden = [room.placed(person, hidden=KNEES_AND_ANKLES)] * 600
    later = after(hidden, room.ground, before)
    assert (later["log_likelihood"] == before["log_likelihood"]).all()
    assert (after(hidden, None, before)["log_likelihood"] == before["log_likelihood"]).all(), "nor without a ground"


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_noise_is_averaged_and_promised(seed):
    rng = np.random.default_rng(seed)
    room, person = Room(height_m=1.4), person_world_m(rng.uniform(1.5, 1.95), turn=rng.uniform(-3, 3))
    person[LEFT_ANKLE, 2] += 0.05
    bias, size = rng.normal(0, 0.02, 2), None
    for _ in range(90):
        poses = room.placed(person)
        noisy = dataclasses.replace(poses, rays=poses.rays + bias + rng.normal(0, 0.005, poses.rays.shape) * [1, 0.2])
        noisy = dataclasses.replace(noisy, rays=np.where(poses.visible[..., None], noisy.rays, 0.0))
        size = after([noisy], room.ground, size)
    found = heights(size, UNKNOWN)
    assert abs(np.log(found.height_m[0] / stature_m(person))) < 4 * np.hypot(found.sd[0], 0.05)


def test_people_do_not_influence_each_other():
    room = Room()
    tall, short = room.placed(person_world_m(1.9)), room.placed(person_world_m(1.4), hidden=[RIGHT_ANKLE], size=0.7)
    both = type(tall)(
        **{
            field.name: np.concatenate([getattr(tall, field.name), getattr(short, field.name)])
            for field in dataclasses.fields(tall)
        }
    )
    size = np.zeros(2, SIZE)
    for _ in range(30):
        size = observe(size, both, room.ground, np.repeat(FRAME_S, 2), 2.0)
    alone = np.concatenate([after([each] * 30, room.ground) for each in (tall, short)])
    for name in SIZE.names:
        assert size[name] == pytest.approx(alone[name], rel=1e-12)


def test_bones_across_the_view_and_visible_ones_say_how_large_somebody_is():
    room = Room(pitch=0.0)
    person = person_world_m()
    true_m = stature_m(person)
    short = room.placed(person)
    joints = short.joints_root.copy()
    joints[:, KNEES_AND_ANKLES] *= 0.5  # what networks do with legs that they do not see
    unseen = dataclasses.replace(
        short, joints_root=joints, visible=room.placed(person, hidden=KNEES_AND_ANKLES).visible
    )
    size = after([room.placed(person)] * 5 + [unseen] * 60)
    assert network_stature_m(size)[0] == pytest.approx(true_m, rel=0.03)
    assert network_stature_m(after([unseen] * 5))[0] < 0.8 * true_m, "else there is nothing else to go by"


# --- known heights


def test_a_known_height_wins_and_an_id_over_everybody():
    room = Room()
    learned = after([room.placed(person_world_m(1.85))] * 60, room.ground)
    sizes = np.concatenate([learned, learned, np.zeros(1, SIZE)])
    for of_all_m, expected in ((None, (1.5, None, None)), (1.6, (1.5, 1.6, 1.6))):
        found = heights(sizes, known_heights_m(["a", "b", "c"], of_all_m, {"a": 1.5, "z": 1.1}))
        for k, height_m in enumerate(expected):
            if height_m:
                assert (found.height_m[k], found.source[k], found.metric[k]) == (height_m, ScaleSource.KNOWN, True)
    found = heights(sizes, known_heights_m(["a", "b", "c"], None, {}))
    assert list(found.source) == [ScaleSource.GROUND, ScaleSource.GROUND, ScaleSource.ASSUMED]
    assert list(found.metric) == [True, True, False]


@pytest.mark.parametrize("height_m", [0.0, -1.7, 170.0, float("nan"), float("inf")])
def test_heights_that_nobody_has_are_refused(height_m):
    with pytest.raises(ScaleError, match="the height of 'anna' must lie in 0.3 to 3 m"):
        check_heights({"ben": 1.8, "anna": height_m})
