"""Layouts and conversion by joint name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.skeleton import (
    CENTRE,
    H36M17,
    LEFT,
    RIGHT,
    SKELETONS,
    LayoutError,
    available,
    convert_joints,
    convert_keypoints,
    get_skeleton,
)

LAYOUTS = [pytest.param(layout, id=layout.name) for layout in SKELETONS.values()]
layouts = st.sampled_from(list(SKELETONS.values()))
seeds = st.integers(0, 2**32 - 1)


def keypoints(layout, seed, *shape):
    rng = np.random.default_rng(seed)
    joints = len(layout.joints)
    score = rng.random((*shape, joints)).astype(np.float32) * (rng.random((*shape, joints)) < 0.8)
    return rng.uniform(0, 1000, (*shape, joints, 2)).astype(np.float32), score


@pytest.mark.parametrize(
    ("name", "joints"),
    [
        ("h36m17", 17),
        ("coco17", 17),
        ("openpose18", 18),
        ("hri18", 18),
        ("body25", 25),
        ("halpe26", 26),
        ("mediapipe33", 33),
        ("zed18", 18),
        ("zed34", 34),
        ("zed38", 38),
    ],
)
def test_every_layout_has_its_joints_once(name, joints):
    layout = get_skeleton(name)
    assert layout.name == name
    assert len(layout.joints) == len(set(layout.joints)) == joints


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parents_form_trees_and_stay_on_their_side(layout):
    for child, parent in enumerate(layout.parents):
        seen = {child}
        while parent >= 0:
            assert parent not in seen, f"{layout.joints[child]} is in a cycle"
            seen.add(parent)
            parent = layout.parents[parent]
    for parent, child in layout.bones:
        assert {layout.sides[parent], layout.sides[child]} != {LEFT, RIGHT}, layout.joints[child]
    mirrored = [layout.mirror[parent] if parent >= 0 else -1 for parent in layout.parents]
    assert mirrored == [layout.parents[joint] for joint in layout.mirror]


def test_h36m17_is_the_order_and_tree_of_the_literature():
    assert H36M17.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert np.flatnonzero(H36M17.sides == LEFT).tolist() == [4, 5, 6, 11, 12, 13]
    assert np.flatnonzero(H36M17.sides == RIGHT).tolist() == [1, 2, 3, 14, 15, 16]


def named_parents(layout):
    return {
        child: layout.joints[parent] if parent >= 0 else None
        for child, parent in zip(layout.joints, layout.parents, strict=True)
    }


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        pytest.param(
            "coco17",
            {"nose": None, "left_eye": "nose", "right_ear": "right_eye", "left_wrist": "left_elbow",
             "left_shoulder": None, "left_hip": None, "right_ankle": "right_knee"},
            id="coco17",
        ),
        pytest.param(
            "openpose18",
            {"neck": None, "nose": "neck", "left_shoulder": "neck", "right_hip": None, "right_eye": "nose",
             "right_ear": "right_eye"},
            id="openpose18",
        ),
        pytest.param(
            "body25",
            {"pelvis": None, "neck": "pelvis", "left_hip": "pelvis", "left_big_toe": "left_ankle",
             "right_heel": "right_ankle", "right_elbow": "right_shoulder"},
            id="body25",
        ),
        pytest.param(
            "halpe26",
            {"pelvis": None, "neck": "pelvis", "nose": "neck", "head_top": "nose", "left_shoulder": "neck",
             "left_eye": "nose"},
            id="halpe26",
        ),
        pytest.param(
            "mediapipe33",
            {"nose": None, "left_eye_inner": "nose", "left_eye": "left_eye_inner", "left_eye_outer": "left_eye",
             "left_ear": "left_eye_outer", "left_mouth": "nose", "left_thumb": "left_wrist",
             "right_foot_index": "right_ankle"},
            id="mediapipe33",
        ),
        pytest.param(
            "zed34",
            {"pelvis": None, "naval_spine": "pelvis", "chest_spine": "naval_spine", "neck": "chest_spine",
             "left_clavicle": "neck", "left_shoulder": "left_clavicle", "left_handtip": "left_hand",
             "left_thumb": "left_hand", "head": "neck", "nose": "head", "left_eye": "nose", "left_ear": "left_eye",
             "left_foot": "left_ankle", "left_heel": "left_ankle"},
            id="zed34",
        ),
        pytest.param(
            "zed38",
            {"spine_1": "pelvis", "spine_2": "spine_1", "spine_3": "spine_2", "neck": "spine_3", "nose": "neck",
             "right_clavicle": "neck", "right_shoulder": "right_clavicle", "right_index": "right_wrist"},
            id="zed38",
        ),
    ],
)  # fmt: skip
def test_parents_by_name(layout, expected):
    parents = named_parents(get_skeleton(layout))
    assert {joint: parents[joint] for joint in expected} == expected


def test_hri18_has_left_eyes_and_ears_first_where_openpose_has_right():
    openpose, hri = get_skeleton("openpose18").joints, get_skeleton("hri18").joints
    assert openpose[:14] == hri[:14]
    assert openpose[14:] == ("right_eye", "left_eye", "right_ear", "left_ear")
    assert hri[14:] == ("left_eye", "right_eye", "left_ear", "right_ear")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mirror_is_its_own_inverse_and_swaps_sides(layout):
    assert (layout.mirror[layout.mirror] == np.arange(len(layout.joints))).all()
    swapped = layout.sides[layout.mirror]
    assert (swapped[layout.sides == LEFT] == RIGHT).all()
    assert (swapped[layout.sides == RIGHT] == LEFT).all()
    assert (layout.mirror[layout.sides == CENTRE] == np.flatnonzero(layout.sides == CENTRE)).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_converting_to_the_same_layout_changes_nothing_visible(layout):
    xy, score = keypoints(layout, 0, 3, 2)
    out_xy, out_score = convert_keypoints(xy, score, layout, layout)
    assert (out_score == score).all()
    assert (out_xy == np.where(score[..., None] > 0, xy, 0)).all()


@given(source=layouts, target=layouts, seed=seeds)
def test_round_trip_keeps_every_shared_joint(source, target, seed):
    xy, score = keypoints(source, seed)
    there_xy, there_score = convert_keypoints(xy, score, source, target)
    back_xy, back_score = convert_keypoints(there_xy, there_score, target, source)
    for joint in set(source.joints) & set(target.joints):
        i, k = source.index(joint), target.index(joint)
        assert there_score[k] == back_score[i] == score[i]
        if score[i] > 0:
            assert (there_xy[k] == xy[i]).all()
            assert (back_xy[i] == xy[i]).all()


@given(source=layouts, target=layouts, seed=seeds, garbage=st.sampled_from([0.0, -1.0, 1e30, np.inf, np.nan]))
def test_missing_joints_have_no_influence(source, target, seed, garbage):
    xy, score = keypoints(source, seed, 2)
    spoiled = np.where(score[..., None] > 0, xy, np.float32(garbage))
    expected, got = (convert_keypoints(given, score, source, target) for given in (xy, spoiled))
    for a, b in zip(expected, got, strict=True):
        assert a.tobytes() == b.tobytes()


@given(source=layouts, target=layouts, seed=seeds)
def test_mirrored_people_convert_to_mirrored_people(source, target, seed):
    xy, score = keypoints(source, seed)
    swapped = convert_keypoints(xy[source.mirror], score[source.mirror], source, target)
    straight = convert_keypoints(xy, score, source, target)
    for a, b in zip(swapped, straight, strict=True):
        assert (a == b[target.mirror]).all()


@pytest.mark.parametrize(
    ("layout", "missing"),
    [
        ("h36m17", set()),
        ("coco17", {"spine", "head_top"}),
        ("openpose18", {"spine", "head_top"}),
        ("hri18", {"spine", "head_top"}),
        ("body25", {"spine", "head_top"}),
        ("halpe26", {"spine"}),
        ("mediapipe33", {"spine", "head_top"}),
        ("zed18", {"spine", "head_top"}),
        ("zed34", {"spine", "head_top"}),
        ("zed38", {"spine", "head_top"}),
    ],
)
def test_h36m17_joints_that_a_layout_cannot_give(layout, missing):
    source = get_skeleton(layout)
    assert {joint for joint, known in zip(H36M17.joints, available(source), strict=True) if not known} == missing
    xy, score = convert_keypoints(np.ones((len(source.joints), 2)), np.ones(len(source.joints)), source)
    assert (xy[~available(source)] == 0).all()
    assert ((score > 0) == available(source)).all()


@pytest.mark.parametrize(
    ("virtual", "left", "right"),
    [
        pytest.param("pelvis", "left_hip", "right_hip", id="pelvis"),
        pytest.param("thorax", "left_shoulder", "right_shoulder", id="thorax"),
    ],
)
def test_virtual_joints_of_coco(virtual, left, right):
    coco = get_skeleton("coco17")
    xy, score = keypoints(coco, 4)
    score[coco.indices(left, right)] = 0.4, 0.9
    out_xy, out_score = convert_keypoints(xy, score, coco)
    joint = H36M17.index(virtual)
    assert out_score[joint] == np.float32(0.4)
    assert out_xy[joint] == pytest.approx(xy[coco.indices(left, right)].mean(axis=0), rel=1e-6)
    score[coco.index(left)] = 0
    assert convert_keypoints(xy, score, coco)[1][joint] == 0


@given(source=layouts, seed=seeds)
def test_points_are_converted_as_keypoints_are_with_nan_where_those_have_no_score(source, seed):
    points, given_score = keypoints(source, seed, 3)
    xy, score = convert_keypoints(points, given_score, source)
    found = convert_joints(np.where(given_score[..., None] > 0, points, np.nan), source)
    np.testing.assert_array_equal(np.isfinite(found).all(axis=-1), score > 0)
    np.testing.assert_allclose(found[score > 0], xy[score > 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        pytest.param(lambda: get_skeleton("coco-17"), ["coco-17", "did you mean 'coco17'", "zed38"], id="layout"),
        pytest.param(lambda: get_skeleton("?"), ["'?'", "h36m17"], id="nothing near"),
        pytest.param(lambda: H36M17.index("tail"), ["h36m17", "'tail'", "left_wrist"], id="joint"),
        pytest.param(
            lambda: convert_keypoints(np.zeros((18, 2)), np.zeros(18), get_skeleton("coco17")),
            ["coco17", "17", "(18, 2)"],
            id="joint count",
        ),
        pytest.param(
            lambda: convert_keypoints(np.zeros((17, 2)), np.zeros((1, 17)), get_skeleton("coco17")),
            ["(17, 2)", "(1, 17)"],
            id="score shape",
        ),
        pytest.param(lambda: convert_joints(np.zeros((4, 16, 3)), H36M17), ["17 joints", "(4, 16, 3)"], id="points"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises(LayoutError) as error:
        call()
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)
