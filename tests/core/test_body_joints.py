"""Joints of body models: names, mirror, and keypoint layouts put in their places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.body.joints import (
    GRAPH15,
    GRAPH15_IN_SMPL30,
    H36M17_IN_SMPL30,
    HEAD_POINTS,
    SMPL24,
    SMPL30,
    SMPL30_MIRROR,
    SMPL_PARENTS,
    available30,
    h36m17_from_smpl30,
    smpl30_from_h36m17,
    smpl30_from_layout,
    smpl30_index,
)
from occpose_core.skeleton import H36M17, SKELETONS, LayoutError

# SMPL's own table of parents, as its files carry it.
PUBLISHED_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]


def test_tree_is_the_published_one() -> None:
    assert list(SMPL_PARENTS) == PUBLISHED_PARENTS
    assert len(SMPL24) == len(set(SMPL24)) == 24
    assert SMPL30 == SMPL24 + HEAD_POINTS
    assert len(set(SMPL30)) == 30


def test_mirror_swaps_sides_and_nothing_else() -> None:
    for joint, other in zip(SMPL30, np.array(SMPL30)[SMPL30_MIRROR], strict=True):
        swapped = joint.replace("left_", "?").replace("right_", "left_").replace("?", "right_")
        assert other == swapped
    assert (SMPL30_MIRROR[SMPL30_MIRROR] == np.arange(30)).all()


def test_graph_joints_are_found_by_name() -> None:
    assert [SMPL30[index] for index in GRAPH15_IN_SMPL30] == list(GRAPH15)
    assert len(set(GRAPH15)) == 15


@given(st.integers(0, 2**32 - 1))
def test_h36m17_keypoints_keep_their_values_and_come_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xy = rng.normal(size=(2, 17, 2)).astype(np.float32)
    score = (rng.random((2, 17)) * (rng.random((2, 17)) < 0.7)).astype(np.float32)
    placed_xy, placed_score = smpl30_from_h36m17(xy, score)
    assert placed_xy.shape == (2, 30, 2) and placed_score.shape == (2, 30)
    np.testing.assert_array_equal(placed_score[:, H36M17_IN_SMPL30], score)
    np.testing.assert_array_equal(placed_xy[:, H36M17_IN_SMPL30], np.where(score[..., None] > 0, xy, 0))
    absent = ~available30("h36m17")
    assert absent.sum() == 13
    assert not placed_xy[:, absent].any() and not placed_score[:, absent].any()


@pytest.mark.parametrize(
    ("h36m_joint", "smpl_joint"),
    [("pelvis", "pelvis"), ("spine", "spine2"), ("thorax", "neck"), ("nose", "head"), ("head_top", "head_top")],
)
def test_the_middle_of_h36m17_has_smpl_names(h36m_joint: str, smpl_joint: str) -> None:
    joints = np.random.default_rng(0).normal(size=(3, 30, 3))
    np.testing.assert_array_equal(
        h36m17_from_smpl30(joints)[:, H36M17.index(h36m_joint)], joints[:, smpl30_index(smpl_joint)]
    )


@pytest.mark.parametrize(
    ("layout", "given_", "absent"),
    [
        pytest.param(
            "coco17", {"nose", "left_ear", "pelvis", "neck", "right_wrist"}, {"head_top", "spine2"}, id="coco"
        ),
        pytest.param("h36m17", {"head", "head_top", "spine2", "pelvis"}, {"nose", "left_eye", "left_foot"}, id="h36m"),
        pytest.param("openpose18", {"nose", "neck", "pelvis"}, {"head", "left_collar"}, id="openpose"),
        pytest.param("halpe26", {"head_top", "nose", "pelvis", "neck"}, {"spine1"}, id="halpe"),
    ],
)
def test_layouts_give_what_they_have(layout: str, given_: set[str], absent: set[str]) -> None:
    names = {joint for joint, there in zip(SMPL30, available30(layout), strict=True) if there}
    assert given_ <= names
    assert names.isdisjoint(absent)


@pytest.mark.parametrize("layout", SKELETONS)
def test_what_is_available_is_what_is_placed(layout: str) -> None:
    joints = len(SKELETONS[layout].joints)
    xy = np.random.default_rng(0).normal(size=(joints, 2))
    _, score = smpl30_from_layout(xy, np.ones(joints, dtype=np.float32), layout)
    np.testing.assert_array_equal(score > 0, available30(layout))


def test_wrong_shapes_and_layouts_are_one_sentence() -> None:
    with pytest.raises(LayoutError, match=r"\(\.\.\., 17, 2\).*got \(16, 2\)"):
        smpl30_from_h36m17(np.zeros((16, 2)), np.zeros(16))
    with pytest.raises(LayoutError, match=r"30, 3.*got \(24, 3\)"):
        h36m17_from_smpl30(np.zeros((24, 3)))
    with pytest.raises(LayoutError, match="unknown keypoint layout 'coco'"):
        available30("coco")
    with pytest.raises(LayoutError, match="no joint 'tail'"):
        smpl30_index("tail")
