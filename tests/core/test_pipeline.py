"""PosePipeline: what it answers, what it drops, and whom it remembers for how long."""

import dataclasses
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from occpose_core.admission import PeopleError, admit
from occpose_core.camera import px_from_cam
from occpose_core.geometry import stature_m
from occpose_core.pipeline import PipelineError, PosePipeline
from occpose_core.pipeline_config import ConfigError, PipelineConfig
from occpose_core.runtime import load
from occpose_core.runtime.engine import Lifted
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Keypoints2D, Origin, State
from tests.core.cardboard import CAMERA, FIGURE, JOINTS, STATURE_M, CardboardEngine, standing
from tests.core.remembering import RememberingEngine
from tests.tolerances import FLOAT32

SECOND = 1_000_000_000
FRAME = SECOND // 30
ARM = ("left_shoulder", "left_elbow", "left_wrist")
PELVIS = H36M17.index("pelvis")
seeds = st.integers(0, 2**32 - 1)


def pipeline(engine=None, **config):
    return PosePipeline(engine or CardboardEngine(), PipelineConfig(**config))


def metric(**config):
    """A pipeline that knows the cardboard person's height and does not smooth."""
    return pipeline(target_height_m=STATURE_M, min_cutoff_hz=0.0, **config)


def walk(pipe, frames, root=(0.0, 0.0, 5.0), velocity_mps=(0.0, 0.0, 0.0), start=0, **person):
    """Steps of one person at 30 Hz; the last output."""
    for frame in range(start, start + frames):
        place = np.array(root) + np.array(velocity_mps) * frame / 30
        output = pipe.step([standing(*place, **{"id": "a", **person})], frame * FRAME, CAMERA)
    return output


def everything(output):
    """All that an output says, as bytes and plain values."""
    people = [
        tuple(x.tobytes() if isinstance(x, np.ndarray) else x for x in vars(skeleton).values())
        for skeleton in output.skeletons
    ]
    return people, output.lost_ids, output.dropped, output.reset, output.answered


# --- one person, one frame


@pytest.mark.parametrize("root", [(0, 0, 4), (0.8, 0.1, 5), (-1.2, -0.2, 9), (0.3, 0.0, 2.5)], ids=str)
def test_people_stand_where_they_are(root):
    (skeleton,) = metric().step([standing(*root)], 0, CAMERA).skeletons
    assert skeleton.joints_cam_m == pytest.approx(FIGURE + np.array(root), abs=0.03 * root[2])
    assert px_from_cam(skeleton.joints_cam_m, CAMERA) == pytest.approx(standing(*root).xy_px, abs=5)
    assert (skeleton.state, skeleton.metric) == (State.TRACKED, True)


@pytest.mark.parametrize(("given", "height_m"), [(1.9, 1.9), (1.2, 1.2), (None, 1.7)])
def test_height_sets_size_and_distance(given, height_m):
    (skeleton,) = pipeline(target_height_m=given).step([standing(0, 0, 5)], 0, CAMERA).skeletons
    assert stature_m(skeleton.joints_cam_m) == pytest.approx(height_m, abs=0.001)
    assert skeleton.joints_cam_m[PELVIS, 2] == pytest.approx(5 * height_m / STATURE_M, abs=0.05)
    assert skeleton.height_m == height_m
    assert skeleton.metric == (given is not None)


def test_arrays_are_what_the_types_promise():
    (skeleton,) = pipeline().step([standing(0, 0, 5)], 0, CAMERA).skeletons
    for array, shape, dtype in (
        (skeleton.joints_cam_m, (JOINTS, 3), np.float32),
        (skeleton.sigma_m, (JOINTS,), np.float32),
        (skeleton.origin, (JOINTS,), np.uint8),
        (skeleton.kpts_px, (JOINTS, 2), np.float32),
    ):
        assert (array.shape, array.dtype) == (shape, dtype)


@pytest.mark.parametrize("filled", [pytest.param(True, id="model fills"), pytest.param(False, id="projection")])
@pytest.mark.parametrize("score", [1.0, 0.3])
def test_measured_joints_keep_their_pixels_and_hidden_ones_get_good_ones(filled, score):
    person = standing(0.5, 0, 5, hidden=ARM, score=np.full(JOINTS, score))
    (skeleton,) = pipeline(CardboardEngine(filled=filled)).step([person], 0, CAMERA).skeletons
    assert (skeleton.kpts_px[person.visible] == person.xy_px[person.visible]).all()
    assert skeleton.kpts_px[~person.visible] == pytest.approx(standing(0.5, 0, 5).xy_px[~person.visible], abs=5)
    assert (skeleton.origin == np.where(person.visible, Origin.MEASURED, Origin.FILLED)).all()


def test_distorted_cameras_get_distorted_pixels():
    fisheye = Camera(width=1280, height=720, K=CAMERA.K, D=[0.1, -0.02, 0.01, 0], distortion_model="equidistant")
    person = standing(1.0, 0.2, 4, camera=fisheye, hidden=ARM)
    (skeleton,) = metric().step([person], 0, fisheye).skeletons
    assert skeleton.joints_cam_m == pytest.approx(FIGURE + [1.0, 0.2, 4], abs=0.12)
    assert skeleton.kpts_px == pytest.approx(standing(1.0, 0.2, 4, camera=fisheye).xy_px, abs=8)


@pytest.mark.parametrize(
    ("engine", "measured_m", "filled_m"),
    [
        pytest.param(CardboardEngine(), 0.05, 0.15, id="no sigma in the model"),
        pytest.param(CardboardEngine(sigma=0.1), 0.1, 0.3, id="the model's"),
    ],
)
def test_sigma_is_in_the_metres_of_the_answer(engine, measured_m, filled_m):
    person = standing(0, 0, 5, hidden=ARM)
    (skeleton,) = pipeline(engine, target_height_m=1.5 * STATURE_M).step([person], 0, CAMERA).skeletons
    assert skeleton.sigma_m == pytest.approx(np.where(person.visible, 1.5 * measured_m, 1.5 * filled_m), rel=0.01)


@pytest.mark.parametrize("later_ns", [1, FRAME, 15 * FRAME])
def test_a_joint_just_hidden_is_hardly_surer_than_when_it_was_seen(later_ns):
    pipe = metric()
    walk(pipe, 1)
    (skeleton,) = pipe.step([standing(0, 0, 5, id="a", hidden=ARM)], later_ns, CAMERA).skeletons
    hidden, seen = skeleton.origin == Origin.FILLED, skeleton.origin == Origin.MEASURED
    assert 0.9 * skeleton.sigma_m[seen].max() < skeleton.sigma_m[hidden].min() < 0.15


def test_uncertain_joints_are_unknown():
    (skeleton,) = pipeline(CardboardEngine(sigma=0.2)).step([standing(0, 0, 5, hidden=ARM)], 0, CAMERA).skeletons
    hidden = skeleton.sigma_m > 0.5
    assert hidden.sum() == len(ARM)
    assert (skeleton.origin == np.where(hidden, Origin.UNKNOWN, Origin.MEASURED)).all()
    assert np.isfinite(skeleton.joints_cam_m).all()


# --- what is not let in


def stacked(**changes):
    """Somebody whose joints all lie on one pixel."""
    return Keypoints2D(xy_px=np.full((JOINTS, 2), 300.0), score=np.ones(JOINTS), **changes)


@pytest.mark.parametrize(
    ("people", "config", "ids", "dropped"),
    [
        pytest.param([], {}, [], {}, id="nobody"),
        pytest.param([standing(0, 0, 5, score=np.zeros(JOINTS))], {}, [], {"too_few_joints": 1}, id="no joint"),
        pytest.param(
            [standing(0, 0, 5, id="a", hidden=H36M17.joints[3:])], {}, [], {"too_few_joints": 1}, id="three joints"
        ),
        pytest.param([standing(0, 0, 5, id="a", hidden=H36M17.joints[4:])], {}, ["a"], {}, id="four joints"),
        pytest.param([standing(0, 0, 5, score=np.full(JOINTS, 0.29))], {}, [], {"too_few_joints": 1}, id="low scores"),
        pytest.param([standing(0, 0, 5, score=np.full(JOINTS, 0.29))], {"min_score": 0.2}, ["t1"], {}, id="allowed"),
        pytest.param([standing(90, 0, 5)], {}, [], {"too_few_joints": 1}, id="far outside the image"),
        pytest.param([standing(0, 0, 5)] * 2, {}, ["t1", "t2"], {}, id="unnamed people are not duplicates"),
        pytest.param(
            [standing(x, 0, 5, id="a", score=np.full(JOINTS, s)) for x, s in ((1, 0.5), (0, 0.9), (-1, 0.7))],
            {}, ["a"], {"duplicate_id": 2}, id="duplicate ids",
        ),
        pytest.param(
            [standing(x, 0, z, id=f"{z}") for x, z in ((1, 8), (0, 4), (-1, 9), (-2, 6))],
            {"max_persons": 2}, ["4", "6"], {"max_persons": 2}, id="the largest of a crowd",
        ),
        pytest.param(
            [standing(x, 0, z, id=f"{z}", score=np.full(JOINTS, s)) for x, z, s in ((1, 5, 0.3), (-1, 6, 1))],
            {"max_persons": 1}, ["6"], {"max_persons": 1}, id="rather sure than a little larger",
        ),
        pytest.param([stacked(id="a")], {}, [], {"non_finite": 1}, id="a point is no person"),
    ],
)  # fmt: skip
def test_admission(people, config, ids, dropped):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the cardboard engine divides by the size of a point
        output = pipeline(**config).step(people, 0, CAMERA)
    assert [skeleton.id for skeleton in output.skeletons] == ids
    assert output.dropped == dropped
    assert output.answered


def test_of_duplicate_ids_the_surest_stays():
    people = [standing(x, 0, 5, id="a", score=np.full(JOINTS, s)) for x, s in ((1, 0.5), (0, 0.9), (-1, 0.7))]
    (skeleton,) = metric().step(people, 0, CAMERA).skeletons
    assert skeleton.joints_cam_m[PELVIS, 0] == pytest.approx(0, abs=0.05)


def test_joints_a_little_outside_the_image_are_kept():
    person = standing(0, 0.0, 1.9)  # feet 18 px below the border of 720
    outside = (person.xy_px > 720).any(axis=-1)
    assert outside.any()
    (kept,) = pipeline().step([person], 0, CAMERA).skeletons
    (cut,) = pipeline(image_margin=0.0).step([person], 0, CAMERA).skeletons
    assert (kept.origin == Origin.MEASURED).all()
    assert ((cut.origin == Origin.FILLED) == outside).all()


@pytest.mark.parametrize(
    ("outside_px", "share"),
    [
        pytest.param(0.0, 1.0, id="at the border"),
        pytest.param(36.0, 0.5, id="half the margin"),
        pytest.param(71.0, 1 / 72, id="nearly the margin"),
        pytest.param(72.0, 0.0, id="the margin"),
        pytest.param(1e6, 0.0, id="far away"),
    ],
)
def test_joints_outside_the_image_count_the_less_the_farther_they_are(outside_px, share):
    person = standing(0.0, 0.0, 5.0)
    person.xy_px[3, 1] = 720 + outside_px
    _, seen = admit([person], PipelineConfig(min_score=0.0), CAMERA, Counter())
    np.testing.assert_allclose(seen.score[0], np.where(np.arange(17) == 3, share, 1) * person.score, rtol=1e-4)


# --- masks, order, determinism


def scene(rng, frames, people):
    """Random walks of people with random gaps; per frame a list of Keypoints2D."""
    place = rng.uniform([-1.5, -0.2, 4], [1.5, 0.2, 8], (people, 3))
    steps = []
    for _ in range(frames):
        place = place + rng.normal(0, 0.02, (people, 3))
        scores = rng.random((people, JOINTS)) * (rng.random((people, JOINTS)) < 0.8)
        steps.append([standing(*place[k], id=f"p{k}", score=scores[k]) for k in range(people) if rng.random() < 0.9])
    return steps


def play(pipe, steps):
    return [pipe.step(people, frame * FRAME, CAMERA) for frame, people in enumerate(steps)]


@settings(max_examples=25)
@given(seed=seeds, garbage=st.sampled_from([0.0, 1e6, -3e38, np.inf, np.nan]), window=st.sampled_from([1, 5]))
def test_hidden_coordinates_have_no_influence(seed, garbage, window):
    steps = scene(np.random.default_rng(seed), 6, 3)
    spoiled = [
        [dataclasses.replace(p, xy_px=np.where(p.score[:, None] > 0, p.xy_px, np.float32(garbage))) for p in people]
        for people in steps
    ]
    clean, other = (play(pipeline(CardboardEngine(window, filled=True)), given) for given in (steps, spoiled))
    assert [everything(output) for output in clean] == [everything(output) for output in other]


@pytest.mark.parametrize("garbage", [0.0, 500.0])
def test_joints_below_the_score_threshold_have_no_influence(garbage):
    person = standing(0, 0, 5, score=[0.2, *[1.0] * (JOINTS - 1)])
    moved = dataclasses.replace(person, xy_px=np.where(person.score[:, None] < 0.3, garbage, person.xy_px))
    assert everything(pipeline().step([person], 0, CAMERA)) == everything(pipeline().step([moved], 0, CAMERA))


@settings(max_examples=25)
@given(seed=seeds)
def test_the_same_input_gives_the_same_bytes(seed):
    steps = scene(np.random.default_rng(seed), 8, 4)
    first, second = (play(pipeline(CardboardEngine(3)), steps) for _ in range(2))
    assert [everything(output) for output in first] == [everything(output) for output in second]


@settings(max_examples=25)
@given(seed=seeds)
def test_people_do_not_influence_each_other(seed):
    steps = scene(np.random.default_rng(seed), 6, 3)
    together = play(pipeline(), steps)
    for name in ("p0", "p1", "p2"):
        alone = play(pipeline(), [[person for person in people if person.id == name] for people in steps])
        for crowd, single in zip(together, alone, strict=True):
            expected = [skeleton for skeleton in crowd.skeletons if skeleton.id == name]
            assert len(single.skeletons) == len(expected)
            for a, b in zip(single.skeletons, expected, strict=True):
                assert a.joints_cam_m == pytest.approx(b.joints_cam_m, abs=FLOAT32)
                assert (a.state, a.origin.tolist()) == (b.state, b.origin.tolist())


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(lambda: CardboardEngine(window=3, sigma=0.1, filled=True), id="window"),
        pytest.param(lambda: CardboardEngine(), id="neither sigma nor 2D"),
        pytest.param(load, id="remembers"),
    ],
)
def test_nobody_is_answered_otherwise_because_somebody_hides(engine):
    """Where all people are seen, and none is new, a step leaves out what only others need."""
    both, alone = pipeline(engine()), pipeline(engine())
    for frame in range(10):
        person = standing(0.02 * frame, 0, 5, id="a", hidden=ARM if frame % 3 else ())
        companion = standing(1.5, 0, 6, id="b", hidden=H36M17.joints[2:] if frame == 6 else ())
        people = [person] if frame in (3, 4, 5) else [person, companion]
        output = both.step(people, frame * FRAME, CAMERA)
        (expected,) = alone.step([person], frame * FRAME, CAMERA).skeletons
        (skeleton,) = [each for each in output.skeletons if each.id == "a"]
        for name in ("joints_cam_m", "sigma_m", "kpts_px"):
            np.testing.assert_allclose(getattr(skeleton, name), getattr(expected, name), rtol=FLOAT32, atol=FLOAT32)
        assert (skeleton.origin == expected.origin).all()


@settings(max_examples=25)
@given(seed=seeds)
def test_the_order_of_people_does_not_matter(seed):
    steps = scene(np.random.default_rng(seed), 6, 4)
    for straight, reverse in zip(play(metric(), steps), play(metric(), [s[::-1] for s in steps]), strict=True):
        assert straight.dropped == reverse.dropped
        of = {skeleton.id: skeleton for skeleton in reverse.skeletons}
        assert {skeleton.id for skeleton in straight.skeletons} == set(of)
        for skeleton in straight.skeletons:
            assert skeleton.joints_cam_m == pytest.approx(of[skeleton.id].joints_cam_m, abs=FLOAT32)


@settings(max_examples=25)
@given(seed=seeds)
def test_mirrored_people_are_mirrored(seed):
    steps = scene(np.random.default_rng(seed), 4, 2)

    def mirrored(person):
        xy = person.xy_px[H36M17.mirror] * [-1, 1] + [2 * CAMERA.K[0, 2], 0]
        return dataclasses.replace(person, xy_px=xy, score=person.score[H36M17.mirror])

    straight, other = play(pipeline(), steps), play(pipeline(), [[mirrored(p) for p in people] for people in steps])
    for a, b in zip(straight, other, strict=True):
        for one, two in zip(a.skeletons, b.skeletons, strict=True):
            assert two.joints_cam_m[H36M17.mirror] * [-1, 1, 1] == pytest.approx(one.joints_cam_m, abs=1e-3)


@settings(max_examples=25)
@given(seed=seeds, pan=st.floats(-0.7, 0.7))
def test_a_panned_camera_sees_the_same_people_turned(seed, pan):
    turn = Rotation.from_euler("y", pan).as_matrix()
    joints = FIGURE + np.random.default_rng(seed).uniform([-0.5, -0.3, 3], [0.5, 0.3, 8])
    people = [Keypoints2D(xy_px=px_from_cam(x, CAMERA), score=np.ones(JOINTS)) for x in (joints, joints @ turn.T)]
    (straight,), (turned,) = (metric(image_margin=10.0).step([p], 0, CAMERA).skeletons for p in people)
    assert turned.joints_cam_m == pytest.approx(straight.joints_cam_m @ turn.T, abs=1e-3)


# --- time


@pytest.mark.parametrize(
    ("later_ns", "dropped", "reset"),
    [
        pytest.param(FRAME, {}, False, id="next frame"),
        pytest.param(1, {}, False, id="a nanosecond"),
        pytest.param(0, {"duplicate_stamp": 1}, False, id="same stamp"),
        pytest.param(-FRAME, {"out_of_order": 1}, False, id="a little late"),
        pytest.param(-SECOND // 2, {"out_of_order": 1}, False, id="at the limit"),
        pytest.param(-SECOND, {}, True, id="bag played again"),
    ],
)
def test_stamps(later_ns, dropped, reset):
    pipe = pipeline()
    now = 10 * SECOND
    pipe.step([standing(0, 0, 5, id="a"), standing(1, 0, 5)], now, CAMERA)
    output = pipe.step([standing(0, 0, 5, id="a")], now + later_ns, CAMERA)
    assert (output.dropped, output.reset, output.answered) == (dropped, reset, not dropped)
    assert output.stamp_ns == now + later_ns
    if dropped:
        assert (output.skeletons, output.lost_ids) == ((), ())
    if reset:
        assert [skeleton.id for skeleton in output.skeletons] == ["a"]
        assert output.lost_ids == ("t1",)


def test_a_dropped_message_changes_nothing():
    steps = scene(np.random.default_rng(5), 6, 2)
    plain, disturbed = pipeline(), pipeline()
    for frame, people in enumerate(steps):
        expected = everything(plain.step(people, frame * FRAME, CAMERA))
        assert everything(disturbed.step(people, frame * FRAME, CAMERA)) == expected
        disturbed.step([standing(3, 0, 9, id="x")], frame * FRAME - frame % 2, CAMERA)


def test_a_reset_leaves_no_past():
    steps = scene(np.random.default_rng(6), 5, 2)
    fresh, used = pipeline(CardboardEngine(4)), pipeline(CardboardEngine(4))
    play(used, scene(np.random.default_rng(7), 5, 2))
    used.reset()
    for a, b in zip(play(fresh, steps), play(used, steps), strict=True):
        assert everything(a)[0] == everything(b)[0]


def test_other_camera_frame_is_another_place_but_zoom_is_not():
    pipe = pipeline()
    walk(pipe, 3)
    zoomed = dataclasses.replace(CAMERA, K=CAMERA.K * [[2], [2], [1]], width=2560, height=1440)
    output = pipe.step([standing(0, 0, 5, id="a", camera=zoomed)], 3 * FRAME, zoomed)
    assert not output.reset
    assert output.dropped == {}
    moved = dataclasses.replace(CAMERA, frame_id="other")
    output = pipe.step([standing(1, 0, 5, id="b")], 4 * FRAME, moved)
    assert output.reset
    assert output.lost_ids == ("a",)
    assert [skeleton.id for skeleton in output.skeletons] == ["b"]


# --- hidden and lost


def test_hidden_people_walk_on_and_slow_down():
    pipe = metric()
    walk(pipe, 30, velocity_mps=(0.9, 0, 0))
    last = 0.9 * 29 / 30
    ahead, sigma = [], []
    for frame in range(30, 44):
        (skeleton,) = pipe.step([], frame * FRAME, CAMERA).skeletons
        assert (skeleton.id, skeleton.state) == ("a", State.OCCLUDED)
        assert (skeleton.origin == Origin.FILLED).all()
        ahead.append(skeleton.joints_cam_m[PELVIS, 0] - last)
        sigma.append(skeleton.sigma_m.mean())
    assert ahead[0] == pytest.approx(0.9 / 30, abs=0.01)
    assert (np.diff(ahead) > 0).all()
    assert (np.diff(ahead, 2) < 1e-6).all(), "the velocity fades"
    assert (np.diff(sigma) > 0).all()
    assert skeleton.joints_cam_m - skeleton.joints_cam_m[PELVIS] == pytest.approx(FIGURE, abs=0.03)


@pytest.mark.parametrize(
    "people",
    [
        pytest.param([], id="absent"),
        pytest.param([standing(0, 0, 5, id="a", hidden=H36M17.joints[3:])], id="three joints left"),
    ],
)
def test_people_are_held_then_lost_exactly_once(people):
    pipe = pipeline(hold_s=0.5)
    walk(pipe, 1)
    states, lost = [], []
    for frame in range(1, 60):
        output = pipe.step(people, frame * FRAME, CAMERA)
        states += [skeleton.state for skeleton in output.skeletons]
        lost += [(frame, name) for name in output.lost_ids]
    assert states == [State.OCCLUDED] * 15
    assert lost == [(16, "a")]


def test_a_few_visible_joints_stay_measured_in_the_image():
    pipe = pipeline()
    walk(pipe, 1)
    person = standing(0.01, 0, 5, id="a", hidden=H36M17.joints[3:])
    (skeleton,) = pipe.step([person], FRAME, CAMERA).skeletons
    assert skeleton.state == State.OCCLUDED
    assert (skeleton.origin == np.where(person.visible, Origin.MEASURED, Origin.FILLED)).all()
    assert (skeleton.kpts_px[person.visible] == person.xy_px[person.visible]).all()


@pytest.mark.parametrize(
    ("away_frames", "lost", "window_has_past"),
    [
        pytest.param(5, False, True, id="held"),
        pytest.param(20, True, True, id="lost but not forgotten"),
        pytest.param(40, True, False, id="forgotten"),
    ],
)
def test_coming_back(away_frames, lost, window_has_past):
    engine = CardboardEngine(window=30)
    pipe = pipeline(engine, hold_s=0.5, gap_s=1.0)
    walk(pipe, 3)
    outputs = [pipe.step([], (3 + k) * FRAME, CAMERA) for k in range(away_frames - 1)]
    output = walk(pipe, 1, start=2 + away_frames)
    assert [skeleton.state for skeleton in output.skeletons] == [State.TRACKED]
    assert any(o.lost_ids for o in outputs) == lost
    assert (not engine.calls[-1][1][0].all()) == window_has_past, "the absence stands in the window as masked frames"


def test_after_silence_nobody_is_remembered():
    engine = CardboardEngine(window=4)
    pipe = pipeline(engine)
    walk(pipe, 3)
    output = pipe.step([standing(1.0, 0, 4, id="a")], 10 * SECOND, CAMERA)
    (skeleton,) = output.skeletons
    assert output.dropped == {}
    assert skeleton.joints_cam_m[PELVIS, 0] == pytest.approx(1.0, abs=0.05), "not drawn towards the old place"
    kpts, _ = engine.calls[-1]
    assert (kpts[0] == kpts[0, -1]).all()


def test_an_id_that_goes_to_somebody_else_names_somebody_new():
    engine = CardboardEngine(window=4)
    pipe = pipeline(engine, target_height_m=STATURE_M)
    walk(pipe, 10, root=(-1, 0, 5))
    output = pipe.step([standing(1, 0, 5, id="a")], 10 * FRAME, CAMERA)
    assert output.dropped == {"pose_jump": 1}
    old, new = output.skeletons
    assert [(s.id, s.state) for s in (old, new)] == [("a", State.OCCLUDED), ("a#2", State.TRACKED)]
    assert new.joints_cam_m[PELVIS] == pytest.approx([1, 0, 5], abs=0.1), "not blended with the other person"
    assert old.joints_cam_m[PELVIS] == pytest.approx([-1, 0, 5], abs=0.1)
    kpts, visible = engine.calls[-1]
    assert (kpts[-1] == kpts[-1, -1]).all()


@pytest.mark.parametrize("hz", [5, 15, 30, 120])
def test_runners_do_not_count_as_somebody_else(hz):
    pipe = pipeline()
    for frame in range(hz):
        x = -2 + 4.0 * frame / hz
        output = pipe.step([standing(x, 0, 6, id="a")], round(frame * SECOND / hz), CAMERA)
        assert output.dropped == {}, f"frame {frame}"


# --- ids


def test_unnamed_people_keep_their_given_ids():
    pipe, rng = pipeline(), np.random.default_rng(0)
    for frame in range(30):
        people = [standing(-1 + 0.03 * frame, 0, 5), standing(1 - 0.03 * frame, 0, 7), standing(0, 0, 9, id="named")]
        order = rng.permutation(3) if frame else np.arange(3)
        output = pipe.step([people[i] for i in order], frame * FRAME, CAMERA)
        depth = {skeleton.id: skeleton.joints_cam_m[PELVIS, 2] for skeleton in output.skeletons}
        assert depth.keys() == {"t1", "t2", "named"}
        assert depth["t1"] < depth["t2"] < depth["named"]


def test_given_ids_are_not_reused_after_a_reset_nor_taken_from_the_detector():
    pipe = pipeline()
    assert pipe.step([standing(0, 0, 5)], 0, CAMERA).skeletons[0].id == "t1"
    pipe.reset()
    ids = [s.id for s in pipe.step([standing(0, 0, 5), standing(1, 0, 5, id="t2")], 0, CAMERA).skeletons]
    assert ids == ["t3", "t2"]


# --- windows


def test_windows_repeat_the_oldest_frame_while_they_fill():
    engine = CardboardEngine(window=4)
    pipe = pipeline(engine)
    for frame in range(6):
        pipe.step([standing(0.02 * frame, 0, 5 - 0.1 * frame, id="a")], frame * FRAME, CAMERA)
        kpts, visible = engine.calls[-1]
        assert kpts.shape == (1, 4, JOINTS, 2)
        distinct = len(np.unique(kpts[0].round(4), axis=0))
        assert distinct == min(frame + 1, 4)
        assert (kpts[0, : 4 - distinct] == kpts[0, 0]).all()
        assert visible.all()


def test_scores_reach_the_network():
    engine = CardboardEngine(window=2)
    pipe, rng = pipeline(engine, min_score=0.3), np.random.default_rng(0)
    scores = rng.random((2, JOINTS))
    for frame, score in enumerate(scores):
        pipe.step([standing(0, 0, 5, id="a", score=score)], frame * FRAME, CAMERA)
    _, given = engine.calls[-1]
    assert (given[0] == np.where(scores < 0.3, 0, scores).astype(np.float32)).all()


@settings(max_examples=25)
@given(seed=seeds, window=st.sampled_from([1, 2, 7]))
def test_a_streaming_engine_answers_as_its_windowed_twin(seed, window):
    rng = np.random.default_rng(seed)
    steps = scene(rng, 25, 4)
    for frame in (4, 5, 12):  # nobody is seen, or hardly anything of them
        steps[frame] = [dataclasses.replace(p, score=p.score * (np.arange(JOINTS) < 2)) for p in steps[frame]]
    steps[8] = []
    ids = rng.permutation(4)
    steps[15:] = [[dataclasses.replace(p, id=f"p{ids[int(p.id[1])]}") for p in people] for people in steps[15:]]
    windowed, streamed = (
        play(pipeline(RememberingEngine(window, streaming, sigma=0.1, filled=True), gap_s=0.12, hold_s=0.1), steps)
        for streaming in (False, True)
    )
    assert [everything(output) for output in streamed] == [everything(output) for output in windowed]


def test_an_engine_that_answers_late_is_refused():
    engine = CardboardEngine(window=9)
    engine.info = dataclasses.replace(engine.info, look_ahead_s=0.1333)
    with pytest.raises(PipelineError, match="'cardboard' answers 0.1333 s late"):
        PosePipeline(engine)


def test_one_call_of_the_network_serves_everybody():
    engine = CardboardEngine()
    pipe = pipeline(engine)
    people = [standing(x, 0, 8, id=f"{x}") for x in (-2, -1, 0, 1, 2)]
    assert len(pipe.step(people, 0, CAMERA).skeletons) == 5
    assert [len(kpts) for kpts, _ in engine.calls] == [5]
    pipe.step([], FRAME, CAMERA)
    assert len(engine.calls) == 1, "none is needed for nobody"


def test_hidden_joints_are_zero_for_the_network():
    engine = CardboardEngine(window=2)
    play(pipeline(engine), scene(np.random.default_rng(0), 5, 2))
    for kpts, visible in engine.calls:
        assert (kpts[visible == 0] == 0).all()


# --- engines that fail


class Faulty(CardboardEngine):
    """Spoils the answer for the person that stands farthest left, in the given way, when told to."""

    def __init__(self, spoil):
        super().__init__(sigma=0.1, filled=True)
        self.spoil, self.active = spoil, False

    def run(self, kpts, visible):
        lifted = super().run(kpts, visible)
        arrays = {name: getattr(lifted, name).copy() for name in ("joints_root_m", "sigma_m", "filled")}
        if self.active:
            self.spoil(arrays)
        return Lifted(**arrays)


def put(name, value):
    def spoil(arrays):
        arrays[name][0, ...] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(put("joints_root_m", np.nan), id="joints nan"),
        pytest.param(put("joints_root_m", np.inf), id="joints inf"),
        pytest.param(put("joints_root_m", 0.0), id="joints collapsed"),
        pytest.param(put("sigma_m", np.nan), id="sigma nan"),
        pytest.param(put("sigma_m", -1.0), id="sigma negative"),
        pytest.param(put("filled", -np.inf), id="filled inf"),
    ],
)
def test_a_broken_answer_is_not_published_and_not_remembered(spoil):
    engine = Faulty(spoil)
    pipe = pipeline(engine)
    people = [standing(-1, 0, 5, id="a"), standing(1, 0, 5, id="b")]
    pipe.step(people, 0, CAMERA)
    engine.active = True
    output = pipe.step(people, FRAME, CAMERA)
    assert output.dropped == {"non_finite": 1}
    assert [skeleton.id for skeleton in output.skeletons] == ["b"]
    assert output.lost_ids == ("a",)
    engine.active = False
    output = pipe.step(people, 2 * FRAME, CAMERA)
    fresh = pipeline(Faulty(spoil)).step(people, 0, CAMERA)
    again, first = ({s.id: s for s in o.skeletons}["a"] for o in (output, fresh))
    assert again.joints_cam_m.tobytes() == first.joints_cam_m.tobytes()


def test_a_step_that_failed_leaves_nobody_half_known():
    engine = Faulty(lambda arrays: arrays["nothing"])
    pipe = pipeline(engine)
    known, new = standing(-1, 0, 5, id="a"), standing(1, 0, 5, id="b")
    pipe.step([known], 0, CAMERA)
    engine.active = True
    with pytest.raises(KeyError):
        pipe.step([known, new], FRAME, CAMERA)
    engine.active = False
    output = pipe.step([known, new], 2 * FRAME, CAMERA)
    assert [skeleton.id for skeleton in output.skeletons] == ["a", "b"] and not output.dropped
    (fresh,) = pipeline(Faulty(None)).step([new], 0, CAMERA).skeletons
    assert output.skeletons[1].joints_cam_m == pytest.approx(fresh.joints_cam_m, abs=FLOAT32)


def test_a_huge_answer_is_not_a_broken_one():
    engine = Faulty(put("sigma_m", 1e30))  # whose square is beyond single precision
    engine.active = True
    (skeleton,) = pipeline(engine).step([standing(0, 0, 5)], 0, CAMERA).skeletons
    assert (skeleton.origin == Origin.UNKNOWN).all()
    assert skeleton.sigma_m == pytest.approx(np.full(JOINTS, 1e30), rel=0.1)


def test_people_who_cannot_be_placed_are_held():
    engine = Faulty(put("joints_root_m", -FIGURE))  # upside down: no place in front of the camera fits
    pipe = pipeline(engine)
    walk(pipe, 2)
    engine.active = True
    output = walk(pipe, 1, start=2)
    assert output.dropped == {"not_placed": 1}
    assert [skeleton.state for skeleton in output.skeletons] == [State.OCCLUDED]
    assert pipeline(engine).step([standing(0, 0, 5)], 0, CAMERA).skeletons == ()


# --- smoothing in the pipeline


def test_smoothing_calms_noise_and_hardly_lags():
    rng = np.random.default_rng(0)
    calm, plain = pipeline(target_height_m=STATURE_M), metric()
    truth, answers = [], {calm: [], plain: []}
    for frame in range(120):
        swing = FIGURE.copy()
        swing[H36M17.indices(*ARM[1:]), 0] += 0.25 * np.sin(2 * np.pi * frame / 30)
        root = np.array([-1 + 0.03 * frame, 0, 6.0])
        person = standing(*root, id="a", figure=swing)
        person = dataclasses.replace(person, xy_px=person.xy_px + rng.normal(0, 1.0, (JOINTS, 2)))
        truth.append(swing + root)
        for pipe, joints in answers.items():
            joints.append(pipe.step([person], frame * FRAME, CAMERA).skeletons[0].joints_cam_m)
    truth = np.array(truth)[30:]
    smooth, raw = (np.array(joints)[30:] for joints in answers.values())
    speed = np.gradient(truth, axis=0)[..., 0]
    lag_frames = -(((smooth - raw)[..., 0] * speed).sum() / (speed**2).sum())
    assert 0 < lag_frames < 1
    jitter = [np.diff(joints - truth, 2, axis=0).std() for joints in (smooth, raw)]
    assert jitter[0] < 0.5 * jitter[1]


def jitter_m(frames=60, **config):
    """Mean frame-to-frame movement of a noisy person at rest: of distance, measured and filled joints to the root."""
    rng, pipe, poses = np.random.default_rng(0), pipeline(**config), []
    for frame in range(frames):
        person = standing(0, 0, 5, id="a", hidden=ARM)
        person = dataclasses.replace(person, xy_px=person.xy_px + rng.normal(0, 2.0, (JOINTS, 2)))
        poses.append(pipe.step([person], frame * FRAME, CAMERA).skeletons[0].joints_cam_m)
    poses = np.array(poses)
    moves = np.abs(np.diff(poses - poses[:, :1], axis=0)).mean(axis=(0, 2))
    return np.abs(np.diff(poses[:, PELVIS, 2])).mean(), moves[~person.visible].mean(), moves[person.visible].mean()


@pytest.mark.parametrize(("setting", "calmed"), [("depth_trust", 0), ("filled_trust", 1)])
def test_less_trust_calms_what_it_is_about_and_nothing_else(setting, calmed):
    for which, (low, high) in enumerate(zip(jitter_m(**{setting: 0.1}), jitter_m(**{setting: 1.0}), strict=True)):
        if which == calmed:
            assert low < 0.5 * high
        else:
            assert low == pytest.approx(high, rel=1e-3)


def test_an_arm_alone_does_not_move_a_person_far():
    rng, pipe = np.random.default_rng(0), metric()
    walk(pipe, 5)
    depths = []
    arm = (*ARM, "pelvis")
    for frame in range(5, 35):
        person = standing(0, 0, 5, id="a", hidden=[joint for joint in H36M17.joints if joint not in arm])
        person = dataclasses.replace(person, xy_px=person.xy_px + rng.normal(0, 8.0, (JOINTS, 2)))
        depths.append(pipe.step([person], frame * FRAME, CAMERA).skeletons[0].joints_cam_m[PELVIS, 2])
    assert np.abs(np.array(depths) - 5).max() < 0.5
    first = metric().step([person], 0, CAMERA).skeletons[0].joints_cam_m[PELVIS, 2]
    assert np.isfinite(first), "with nothing known, an arm is all there is"
    back = walk(pipe, 1, root=(0, 0, 6), start=35).skeletons[0].joints_cam_m[PELVIS, 2]
    assert back == pytest.approx(6, abs=0.1), "a whole person is followed at once"


class Unsteady(CardboardEngine):
    """Takes everybody for 10 % larger or smaller than they are, by turns."""

    def run(self, kpts, visible):
        lifted = super().run(kpts, visible)
        return Lifted(joints_root_m=lifted.joints_root_m * np.float32(1.1 if len(self.calls) % 2 else 0.9))


def test_the_size_of_a_person_is_averaged_over_time():
    pipe = metric(stature_time_s=5.0)
    pipe = PosePipeline(Unsteady(), pipe.config)
    statures = [float(stature_m(walk(pipe, 1, start=k).skeletons[0].joints_cam_m)) for k in range(60)]
    assert statures[0] == pytest.approx(STATURE_M, abs=1e-3), "there is nothing else to go by yet"
    assert np.mean(statures[20:]) == pytest.approx(STATURE_M, rel=0.01)
    assert np.ptp(statures[-2:]) == pytest.approx(0.2 * STATURE_M, rel=0.05), "one frame does not rescale the person"


# --- anything goes in, only good things come out


@st.composite
def messages(draw):
    """A stream as a careless detector and a broken clock would send it."""
    rng = np.random.default_rng(draw(seeds))
    stamp, stream = 0, []
    for _ in range(draw(st.integers(1, 8))):
        stamp += draw(st.sampled_from([0, 1, FRAME, FRAME, FRAME, 3 * SECOND, -FRAME, -2 * SECOND]))
        people = []
        for _ in range(draw(st.integers(0, 4))):
            kind = draw(st.sampled_from(["standing", "noise", "huge", "behind", "point"]))
            xy = {
                "standing": lambda: standing(*rng.uniform([-2, -1, 2], [2, 1, 9])).xy_px,
                "noise": lambda: rng.uniform(-200, 1500, (JOINTS, 2)),
                "huge": lambda: rng.normal(0, 1e30, (JOINTS, 2)),
                "behind": lambda: 1280 - standing(0, 0, 5).xy_px,
                "point": lambda: np.full((JOINTS, 2), 400.0),
            }[kind]()
            score = (rng.random(JOINTS) * (rng.random(JOINTS) < draw(st.sampled_from([0.1, 0.5, 1.0])))).round(2)
            xy = np.where(score[:, None] > 0, xy, draw(st.sampled_from([0.0, np.nan])))
            people.append(Keypoints2D(id=draw(st.sampled_from(["", "", "a", "b", "t1"])), xy_px=xy, score=score))
        stream.append((stamp, people))
    return stream


LENSES = [
    CAMERA,
    dataclasses.replace(CAMERA, D=[-0.3, 0.1, 1e-3, -1e-3, 0.0], distortion_model="plumb_bob"),
    dataclasses.replace(CAMERA, D=[0.05, -0.01, 0, 0], distortion_model="equidistant"),
]


@settings(max_examples=150)
@given(stream=messages(), camera=st.sampled_from(LENSES), window=st.sampled_from([1, 3]), filled=st.booleans())
@pytest.mark.filterwarnings("ignore::RuntimeWarning:tests")  # the cardboard engine divides by the size of a point
def test_whatever_comes_in_only_sound_skeletons_go_out(stream, camera, window, filled):
    pipe = pipeline(CardboardEngine(window, filled=filled), max_persons=3)
    present: set[str] = set()
    for stamp, people in stream:
        output = pipe.step(people, stamp, camera)
        ids = [skeleton.id for skeleton in output.skeletons]
        assert all(ids)
        assert len(set(ids)) == len(ids)
        assert all(n > 0 for n in output.dropped.values())
        for s in output.skeletons:
            for array in (s.joints_cam_m, s.sigma_m, s.kpts_px):
                assert np.isfinite(array).all()
            assert (s.sigma_m > 0).all()
            assert set(s.origin.tolist()) <= set(Origin)
            assert s.joints_cam_m[PELVIS, 2] > 0
        if output.answered:
            assert set(output.lost_ids) == present - set(ids)
            present = set(ids)
        else:
            assert (ids, output.lost_ids) == ([], ())


# --- refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"min_score": 1.5}, "min_score must be between 0 and 1, got 1.5", id="range"),
        pytest.param({"hold_s": float("nan")}, "hold_s must be between 0 and 10 s, got nan", id="nan"),
        pytest.param({"max_persons": 0}, "max_persons", id="zero people"),
        pytest.param({"max_persons": 2.5}, "max_persons must be a whole number", id="half a person"),
        pytest.param({"target_height_m": 17.0}, "target_height_m must be between 0.3 and 3 m", id="height"),
        pytest.param({"beta": "fast"}, "beta must be between 0 and 1000 Hz per m/s, got 'fast'", id="type"),
        pytest.param({"hold_s": 2.0}, "raise gap_s", id="contradiction"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(changes, words):
    with pytest.raises(ConfigError) as error:
        PipelineConfig(**changes)
    assert words in str(error.value)


def test_every_setting_explains_itself():
    for item in dataclasses.fields(PipelineConfig):
        assert {"low", "high", "unit", "reason"} <= item.metadata.keys()
        assert len(item.metadata["reason"]) > 15


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"layout": "coco17"}, "coco17", id="layout"),
        pytest.param({"outputs": ("filled",)}, "no 3D", id="no lifter"),
    ],
)
def test_engines_that_do_not_fit_are_refused(changes, words):
    engine = CardboardEngine()
    engine.info = dataclasses.replace(engine.info, **changes)
    with pytest.raises(PipelineError, match=words):
        PosePipeline(engine)


def test_people_of_another_layout_are_refused():
    person = Keypoints2D(id="a", xy_px=np.zeros((18, 2)), score=np.ones(18))
    with pytest.raises(PeopleError, match=r"'a' has 18 joints"):
        pipeline().step([person], 0, CAMERA)


def test_settings_can_change_between_steps():
    pipe = pipeline()
    assert not walk(pipe, 1).skeletons[0].metric
    pipe.config = dataclasses.replace(pipe.config, target_height_m=1.8)
    assert walk(pipe, 1, start=1).skeletons[0].height_m == 1.8


# --- the shipped model


def test_the_shipped_model_lifts_a_standing_person():
    pipe = pipeline(load(), target_height_m=STATURE_M)
    hidden = ("right_elbow", "right_wrist", "spine", "head_top")
    for frame in range(5):
        output = pipe.step([standing(0.2, 0, 5, id="a", hidden=hidden), standing(-1, 0, 6)], frame * FRAME, CAMERA)
    assert output.dropped == {}
    for skeleton, root in zip(output.skeletons, ([0.2, 0, 5], [-1, 0, 6]), strict=True):
        assert skeleton.joints_cam_m[PELVIS] == pytest.approx(root, abs=0.6)
        assert np.linalg.norm(skeleton.joints_cam_m - skeleton.joints_cam_m[0] - FIGURE, axis=-1).mean() < 0.15
        assert stature_m(skeleton.joints_cam_m) == pytest.approx(STATURE_M, rel=0.05)
    assert output.skeletons[0].origin[H36M17.indices(*hidden)].min() >= Origin.FILLED
