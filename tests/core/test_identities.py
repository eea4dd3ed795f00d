"""Who people are: whatever the detector calls them, the answer is what it would be with true ids."""

import numpy as np
import pytest

from occpose_core.skeleton import H36M17
from occpose_core.types import State
from tests.core.cardboard import CAMERA, FIGURE, JOINTS, standing
from tests.core.film import PELVIS, Film, said

ARMS_UP = FIGURE.copy()
ARMS_UP[H36M17.indices("left_elbow", "right_elbow"), 1] -= 0.5
ARMS_UP[H36M17.indices("left_wrist", "right_wrist"), 1] -= 1.0


# --- one detector's ways after the other


def test_steady_ids_go_out_as_they_are():
    film = Film()
    for frame in range(40):
        people = [(name, x + 0.03 * frame, 0, 6) for name, x in (("7", -1.5), ("anna", 0.0), ("-1", 1.0))]
        assert film.ids(*people) == ["7", "anna", "-1"]
        assert film.output.dropped == {}


@pytest.mark.parametrize(
    ("away_frames", "expected"),
    [
        pytest.param(0, "1", id="not hidden at all"),
        pytest.param(3, "1", id="hidden for a moment"),
        pytest.param(12, "1", id="held"),
        pytest.param(24, "1", id="lost, but not forgotten"),
        pytest.param(40, "9", id="forgotten"),
    ],
)
@pytest.mark.parametrize("name", ["9", ""])
def test_a_new_id_for_a_known_person_is_not_a_new_person(away_frames, expected, name):
    film = Film()
    for frame in range(20):
        assert film.ids(("1", -1 + 0.02 * frame, 0, 5), ("2", 1.5, 0, 5)) == ["1", "2"]
    for _ in range(away_frames):
        assert film.ids(("2", 1.5, 0, 5)) == ["2"]
    expected = expected if name or expected == "1" else "t1"
    for frame in range(10):
        assert film.ids((name, -0.6 + 0.02 * frame, 0, 5), ("2", 1.5, 0, 5)) == [expected, "2"]


@pytest.mark.parametrize(
    "figures",
    [pytest.param((FIGURE, ARMS_UP), id="one with raised arms"), pytest.param((FIGURE, FIGURE), id="alike")],
)
@pytest.mark.parametrize("depths", [(5.0, 5.0), (4.5, 6.0)], ids=["beside", "behind"])
@pytest.mark.parametrize("hz", [10, 30, 60])
def test_ids_that_swap_while_two_people_cross_change_nothing(figures, depths, hz):
    """On one spot of the image, people who differ are told apart; those who are alike are so a little before."""
    swap_s = 1.0 if figures[0] is not figures[1] else 0.6
    true, swapped = Film(hz), Film(hz)
    for frame in range(2 * hz):
        x = -1 + frame / hz
        people = [(x, 0, depths[0], figures[0]), (-x, 0, depths[1], figures[1])]
        names = ["a", "b"] if frame / hz < swap_s else ["b", "a"]
        expected = true.show(*zip(["a", "b"], *zip(*people, strict=True), strict=True))
        given = swapped.show(*zip(names, *zip(*people, strict=True), strict=True))
        assert said(given) == said(expected), f"frame {frame}"
        assert given.dropped == {}


@pytest.mark.parametrize("depth_m", [3.0, 6.0])
def test_noise_does_not_exchange_two_people_who_nearly_cover_each_other(depth_m):
    film, rng = Film(), np.random.default_rng(0)
    for _ in range(90):
        (ax, ay), (bx, by) = rng.normal(0, 0.02, (2, 2))
        output = film.show(("a", ax, ay, depth_m), ("b", 0.12 + bx, by, depth_m))
        place = {s.id: s.joints_cam_m[PELVIS, 0] for s in output.skeletons}
        assert place["a"] < place["b"]


def test_an_id_that_goes_to_a_stranger_goes_out_with_a_number():
    film = Film()
    film.ids(("a", -2, 0, 6))
    assert film.ids(("a", 2, 0, 6)) == ["a#2"]
    assert film.output.dropped == {"pose_jump": 1}
    assert film.ids(("a", 2, 0, 6)) == ["a#2"]
    assert film.output.dropped == {}
    assert film.ids(("a", -2, 0, 6)) == ["a"], "back to the first, who is still known"
    assert film.ids(("a", -2, 0, 6), ("a#3", 0, 0, 6), ("b", 2, 0, 6)) == ["a", "a#3", "a#2"]
    assert film.ids(("a", -2.3, 0, 6.5), ("a#3", 0, 0, 6), ("b", 2, 0, 6)) == ["a", "a#3", "a#2"], "far is not yet else"
    assert film.ids(("a", 4, 0, 6), ("a#3", 0, 0, 6), ("b", 2, 0, 6)) == ["a#4", "a#3", "a#2"], "a#3 was taken"


def test_a_reused_id_does_not_take_over_a_person_who_goes_on_under_another():
    film = Film()
    film.ids(("1", -2, 0, 6))
    assert film.ids(("5", -2, 0, 6)) == ["1"]
    assert film.ids(("5", -2, 0, 6), ("1", 2, 0, 6)) == ["1", "1#2"]
    assert film.ids(("1", 2, 0, 6), ("5", -2, 0, 6)) == ["1#2", "1"]


def test_an_id_that_comes_back_after_the_gap_names_somebody_without_a_past():
    film = Film(gap_s=1.0)
    for _ in range(5):
        film.ids(("2147483647", -1, 0, 5))
    film.frame += 40
    assert film.ids(("2147483647", 1, 0, 5)) == ["2147483647"]
    assert film.output.dropped == {}
    alone = Film()
    alone.frame = film.frame - 1
    assert said(alone.show(("2147483647", 1, 0, 5)))[0] == said(film.output)[0]


@pytest.mark.parametrize("passers", [0, 900], ids=["few", "hundreds passed meanwhile"])
@pytest.mark.parametrize(("name", "expected"), [("6", "6"), ("9", "4")])
def test_somebody_who_comes_back_is_not_taken_for_somebody_hidden_beside_them(name, expected, passers):
    film = Film()
    film.ids(("6", 0, 0, 6), ("4", 1, 0, 6))
    for passer in range(passers):
        film.show(("4", 1, 0, 6), (f"p{passer}", -3, 0, 6))
    for _ in range(40):
        film.ids(("4", 1, 0, 6))
    for _ in range(3):
        film.show()
    assert film.ids((name, 1.05, 0, 6)) == [expected], "an id never met is that of the person hidden there"


def test_a_tracker_that_wavers_between_two_ids_names_one_person():
    film = Film()
    for name in ("1", "5", "1", "1", "5", "5", "1"):
        assert film.ids((name, 0, 0, 6)) == ["1"]
        film.show()


def test_ids_that_wrap_around_are_new_ids_of_the_same_people():
    film = Film()
    assert film.ids(("2147483647", -1, 0, 5), ("1", 1, 0, 5)) == ["2147483647", "1"]
    assert film.ids(("-2147483648", -1, 0, 5), ("1", 1, 0, 5)) == ["2147483647", "1"]


def test_a_tracker_that_is_not_sure_yet_does_not_rename_anybody():
    film = Film()
    for name in ("", "", "4", "", "4", ""):
        assert film.ids((name, -1, 0, 5), ("8", 1, 0, 5)) == ["t1", "8"]


def test_own_ids_are_unique_and_have_the_prefix_of_the_process():
    film = Film(own_prefix="k7-")
    assert film.ids(("", -1, 0, 5), ("k7-2", 1, 0, 5), ("", 0, 0, 5)) == ["k7-1", "k7-2", "k7-3"]
    film.pipe.reset()
    assert film.ids(("", -1, 0, 5)) == ["k7-4"]


# --- detectors that number their detections


NAMINGS = {
    "index in an order that changes": lambda frame, order: [str(i) for i in np.argsort(order)],
    "counting for ever": lambda frame, order: [str(len(order) * frame + i) for i in range(len(order))],
    "none": lambda frame, order: [""] * len(order),
}


@pytest.mark.parametrize("naming", NAMINGS.values(), ids=NAMINGS)
@pytest.mark.parametrize("hz", [5, 30, 120])
def test_people_stay_who_they_are_whatever_they_are_called(naming, hz):
    film, rng, names = Film(hz), np.random.default_rng(0), []
    for frame in range(3 * hz):
        x = -1.5 + frame / hz
        people = [(x, 0, 5), (-x, 0, 6.5, ARMS_UP), (0.5, 0, 8)]
        ids = naming(frame, rng.permutation(3))
        names.append(tuple(film.ids(*([name, *person] for name, person in zip(ids, people, strict=True)))))
    assert len(set(names)) == 1


def test_an_index_that_a_newcomer_inherits_does_not_make_them_the_one_before():
    film, rng = Film(), np.random.default_rng(0)
    for _ in range(150):
        first, second = rng.permutation(2)
        ids = film.ids((str(first), -1, 0, 5), (str(second), 1, 0, 5))
    film.show()
    (name,) = film.ids(("0", -1.6 if first == 0 else 1.6, 0, 5))
    assert name not in ids


def test_few_joints_continue_somebody_but_begin_nobody():
    film = Film()
    film.ids(("a", -1, 0, 5))
    score = np.zeros(JOINTS)
    score[:3] = 1.0
    few = [standing(x, 0, 5, id=name, score=score) for name, x in (("", -1.0), ("b", 1.0))]
    output = film.pipe.step(few, round(film.at * 1e9), CAMERA)
    assert [(s.id, s.state) for s in output.skeletons] == [("a", State.OCCLUDED)]
    assert (output.skeletons[0].kpts_px[:3] == few[0].xy_px[:3]).all()
    assert output.dropped == {"too_few_joints": 1}
