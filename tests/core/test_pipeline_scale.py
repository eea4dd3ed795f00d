"""How the pipeline uses known heights and the ground: who is scaled to what, for how long, and what that moves."""

import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.camera import px_from_cam
from occpose_core.geometry import ANKLE_HEIGHT_M
from occpose_core.person import People
from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M, PipelineConfig
from occpose_core.scale import ScaleError
from occpose_core.skeleton import H36M17
from occpose_core.types import GroundPlane, Keypoints2D, ScaleSource, State
from tests.core.cardboard import CAMERA, FIGURE, STATURE_M, CardboardEngine, standing
from tests.core.remembering import RememberingEngine

FRAME_NS = 1_000_000_000 // 30
PELVIS = H36M17.index("pelvis")
LEGS = ("left_knee", "right_knee", "left_ankle", "right_ankle")
SOLE_M = FIGURE[H36M17.index("left_ankle"), 1] + ANKLE_HEIGHT_M / ASSUMED_HEIGHT_M * STATURE_M
TALL = 1.12  # times the cardboard figure


def floor(below_pelvis_m, height_m=1.0):
    """The plane under the soles of a figure whose pelvis is so far below the camera."""
    return GroundPlane(normal_cam=[0, -1, 0], distance_m=below_pelvis_m + SOLE_M * height_m)


def tall(*root, **person):
    return standing(*root, figure=FIGURE * TALL, **person)


def play(pipe, frames, people, ground=None, start=0, **options):
    """Outputs of steps at 30 Hz. people: frame -> list of keypoints."""
    return [
        pipe.step(people(frame), frame * FRAME_NS, CAMERA, ground, **options) for frame in range(start, start + frames)
    ]


def pelvis(output):
    return output.skeletons[0].joints_cam_m[PELVIS]


@pytest.mark.parametrize(
    "engine", [CardboardEngine(), RememberingEngine(4, streaming=True)], ids=["frame", "streaming"]
)
def test_people_on_a_known_ground_stand_where_they_are(engine):
    outputs = play(PosePipeline(engine), 150, lambda _: [tall(0.4, 0.3, 5.0, id="a")], floor(0.3, TALL))
    first, last = outputs[0].skeletons[0], outputs[-1].skeletons[0]
    assert (first.metric, first.scale_source, first.height_m) == (False, ScaleSource.ASSUMED, ASSUMED_HEIGHT_M)
    assert (last.metric, last.scale_source) == (True, ScaleSource.GROUND)
    assert last.height_m == pytest.approx(TALL * STATURE_M, rel=0.01)
    assert pelvis(outputs[-1]) == pytest.approx([0.4, 0.3, 5.0], abs=0.06)


def test_the_place_moves_to_the_new_scale_without_a_jump():
    outputs = play(PosePipeline(CardboardEngine()), 300, lambda _: [tall(0, 0.3, 5.0, id="a")], floor(0.3, TALL))
    depths = np.array([pelvis(output)[2] for output in outputs])
    assert depths[-1] - depths[0] > 0.4
    assert np.abs(np.diff(depths)).max() < 0.15
    assert np.abs(np.diff(depths)[-30:]).max() < 0.001
    assert (depths < 5.1).all(), "it does not overshoot"
    for output in outputs[:30]:
        (skeleton,) = output.skeletons
        assert px_from_cam(skeleton.joints_cam_m, CAMERA) == pytest.approx(skeleton.kpts_px, abs=2.0)


def test_the_estimate_is_kept_behind_furniture_and_without_a_ground():
    pipe, ground = PosePipeline(CardboardEngine()), floor(0.3, TALL)
    learned = play(pipe, 90, lambda _: [tall(0, 0.3, 5, id="a")], ground)[-1].skeletons[0]
    hidden = play(pipe, 60, lambda _: [tall(0, 0.3, 5, id="a", hidden=LEGS)], ground, start=90)[-1].skeletons[0]
    away = play(pipe, 10, lambda _: [], ground, start=150)[-1].skeletons[0]
    back = play(pipe, 5, lambda _: [tall(0, 0.3, 5, id="a")], None, start=160)[-1].skeletons[0]
    assert away.state == State.OCCLUDED
    for later in (hidden, away, back):
        assert later.height_m == pytest.approx(learned.height_m, rel=0.01)
        assert (later.metric, later.scale_source) == (True, ScaleSource.GROUND)


def test_who_comes_back_under_the_same_id_is_as_tall_as_before():
    pipe, ground = PosePipeline(CardboardEngine()), floor(0.3, TALL)
    learned = play(pipe, 90, lambda _: [tall(0, 0.3, 5, id="a")], ground)[-1].skeletons[0]
    assert not play(pipe, 200, lambda _: [], ground, start=90)[-1].skeletons
    back = play(pipe, 1, lambda _: [tall(0, 0.3, 5, id="a")], None, start=290)[-1].skeletons[0]
    assert back.height_m == pytest.approx(learned.height_m, rel=0.02)
    assert (back.metric, back.scale_source) == (True, ScaleSource.GROUND)
    pipe.reset()
    anew = play(pipe, 1, lambda _: [tall(0, 0.3, 5, id="a")], None, start=291)[-1].skeletons[0]
    assert anew.scale_source == ScaleSource.ASSUMED


def test_somebody_else_under_an_old_id_is_measured_in_a_few_seconds():
    pipe = PosePipeline(CardboardEngine())
    play(pipe, 600, lambda _: [tall(0, 0.3, 5, id="a")], floor(0.3, TALL))
    play(pipe, 60, lambda _: [], floor(0.3, TALL), start=600)
    other = play(pipe, 150, lambda _: [standing(0, 0.3, 5, id="a")], floor(0.3), start=660)[-1].skeletons[0]
    assert other.height_m == pytest.approx(STATURE_M, rel=0.02)


def test_memory_of_people_who_left_is_bounded():
    people = People(window=1)
    for k in range(3000):
        people.add([f"p{k}"])
        people.rows["size"]["ground_s"] = 1.0
        people.keep(np.zeros(1, dtype=bool))
    people.add(["p2999", "p0"])
    assert list(people.rows["size"]["ground_s"]) == [1.0, 0.0]
    assert len(people._gone) == 999


def test_everybody_has_a_scale_of_their_own():
    def people(_):
        return [tall(-1, 0.3, 5, id="a"), standing(1, 0.3 + SOLE_M * (TALL - 1), 5, id="b")]

    skeletons = play(PosePipeline(CardboardEngine()), 90, people, floor(0.3, TALL))[-1].skeletons
    assert [s.height_m for s in skeletons] == pytest.approx([TALL * STATURE_M, STATURE_M], rel=0.012)


def test_a_newcomer_learns_from_nobody_else():
    pipe, ground = PosePipeline(CardboardEngine()), floor(0.3, TALL)
    play(pipe, 60, lambda _: [tall(-1, 0.3, 5, id="a")], ground)
    after = play(pipe, 1, lambda _: [tall(-1, 0.3, 5, id="a"), tall(1, 0.3, 5, id="b")], ground, start=60)[-1]
    assert [s.scale_source for s in after.skeletons] == [ScaleSource.GROUND, ScaleSource.ASSUMED]


def test_heights_of_ids_come_before_that_of_everybody_and_both_before_the_ground():
    pipe = PosePipeline(CardboardEngine(), PipelineConfig(target_height_m=1.9))

    def people(_):
        return [standing(-1, 0, 5, id="a"), standing(1, 0, 5, id="b")]

    skeletons = play(pipe, 30, people, floor(0.0), heights_m={"a": 1.5, "nobody": 2.0})[-1].skeletons
    assert [s.height_m for s in skeletons] == [1.5, 1.9]
    assert [(s.metric, s.scale_source) for s in skeletons] == [(True, ScaleSource.KNOWN)] * 2
    assert [s.joints_cam_m[PELVIS, 2] for s in skeletons] == pytest.approx([7.5 / STATURE_M, 9.5 / STATURE_M], rel=0.01)


def test_a_height_told_late_moves_people_once_and_forgetting_it_moves_them_back():
    pipe = PosePipeline(CardboardEngine())

    def people(_):
        return [standing(0.5, 0, 5, id="a")]

    before = pelvis(play(pipe, 30, people)[-1])
    told = [pelvis(output) for output in play(pipe, 30, people, start=30, heights_m={"a": 2.0})]
    forgotten = [pelvis(output) for output in play(pipe, 30, people, start=60)]
    for place in told:
        assert place == pytest.approx(before * 2.0 / ASSUMED_HEIGHT_M, rel=1e-4), "at once, and then it stays"
    for place in forgotten:
        assert place == pytest.approx(before, rel=1e-4)


def test_people_who_are_held_are_scaled_too():
    pipe = PosePipeline(CardboardEngine())
    before = pelvis(play(pipe, 30, lambda _: [standing(0, 0, 5, id="a")])[-1])
    held = play(pipe, 1, lambda _: [], start=30, heights_m={"a": 2.0})[0]
    assert held.skeletons[0].height_m == 2.0
    assert pelvis(held) == pytest.approx(before * 2.0 / ASSUMED_HEIGHT_M, rel=0.01)


def test_who_becomes_somebody_else_is_measured_anew():
    pipe, ground = PosePipeline(CardboardEngine()), floor(0.3, TALL)
    play(pipe, 60, lambda _: [tall(-2, 0.3, 5, id="a")], ground)
    (other,) = [
        skeleton
        for skeleton in play(pipe, 1, lambda _: [tall(2.5, 0.3, 5, id="a")], ground, start=60)[0].skeletons
        if skeleton.state == State.TRACKED
    ]
    assert (other.height_m, other.scale_source) == (ASSUMED_HEIGHT_M, ScaleSource.ASSUMED)


def test_impossible_heights_are_refused_and_change_nothing():
    pipe = PosePipeline(CardboardEngine())
    play(pipe, 1, lambda _: [standing(0, 0, 5, id="a")])
    with pytest.raises(ScaleError, match="the height of 'a'"):
        play(pipe, 1, lambda _: [standing(0, 0, 5, id="a")], start=1, heights_m={"a": 17.0})
    assert play(pipe, 1, lambda _: [standing(0, 0, 5, id="a")], start=1)[0].answered


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-1e4, 1e4))
def test_hidden_coordinates_have_no_influence_on_the_scale(seed, garbage):
    rng = np.random.default_rng(seed)
    one, two = PosePipeline(CardboardEngine()), PosePipeline(CardboardEngine())
    for frame in range(12):
        hidden = rng.choice(H36M17.joints, 4, replace=False)
        clean = tall(0.2, 0.3, 5, id="a", hidden=tuple(hidden))
        wild = np.where(clean.visible[:, None], clean.xy_px, np.float32(garbage))
        answers = [
            pipe.step([person], frame * FRAME_NS, CAMERA, floor(0.3, TALL)).skeletons[0]
            for pipe, person in ((one, clean), (two, dataclasses.replace(clean, xy_px=wild)))
        ]
        assert answers[0].height_m == answers[1].height_m
        assert (answers[0].joints_cam_m == answers[1].joints_cam_m).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6))
def test_whatever_people_and_ground_there_are_only_sound_heights_go_out(seed, distance_m):
    rng = np.random.default_rng(seed)
    pipe = PosePipeline(CardboardEngine())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for frame in range(8):
            ground = GroundPlane(normal_cam=rng.normal(size=3), distance_m=distance_m * rng.normal())
            people = [
                Keypoints2D(
                    id=str(k),
                    xy_px=rng.normal([640, 360], 10.0 ** rng.uniform(0, 3), size=(17, 2)),
                    score=rng.random(17) * (rng.random(17) < 0.8),
                )
                for k in range(3)
            ]
            for skeleton in pipe.step(people, frame * FRAME_NS, CAMERA, ground).skeletons:
                assert np.isfinite(skeleton.joints_cam_m).all()
                assert 0.8 <= skeleton.height_m <= 2.3
