"""Fewer triangles show the same body, and its markers keep RViz's rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_ros.bag import typestore
from occpose_ros.markers import skeleton_markers
from occpose_ros.mesh import CoarseMesh, MeshError
from occpose_ros.mesh_markers import MeshMarkers
from occpose_ros.message_types import MessageTypes, header_to_msg
from tests.ros.people import FRAME_ID, skeleton
from tests.ros.rviz_rules import marker_array_faults, shown_after

ROSBAGS = MessageTypes.from_rosbags(typestore())
BALL_M3 = 4 / 3 * np.pi


def ball(rings=24, around=32):
    """Vertices (V, 3) and outward triangles (F, 3) of a closed unit ball; so many rings of triangles."""
    polar, turn = np.linspace(0, np.pi, rings + 1)[1:-1], np.linspace(0, 2 * np.pi, around, endpoint=False)
    vertices = [(np.sin(p) * np.cos(t), np.sin(p) * np.sin(t), np.cos(p)) for p in polar for t in turn]
    top, bottom, faces = len(vertices), len(vertices) + 1, []
    for t in range(around):
        column = [top, *(ring * around + t for ring in range(rings - 1)), bottom]
        beside = [top, *(ring * around + (t + 1) % around for ring in range(rings - 1)), bottom]
        for ring in range(rings):
            faces += [(column[ring], column[ring + 1], beside[ring])] * (ring > 0)
            faces += [(beside[ring], column[ring + 1], beside[ring + 1])] * (ring < rings - 1)
    return np.array([*vertices, (0, 0, 1), (0, 0, -1)]), np.array(faces)


def volume_m3(vertices_m, faces):
    """Of a closed surface; negative if it is inside out."""
    a, b, c = vertices_m[faces].transpose(1, 0, 2)
    return float((np.cross(a, b) * c).sum() / 6)


def open_edges(faces):
    """How many edges belong to another number of triangles than two."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return int((np.unique(edges, axis=0, return_counts=True)[1] != 2).sum())


@pytest.mark.parametrize(("triangles", "share"), [(100, 0.85), (400, 0.95), (1000, 0.97)])
def test_a_closed_surface_stays_closed_and_keeps_its_volume(triangles, share):
    vertices, faces = ball()
    coarse = CoarseMesh.of(vertices, faces, triangles)
    assert 0.9 * triangles <= len(coarse.faces) <= triangles
    assert open_edges(coarse.faces) == 0
    assert volume_m3(vertices, faces) == pytest.approx(BALL_M3, rel=0.02)
    assert share * BALL_M3 < volume_m3(vertices[coarse.vertices], coarse.faces) < BALL_M3


def test_a_mesh_with_fewer_triangles_stays_as_it_is():
    vertices, faces = ball(4, 5)
    coarse = CoarseMesh.of(vertices, faces, len(faces))
    assert (coarse.faces == faces).all() and (coarse.vertices == np.arange(len(vertices))).all()


def test_bodies_that_touch_do_not_grow_together():
    vertices, faces = ball()
    apart = vertices + (2.0001, 0, 0)
    coarse = CoarseMesh.of(np.concatenate([vertices, apart]), np.concatenate([faces, faces + len(vertices)]), 400)
    which = coarse.vertices[coarse.faces] >= len(vertices)
    assert (which.all(axis=1) | ~which.any(axis=1)).all()
    assert 150 <= np.count_nonzero(which.all(axis=1)) <= 250


def test_vertices_without_triangles_are_left_out():
    vertices, faces = ball()
    lonely = np.concatenate([vertices, np.full((5, 3), 9.0)])
    assert CoarseMesh.of(lonely, faces, 200).vertices.max() < len(vertices)


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(2, 8), st.integers(3, 9))
def test_the_budget_is_never_exceeded(triangles, rings, around):
    vertices, faces = ball(rings, around)
    coarse = CoarseMesh.of(vertices, faces, triangles)
    assert len(coarse.faces) <= triangles or len(coarse.faces) == len(faces) <= triangles
    assert not len(coarse.faces) or coarse.faces.max() < len(coarse.vertices)


@pytest.mark.parametrize(
    ("vertices", "faces"),
    [
        pytest.param(np.full((3, 3), np.nan), [[0, 1, 2]], id="not finite"),
        pytest.param(np.zeros((3, 3)), [[0, 1, 3]], id="no such vertex"),
        pytest.param(np.zeros((3, 3)), [[0, 1, -1]], id="before the first"),
    ],
)
def test_what_is_no_mesh_is_refused(vertices, faces):
    with pytest.raises(MeshError, match="3 vertices and 1 triangles make no mesh"):
        CoarseMesh.of(vertices, np.array(faces), 10)


TETRAHEDRON = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
MESH = CoarseMesh(vertices=np.arange(4), faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))


def show(steps, types, resets=(), camera=""):
    """MarkerArrays of successive images: track id -> whether it has a mesh."""
    meshes, ids, arrays = MeshMarkers(MESH, types), {}, []
    for number, people in enumerate(steps):
        header = header_to_msg(number * 33_000_000, FRAME_ID, types)
        manner = {"lifetime_s": 0.5, "reset": number in resets, "camera": camera}
        array, ids = skeleton_markers([skeleton(id) for id in people], header, ids, types, **manner)
        vertices = {id: TETRAHEDRON + number for id, has_mesh in people.items() if has_mesh}
        array.markers += meshes.update(vertices, ids, header, **manner)
        arrays.append(array)
    return arrays


def meshes_shown(arrays):
    """Whose mesh RViz shows after these arrays, by label."""
    shown = shown_after(arrays)
    assert {number for layer, number in shown if layer == "mesh"} <= {number for _, number in shown}
    return sorted(shown["labels", number].text for layer, number in shown if layer == "mesh")


def test_a_mesh_has_a_triangle_for_each_face(types):
    array = show([{"a": True}], types)[0]
    mesh = shown_after([array])["mesh", 0]
    assert marker_array_faults([array]) == []
    corners = np.array([(point.x, point.y, point.z) for point in mesh.points], dtype=np.float32)
    np.testing.assert_array_equal(corners, TETRAHEDRON[MESH.faces].reshape(-1, 3))
    assert mesh.header.frame_id == FRAME_ID and 0 < mesh.color.a < 1


@pytest.mark.parametrize(
    ("steps", "resets", "shown"),
    [
        pytest.param([{"a": True}, {"a": True, "b": True}], (), ["a", "b"], id="one comes"),
        pytest.param([{"a": True, "b": True}, {"b": True}], (), ["b"], id="one goes"),
        pytest.param([{"a": True, "b": True}, {"a": False, "b": True}], (), ["b"], id="one has no image answer"),
        pytest.param([{"a": True}, {"b": True}], (), ["b"], id="one goes while another comes"),
        pytest.param([{"a": True}, {"a": False}, {"a": True}], (), ["a"], id="an image comes again"),
        pytest.param([{"a": True}, {}], (), [], id="all go"),
        pytest.param([{"a": True}, {"a": False}], (1,), [], id="time goes backwards"),
    ],
)
def test_shows_exactly_the_meshes_there(types, steps, resets, shown):
    arrays = show(steps, types, resets)
    assert marker_array_faults(arrays) == []
    assert meshes_shown(arrays) == shown


def test_what_is_not_finite_or_has_no_person_is_left_out():
    header = header_to_msg(0, FRAME_ID, ROSBAGS)
    meshes = {"a": TETRAHEDRON * np.nan, "nobody": TETRAHEDRON}
    assert not MeshMarkers(MESH, ROSBAGS).update(meshes, {"a": 0}, header, lifetime_s=0.5, reset=False, camera="")


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.booleans()), max_size=8))
def test_every_sequence_keeps_the_rules(steps):
    arrays = show(steps, ROSBAGS, resets=(3,), camera="front")
    assert marker_array_faults(arrays) == []


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        pytest.param("points", [], "three points each", id="no points"),
        pytest.param("points", [ROSBAGS.Point(x=0.0, y=0.0, z=0.0)] * 4, "three points each", id="four points"),
        pytest.param("scale", ROSBAGS.Vector3(x=1.0, y=0.0, z=1.0), "have a scale", id="flat"),
        pytest.param("colors", [ROSBAGS.ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)] * 12, "one colour", id="colours"),
    ],
)
def test_the_checker_finds_each_fault(field, value, fault):
    (array,) = show([{"a": True}], ROSBAGS)
    setattr(array.markers[-1], field, value)
    assert any(fault in found for found in marker_array_faults([array]))
