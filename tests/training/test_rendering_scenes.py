"""Scenes: what rays meet, what stands where, and what a picture of it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("kornia")

from occpose_core.body.layer import BodyModel
from occpose_core.dataset import SPLITS, DatasetError, read_sequences
from tests.training.stage import scene_of, someone
from training.rendering import furniture, textures
from training.rendering.people import Actors, draw_people
from training.rendering.picture import take_picture
from training.rendering.raycast import NOTHING, Raycaster
from training.rendering.recordings import Recordings
from training.rendering.scenes import Thing, draw_scene


@pytest.fixture(scope="module")
def actors() -> Actors:
    return Actors(BodyModel())


def test_rays_meet_the_nearest_thing() -> None:
    near, far = furniture.box(0, 2, 0, (1, 1, 1)), furniture.box(0, 5, 0, (4, 1, 4))
    hits = Raycaster([near, far]).cast(
        np.array([0.0, 0.0, 0.5]), np.array([[0, 1, 0], [0.25, 1, 0], [0, -1, 0], [0, 2, 0]])
    )
    np.testing.assert_array_equal(hits.mesh, [0, 0, NOTHING, 0])
    np.testing.assert_allclose(hits.distance[:2], 1.5, atol=1e-6)
    assert np.isinf(hits.distance[2])
    np.testing.assert_allclose(hits.distance[3], 0.75, atol=1e-6)  # in lengths of the ray
    np.testing.assert_allclose(np.abs(hits.facing[0]), [0, 1, 0], atol=1e-6)
    corners = near.vertices_m[near.faces[hits.triangle[:2]]]
    met = (corners * hits.weights[:2, :, None]).sum(axis=1)
    np.testing.assert_allclose(met, [[0, 1.5, 0.5], [0.375, 1.5, 0.5]], atol=1e-6)


@pytest.mark.parametrize("kind", furniture.KINDS)
def test_furniture_stands_on_the_floor_and_faces_outwards(kind: str) -> None:
    for seed in range(5):
        for mesh in furniture.KINDS[kind](np.random.default_rng(seed)):
            a, b, c = (mesh.vertices_m[mesh.faces[:, corner]] for corner in range(3))
            assert (np.cross(a, b) * c).sum() > 0  # six times the volume
            assert mesh.vertices_m[:, 2].min() >= 0


def test_vertex_normals_point_away_from_the_middle() -> None:
    mesh = furniture.box(1, 2, 3, (2, 2, 2))
    normals = mesh.vertex_normals()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1.0)
    assert (normals * (mesh.vertices_m - [1, 2, 4])).sum(-1).min() > 0.5


@pytest.mark.parametrize("table", [furniture.KINDS_OF_SPLIT, textures.PATTERNS_OF_SPLIT])
def test_the_test_split_has_kinds_that_training_never_sees(table: dict[str, tuple[str, ...]]) -> None:
    assert set(table["test"]) - set(table["train"])
    assert set(table) == set(SPLITS)


def test_no_furniture_of_the_test_split_is_seen_in_training() -> None:
    assert not set(furniture.KINDS_OF_SPLIT["test"]) & set(furniture.KINDS_OF_SPLIT["train"])


@pytest.mark.parametrize("pattern", textures.PATTERNS)
def test_textures_lie_between_their_colours(pattern: str) -> None:
    rng = np.random.default_rng(0)
    drawn = replace(textures.draw_texture("test", "cloth", rng), pattern=pattern)
    colours = drawn.at(rng.uniform(-2, 2, size=(500, 3)))
    low, high = drawn.colours.min(axis=0), drawn.colours.max(axis=0)
    assert ((colours >= low - 1e-9) & (colours <= high + 1e-9)).all()
    assert (np.ptp(colours, axis=0).max() > 0) == (pattern != "plain")


def test_a_picture_shows_clothes_where_there_is_a_body_and_a_shadow_beside(actors: Actors) -> None:
    floor = furniture.box(0, 0, -0.1, (20, 20, 0.1))
    scene = scene_of(actors, [someone(actors)], [])
    room = (Thing(mesh=floor, local_m=floor.vertices_m, paint=_white()),)
    lit = replace(scene, room=room, light=replace(scene.light, toward=np.array([0.8, 0.0, 0.6])))
    picture = take_picture(lit, np.random.default_rng(0))
    on_floor = picture.rgb[(picture.person == NOTHING) & (np.arange(160)[:, None] > 120)].astype(int).sum(-1)
    assert np.percentile(on_floor, 98) > 1.3 * np.percentile(on_floor, 2)
    colours = {tuple(colour) for colour in (picture.rgb[picture.person == 0] // 48).tolist()}
    assert len(colours) >= 4


def _white() -> textures.Texture:
    drawn = textures.draw_texture("train", "wall", np.random.default_rng(0))
    return replace(drawn, pattern="plain", colours=np.ones((2, 3)))


def test_a_seed_gives_one_picture(actors: Actors, data_file: Path) -> None:
    recordings = Recordings([read_sequences(data_file)], "test")
    first, again, other = (
        take_picture(draw_scene(recordings, "test", actors, rng), rng).rgb
        for rng in (np.random.default_rng(seed) for seed in (3, 3, 4))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_people_stand_on_the_floor_and_apart(actors: Actors, data_file: Path) -> None:
    recordings = Recordings([read_sequences(data_file)], "train")
    counts = []
    for seed in range(30):
        people = draw_people(recordings, actors, np.random.default_rng(seed))
        counts.append(len(people))
        assert all(0 <= person.mesh.vertices_m[:, 2].min() < 0.7 for person in people)
        assert all(person.recorded.subject == "train" for person in people)
        apart = [np.linalg.norm(people[0].pelvis_world_m - other.pelvis_world_m) for other in people[1:]]
        assert all(distance > 0.3 for distance in apart)
    assert {1, 2, 3} == set(counts)


def test_a_split_that_no_file_has_is_said(data_file: Path) -> None:
    file = read_sequences(data_file)
    only = replace(file, split=np.full(len(file), "train"))
    with pytest.raises(DatasetError, match="no data file has recordings of split 'test'"):
        Recordings([only], "test")


def test_shares_of_files_are_kept(data_file: Path) -> None:
    file = read_sequences(data_file)
    other = replace(file, subject=np.char.add("other ", file.subject))
    recordings, rng = Recordings([file, other], "val", [0.8, 0.2]), np.random.default_rng(0)
    drawn = [recordings.draw(rng).subject for _ in range(500)]
    assert drawn.count("val") == pytest.approx(400, abs=40)
