"""Markers keep RViz's rules, show who is there and nobody else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.skeleton import H36M17
from occpose_ros.bag import typestore
from occpose_ros.markers import LAYERS, delete_all_markers, marker_ids, skeleton_markers
from occpose_ros.message_types import MessageTypes, header_to_msg
from tests.ros.people import FRAME_ID, skeleton
from tests.ros.rviz_rules import marker_array_faults, shown_after

LEGS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle"))
ROSBAGS = MessageTypes.from_rosbags(typestore())


def show(steps, types, resets=()):
    """MarkerArrays of successive lists of skeletons."""
    arrays, ids = [], {}
    for number, people in enumerate(steps):
        header = header_to_msg(number * 33_000_000, FRAME_ID, types)
        array, ids = skeleton_markers(people, header, ids, types, reset=number in resets)
        arrays.append(array)
    return arrays


def people_shown(arrays):
    return sorted(marker.text for marker in shown_after(arrays).values() if marker.text)


def test_a_person_has_one_marker_a_layer(types):
    arrays = show([[skeleton("7", hidden=LEGS)]], types)
    assert marker_array_faults(arrays) == []
    shown = shown_after(arrays)
    assert set(shown) == {(layer, 0) for layer in LAYERS}
    joints = {layer: len(shown[layer, 0].points) for layer in ("joints", "filled_joints")}
    assert joints == {"joints": len(H36M17.joints) - len(LEGS), "filled_joints": len(LEGS)}
    lines = {layer: len(shown[layer, 0].points) // 2 for layer in ("bones", "filled_bones")}
    assert lines == {"bones": len(H36M17.bones) - len(LEGS), "filled_bones": len(LEGS)}
    assert shown["labels", 0].text == "7"


def test_filled_joints_have_another_colour_and_are_translucent(types):
    shown = shown_after(show([[skeleton(hidden=LEGS)]], types))
    measured, filled = shown["joints", 0].colors[0], shown["filled_joints", 0].colors[0]
    assert np.linalg.norm(np.subtract((measured.r, measured.g, measured.b), (filled.r, filled.g, filled.b))) > 0.5
    assert filled.a < 0.6 < measured.a


def test_alpha_falls_as_sigma_grows(types):
    person = skeleton()
    sigma_m = np.linspace(0.0, 0.2, len(person.sigma_m), dtype=np.float32)
    shown = shown_after(show([[replace(person, sigma_m=sigma_m)]], types))
    alpha = [colour.a for colour in shown["joints", 0].colors]
    assert alpha[0] == 1.0
    assert (np.diff(alpha) < 0).all()


@pytest.mark.parametrize(
    ("steps", "resets", "shown"),
    [
        pytest.param([["a"], ["a", "b"]], (), ["a", "b"], id="one comes"),
        pytest.param([["a", "b"], ["b"]], (), ["b"], id="one goes"),
        pytest.param([["a", "b"], ["c", "b"]], (), ["b", "c"], id="one goes while another comes"),
        pytest.param([["a", "b"], []], (), [], id="all go"),
        pytest.param([["a", "b"], ["c"]], (1,), ["c"], id="time goes backwards"),
        pytest.param([["a"], ["a"]], (1,), ["a"], id="time goes backwards, same person"),
    ],
)
def test_shows_exactly_the_people_there(types, steps, resets, shown):
    arrays = show([[skeleton(name) for name in names] for names in steps], types, resets)
    assert marker_array_faults(arrays) == []
    assert people_shown(arrays) == shown


def test_a_joint_that_appears_leaves_the_filled_layer(types):
    arrays = show([[skeleton(hidden=LEGS)], [skeleton()]], types)
    assert ("filled_joints", 0) not in shown_after(arrays)


def test_unknown_joints_are_left_out(types):
    shown = shown_after(show([[skeleton(unknown=LEGS)]], types))
    assert len(shown["joints", 0].points) == len(H36M17.joints) - len(LEGS)
    assert ("filled_joints", 0) not in shown


def test_nothing_known_shows_nothing(types):
    arrays = show([[skeleton(unknown=H36M17.joints)]], types)
    assert marker_array_faults(arrays) == []
    assert shown_after(arrays) == {}


def test_cameras_that_share_a_topic_show_their_people_beside_each_other(types):
    header = header_to_msg(0, FRAME_ID, types)
    front, ids = skeleton_markers([skeleton("7")], header, {}, types, camera="front")
    rear, _ = skeleton_markers([skeleton("7")], header, {}, types, camera="rear")
    assert len(shown_after([front, rear])) == 2 * len(shown_after([front]))
    gone, _ = skeleton_markers([], header, ids, types, camera="front")
    assert marker_array_faults([front, rear, gone]) == []
    assert {ns.partition("/")[0] for ns, _ in shown_after([front, rear, gone])} == {"rear"}


def test_delete_all_clears(types):
    header = header_to_msg(0, FRAME_ID, types)
    arrays = [*show([[skeleton("a")]], types), delete_all_markers(header, types)]
    assert marker_array_faults(arrays) == []
    assert shown_after(arrays) == {}


TRACKS = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(st.lists(TRACKS, max_size=12))
def test_marker_ids_are_stable_small_and_not_reused_at_once(steps):
    previous = {}
    for tracks in steps:
        ids = marker_ids(tracks, previous)
        assert len(set(ids.values())) == len(tracks)
        assert all(ids[track] == previous[track] for track in tracks if track in previous)
        assert not set(previous.values()) & {ids[track] for track in tracks if track not in previous}
        assert max(ids.values(), default=0) < 2 * 8
        previous = ids


@given(st.lists(TRACKS, max_size=6), st.sets(st.sampled_from(H36M17.joints)), st.sets(st.sampled_from(H36M17.joints)))
def test_every_sequence_keeps_the_rules(steps, hidden, unknown):
    people = [[skeleton(name, hidden=tuple(hidden), unknown=tuple(unknown)) for name in names] for names in steps]
    assert marker_array_faults(show(people, ROSBAGS, resets=(2,))) == []


def _broken(field, value):
    def break_it(marker, types):
        setattr(marker, field, value(types) if callable(value) else value)

    return break_it


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        pytest.param(_broken("action", 7), "action", id="action"),
        pytest.param(_broken("id", -1), "id is", id="id"),
        pytest.param(_broken("ns", ""), "namespace", id="namespace"),
        pytest.param(_broken("frame_locked", True), "frame_locked", id="frame locked"),
        pytest.param(_broken("points", []), "has points", id="no points"),
        pytest.param(_broken("colors", lambda t: [t.ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)]), "one for", id="colours"),
        pytest.param(_broken("color", lambda t: t.ColorRGBA(r=1.0, g=1.0, b=1.0, a=0.0)), "alpha", id="alpha 0"),
        pytest.param(_broken("scale", lambda t: t.Vector3(x=0.0, y=1.0, z=1.0)), "size", id="no size"),
        pytest.param(_broken("lifetime", lambda t: t.Duration(sec=0, nanosec=0)), "lifetime", id="for ever"),
        pytest.param(_broken("header", lambda t: header_to_msg(0, "/camera", t)), "slash", id="frame with a slash"),
        pytest.param(
            _broken("pose", lambda t: t.Pose(position=t.Point(x=float("nan"), y=0.0, z=0.0),
                                             orientation=t.Quaternion(x=0.0, y=0.0, z=0.0, w=1.0))),
            "finite", id="NaN position",
        ),
        pytest.param(
            _broken("pose", lambda t: t.Pose(position=t.Point(x=0.0, y=0.0, z=0.0),
                                             orientation=t.Quaternion(x=0.0, y=0.0, z=0.0, w=0.0))),
            "quaternion", id="zero quaternion",
        ),
    ],
)  # fmt: skip
def test_the_checker_finds_each_fault(break_it, fault):
    arrays = show([[skeleton("a")]], ROSBAGS)
    break_it(arrays[0].markers[0], ROSBAGS)
    assert any(fault in found for found in marker_array_faults(arrays))


def test_the_checker_finds_duplicates_and_late_delete_all():
    array = show([[skeleton("a")]], ROSBAGS)[0]
    array.markers.append(array.markers[0])
    array.markers.extend(delete_all_markers(array.markers[0].header, ROSBAGS).markers)
    faults = " ".join(marker_array_faults([array]))
    assert "2 times" in faults and "DELETEALL is not the first" in faults
