"""Who and what is taken seriously: whether others in the image are in order changes nothing for a person."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.admission import Seen, admit
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.types import Camera, Keypoints2D, People2D
from tests.core.cardboard import CAMERA, JOINTS, standing

seeds = st.integers(0, 2**32 - 1)
FISHEYE = Camera(width=1280, height=720, K=CAMERA.K, D=[0.1, -0.02, 0.01, 0], distortion_model="equidistant")
TILTED = [0.4, -0.2, 1e-3, -2e-4, 0.02, 0.7, -0.15, 0.03, 1e-3, -1e-3, 5e-4, 1e-4, 0.02, -0.03]
LENSES = [
    CAMERA,
    FISHEYE,
    *(replace(CAMERA, distortion_model="rational_polynomial", D=np.array(TILTED[:count])) for count in (8, 12, 14)),
]
NOT_A_NUMBER = Keypoints2D(id="x", xy_px=np.full((JOINTS, 2), np.nan), score=np.zeros(JOINTS))


def admitted(*people, camera=CAMERA, **config):
    return admit(people, PipelineConfig(**config), camera, Counter())


def row(seen, person):
    return [values[person].tobytes() for values in (seen.xy_px, seen.rays, seen.score, seen.visible, seen.shown)]


def anybody(rng, name):
    """Somebody in the image, many joints of whom are hidden or hardly seen."""
    score = np.where(rng.random(JOINTS) < 0.6, rng.random(JOINTS), 0.0)
    return Keypoints2D(id=name, xy_px=rng.uniform([0, 0], [1280, 720], (JOINTS, 2)), score=score)


@pytest.mark.parametrize("camera", [CAMERA, FISHEYE], ids=["pinhole", "fisheye"])
@pytest.mark.parametrize(
    "others",
    [
        pytest.param([standing(8, 0, 5, id="x")], id="outside the image"),
        pytest.param([NOT_A_NUMBER], id="without coordinates"),
        pytest.param([standing(0, 0, 5, id="x"), standing(0, 0, 4, id="x")], id="one id for two"),
    ],
)
@given(seed=seeds)
def test_a_person_in_the_image_is_taken_alike_whoever_else_is_there(camera, others, seed):
    person = anybody(np.random.default_rng(seed), "a")
    alone_ids, alone = admitted(person, camera=camera)
    ids, seen = admitted(person, *others, camera=camera)
    assert alone_ids == ["a"] and ids == ["a", "x"]
    assert row(seen, 0) == row(alone, 0)
    assert (alone.score[0] == np.where(person.score < 0.3, 0, person.score)).all(), "in the image scores stay"


@given(seed=seeds)
def test_people_in_one_array_are_taken_as_one_by_one(seed):
    rng = np.random.default_rng(seed)
    people = [anybody(rng, "a"), standing(2, 0, 3, id="b"), NOT_A_NUMBER, anybody(rng, "a")]
    together = People2D(
        ids=[person.id for person in people],
        xy_px=np.stack([person.xy_px for person in people]),
        score=np.stack([person.score for person in people]),
    )
    before = together.xy_px.tobytes(), together.score.tobytes()
    ids, seen = admit(together, PipelineConfig(), CAMERA, Counter())
    expected_ids, expected = admitted(*people)
    assert ids == expected_ids
    assert all(row(seen, person) == row(expected, person) for person in range(len(ids)))
    assert before == (together.xy_px.tobytes(), together.score.tobytes())


@pytest.mark.parametrize("camera", LENSES, ids=lambda camera: f"{camera.distortion_model} {len(camera.D)}")
@given(seed=seeds)
def test_what_is_not_visible_is_zero(camera, seed):
    rng = np.random.default_rng(seed)
    _, seen = admitted(anybody(rng, "a"), standing(2, 0, 3, id="b"), NOT_A_NUMBER, camera=camera)
    assert (seen.rays[~seen.visible] == 0).all() and (seen.score[~seen.visible] == 0).all()
    assert (seen.visible == (seen.score > 0)).all()
    assert (seen.shown == seen.visible.sum(axis=-1)).all()


@given(seed=seeds, rows=st.permutations(range(4)))
def test_people_are_sorted_by_rows(seed, rows):
    rng = np.random.default_rng(seed)
    _, seen = admitted(*(anybody(rng, name) for name in "abcd"))
    moved = seen.on_rows(np.array([*rows[:3], -1]), 5)
    assert [row(moved, r) for r in rows[:3]] == [row(seen, person) for person in range(3)]
    assert (moved.shown[[r for r in range(5) if r not in rows[:3]]] == 0).all(), "other rows see nothing"
    assert row(seen.on_rows(np.arange(4), 4), 2) == row(seen, 2)


def test_nobody_is_nobody():
    ids, seen = admitted()
    assert ids == [] and seen.rays.shape == seen.xy_px.shape == (0, JOINTS, 2)
    assert isinstance(seen.on_rows(np.zeros(0, dtype=np.int64), 2), Seen)
