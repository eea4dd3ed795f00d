"""The capsule body is a closed, symmetric person in the form of SMPL; its shape components do what they are called."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from occpose_core.body.capsules import capsule_body, capsule_parts
from occpose_core.body.joints import H36M17_IN_SMPL30, SMPL24, SMPL30, SMPL_PARENTS, smpl30_index
from occpose_core.body.shape_components import SHAPES
from occpose_core.body.tubes import signed_volume

LEFT, UP, FORWARD = 0, 1, 2
BODY = capsule_body()
VERTICES_M = BODY["v_template"]
FACES = BODY["f"].astype(np.int64)
JOINTS_M = BODY["smpl30_regressor"] @ VERTICES_M


def joint_m(joint: str) -> np.ndarray:
    return JOINTS_M[smpl30_index(joint)]


def surfaces() -> list[np.ndarray]:
    """The faces of each connected surface."""
    group = np.arange(len(VERTICES_M))
    while True:
        least = group[FACES].min(axis=1)
        merged = group.copy()
        np.minimum.at(merged, FACES.ravel(), np.repeat(least, 3))
        if (merged == group).all():
            return [FACES[least == number] for number in np.unique(least)]
        group = merged


def heights_m(vertices_m: np.ndarray) -> float:
    return float(np.ptp(vertices_m[:, UP]))


def test_arrays_have_the_form_of_smpl() -> None:
    vertices, faces = len(VERTICES_M), len(FACES)
    assert 1000 <= vertices <= 2000
    shapes = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, 10),
        "posedirs": (vertices, 3, 207),
        "J_regressor": (24, vertices),
        "weights": (vertices, 24),
        "kintree_table": (2, 24),
        "f": (faces, 3),
        "h36m17_regressor": (17, vertices),
        "smpl30_regressor": (30, vertices),
    }
    assert {key: array.shape for key, array in BODY.items()} == shapes
    assert BODY["kintree_table"].astype(np.int32)[0].tolist() == list(SMPL_PARENTS)


def test_it_is_the_same_every_time() -> None:
    again = capsule_body()
    for key, array in BODY.items():
        np.testing.assert_array_equal(again[key], array)


def test_every_surface_is_closed_and_looks_outwards() -> None:
    found = surfaces()
    assert len(found) == 15
    for faces in found:
        edges = Counter(edge for a, b, c in faces.tolist() for edge in ((a, b), (b, c), (c, a)))
        assert set(edges.values()) == {1}, "an edge is used twice in one direction"
        assert all((b, a) in edges for a, b in edges), "an edge has one face only: a hole"
        assert signed_volume(VERTICES_M, faces) > 0


def test_no_triangle_is_flat() -> None:
    corners = VERTICES_M[FACES]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert area.min() > 1e-7


def test_weights_are_shares() -> None:
    assert BODY["weights"].min() >= 0
    np.testing.assert_allclose(BODY["weights"].sum(axis=1), 1.0, atol=1e-12)
    assert ((BODY["weights"] > 0).sum(axis=1) <= 4).all()
    assert (BODY["weights"].max(axis=0) >= 0.5).all(), "a joint that turns nothing"


def test_joints_are_means_of_vertices_around_them() -> None:
    for key in ("smpl30_regressor", "h36m17_regressor"):
        np.testing.assert_allclose(BODY[key].sum(axis=1), 1.0, atol=1e-9)
        assert BODY[key].min() > -1e-9
    np.testing.assert_array_equal(BODY["J_regressor"], BODY["smpl30_regressor"][: len(SMPL24)])
    np.testing.assert_array_equal(BODY["h36m17_regressor"], BODY["smpl30_regressor"][H36M17_IN_SMPL30])
    far_m = np.linalg.norm(VERTICES_M[None] - JOINTS_M[:, None], axis=2)
    assert np.where(BODY["smpl30_regressor"] > 1e-9, far_m, 0).max() < 0.2


def test_left_and_right_are_mirror_images() -> None:
    def cloud(vertices_m: np.ndarray) -> np.ndarray:
        rounded = np.round(vertices_m, 9) + 0.0
        return rounded[np.lexsort(rounded.T)]

    np.testing.assert_allclose(cloud(VERTICES_M * [-1, 1, 1]), cloud(VERTICES_M), atol=2e-9)
    for joint in SMPL30:
        if joint.startswith("left_"):
            other = joint.replace("left_", "right_")
            np.testing.assert_allclose(joint_m(other), joint_m(joint) * [-1, 1, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("further", "nearer", "axis"),
    [
        ("left_shoulder", "right_shoulder", LEFT),
        ("left_hand", "left_elbow", LEFT),
        ("left_hip", "right_hip", LEFT),
        ("left_eye", "right_eye", LEFT),
        ("head_top", "head", UP),
        ("head", "pelvis", UP),
        ("pelvis", "left_knee", UP),
        ("left_knee", "left_ankle", UP),
        ("nose", "head", FORWARD),
        ("left_eye", "left_ear", FORWARD),
        ("left_foot", "left_ankle", FORWARD),
    ],
)
def test_the_body_stands_in_smpl_axes(further: str, nearer: str, axis: int) -> None:
    assert joint_m(further)[axis] > joint_m(nearer)[axis] + 0.02


def test_arms_lie_along_x() -> None:
    arm = np.array([joint_m(f"left_{joint}") for joint in ("shoulder", "elbow", "wrist", "hand")])
    assert np.ptp(arm[:, UP]) < 1e-9 and np.ptp(arm[:, FORWARD]) < 1e-9


def test_it_has_the_measures_of_a_grown_up() -> None:
    assert 1.6 < heights_m(VERTICES_M) < 1.85
    assert abs(np.ptp(VERTICES_M[:, LEFT]) / heights_m(VERTICES_M) - 1.0) < 0.06, "span of the arms"
    litres = 1000 * sum(signed_volume(VERTICES_M, faces) for faces in surfaces())
    assert 50 < litres < 90
    assert VERTICES_M[:, UP].min() == pytest.approx(joint_m("left_ankle")[UP] - 0.075, abs=0.02)


def test_shape_components_move_joints_as_they_move_vertices() -> None:
    """A joint is the mean of its ring, so that a stretched body has its joints where its limbs bend."""
    for direction in np.moveaxis(BODY["shapedirs"], -1, 0):
        bent = BODY["J_regressor"] @ (VERTICES_M + 2 * direction)
        ring = BODY["J_regressor"] > 1e-9
        far_m = np.linalg.norm((VERTICES_M + 2 * direction)[None] - bent[:, None], axis=2)
        assert np.where(ring, far_m, 0).max() < 0.25


MEASURES = {
    "stature": lambda v, j: heights_m(v),
    "leg length": lambda v, j: j["left_hip"][UP] - j["left_ankle"][UP],
    "arm length": lambda v, j: j["left_wrist"][LEFT] - j["left_shoulder"][LEFT],
    "trunk length": lambda v, j: j["neck"][UP] - j["pelvis"][UP],
    "shoulder width": lambda v, j: j["left_shoulder"][LEFT] - j["right_shoulder"][LEFT],
    "hip width": lambda v, j: j["left_hip"][LEFT] - j["right_hip"][LEFT],
    "girth": lambda v, j: np.ptp(v[np.abs(v[:, UP] - j["spine1"][UP]) < 0.01][:, FORWARD]),
    "belly": lambda v, j: v[np.abs(v[:, UP] - j["spine1"][UP]) < 0.01][:, FORWARD].max(),
    "limb thickness": lambda v, j: np.ptp(v[np.abs(v[:, LEFT] - j["left_elbow"][LEFT]) < 0.01][:, UP]),
    "head size": lambda v, j: j["head_top"][UP] - j["head"][UP],
}


@pytest.mark.parametrize("component", SHAPES)
def test_shape_components_do_what_they_are_called(component: str) -> None:
    direction = BODY["shapedirs"][..., list(SHAPES).index(component)]

    def measured(units: float) -> float:
        vertices_m = VERTICES_M + units * direction
        joints = dict(zip(SMPL30, BODY["smpl30_regressor"] @ vertices_m, strict=True))
        return float(MEASURES[component](vertices_m, joints))

    small, usual, large = (measured(units) for units in (-3, 0, 3))
    assert small < usual < large
    assert 0.03 < (large - small) / abs(usual) < 0.7


def test_shape_components_differ() -> None:
    flat = BODY["shapedirs"].reshape(-1, 10)
    flat = flat / np.linalg.norm(flat, axis=0)
    for one, other in itertools.combinations(range(10), 2):
        assert abs(flat[:, one] @ flat[:, other]) < 0.93, (list(SHAPES)[one], list(SHAPES)[other])


@pytest.mark.parametrize("units", [-3.0, 3.0])
def test_extreme_bodies_stay_closed_and_outward(units: float) -> None:
    for component in range(10):
        shaped_m = VERTICES_M + units * BODY["shapedirs"][..., component]
        assert min(signed_volume(shaped_m, faces) for faces in surfaces()) > 0


def test_parts_name_every_vertex_and_lie_where_they_should() -> None:
    labels, names = capsule_parts()
    assert labels.shape == (len(VERTICES_M),) and set(labels.tolist()) == set(range(len(names)))
    middle_m = {name: VERTICES_M[labels == number].mean(axis=0) for number, name in enumerate(names)}
    from_above = ["hair", "face", "sleeves", "shirt", "trousers", "shanks", "shoes"]
    heights = [middle_m[name][UP] for name in from_above]
    assert heights == sorted(heights, reverse=True)
    assert middle_m["eyes"][FORWARD] > middle_m["hair"][FORWARD]
    reach = [np.abs(VERTICES_M[labels == names.index(name), LEFT]).max() for name in ("sleeves", "forearms", "hands")]
    assert reach == sorted(reach)
