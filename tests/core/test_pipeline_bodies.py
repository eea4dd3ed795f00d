"""PosePipeline with an image model: whose pose and surface it takes, when, and what stays as without one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.camera import px_from_cam
from occpose_core.crops import CropError
from occpose_core.geometry import stature_m
from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import load
from occpose_core.runtime.image_engine import load_image_model
from occpose_core.skeleton import H36M17
from occpose_core.types import Keypoints2D, State
from tests.core.cardboard import CAMERA, FIGURE, STATURE_M, CardboardEngine, standing
from tests.core.tiny_body import CORNERS, tiny_body

FRAME = 1_000_000_000 // 30
WRIST = H36M17.index("left_wrist")
MM = 1e-3
# The image says that the wrist is lifted by so much, which the keypoints do not.
RED = 0.4


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return load_image_model(tiny_body(tmp_path_factory.mktemp("tiny") / "tiny.onnx"))


def image(red=RED):
    picture = np.zeros((CAMERA.height, CAMERA.width, 3), dtype=np.uint8)
    picture[..., 0] = round(255 * red)
    return picture


def pipeline(body_engine, lifter=None, **config):
    config = {"target_height_m": STATURE_M, "min_cutoff_hz": 0.0, **config}
    return PosePipeline(lifter or CardboardEngine(), PipelineConfig(**config), body_engine=body_engine)


def lifted_figure(red=RED):
    figure = FIGURE.copy()
    figure[WRIST, 1] -= round(255 * red) / 255
    return figure


def test_pose_and_surface_come_from_the_image(engine):
    root = np.array([0.0, 0.0, 4.0])
    output = pipeline(engine).step([standing(*root, id="a", hidden=["left_wrist"])], 0, CAMERA, image_rgb=image())
    (skeleton,) = output.skeletons
    expected = lifted_figure() + root
    assert skeleton.joints_cam_m == pytest.approx(expected, abs=20 * MM)
    mesh = output.meshes["a"]
    assert mesh.shape == (19, 3) and mesh.dtype == np.float32
    assert mesh[:17] == pytest.approx(skeleton.joints_cam_m, abs=MM)
    assert mesh[17:] == pytest.approx(CORNERS + root, abs=20 * MM)
    assert skeleton.kpts_px[WRIST] == pytest.approx(px_from_cam(expected, CAMERA)[WRIST], abs=5)


def test_somebody_at_the_side_is_turned_into_the_axes_of_the_camera(engine):
    """The model always sees a figure that faces its view; so seen from the camera it is turned about the vertical."""
    root = np.array([3.0, 0.0, 4.0])
    (skeleton,) = pipeline(engine).step([standing(*root, id="a")], 0, CAMERA, image_rgb=image(0.0)).skeletons
    across = (
        skeleton.joints_cam_m[H36M17.index("left_shoulder")] - skeleton.joints_cam_m[H36M17.index("right_shoulder")]
    )
    assert across @ root / np.linalg.norm(across) / np.linalg.norm(root) == pytest.approx(0.0, abs=0.05)
    assert across[2] < -0.1


def test_meshes_have_the_scale_and_the_place_of_their_skeletons(engine):
    pipe = pipeline(engine, target_height_m=1.2)
    output = pipe.step(
        [standing(-0.5, 0.0, 4.0, id="a"), standing(0.6, 0.1, 3.0, id="b")], 0, CAMERA, image_rgb=image()
    )
    assert list(output.meshes) == ["a", "b"]
    for skeleton in output.skeletons:
        assert stature_m(skeleton.joints_cam_m) == pytest.approx(1.2, abs=MM)
        assert output.meshes[skeleton.id][:17] == pytest.approx(skeleton.joints_cam_m, abs=MM)


@pytest.mark.parametrize(
    "no_image",
    [
        pytest.param(None, id="no image"),
        pytest.param(lambda: None, id="an image that cannot be had"),
    ],
)
def test_without_an_image_the_answer_is_that_of_the_keypoints(engine, no_image):
    people = [standing(0.2, 0.0, 4.0, id="a", hidden=["left_wrist"])]
    output = pipeline(engine).step(people, 0, CAMERA, image_rgb=no_image)
    alone = pipeline(None).step(people, 0, CAMERA)
    assert output.meshes == {}
    assert np.array_equal(output.skeletons[0].joints_cam_m, alone.skeletons[0].joints_cam_m)


def test_without_an_image_model_images_are_not_even_looked_at():
    output = pipeline(None).step(
        [standing(0.0, 0.0, 4.0)], 0, CAMERA, image_rgb=lambda: pytest.fail("nobody needs the image")
    )
    assert len(output.skeletons) == 1 and output.meshes == {}


def test_images_are_asked_for_only_if_somebody_shows_enough(engine):
    pipe, asked = pipeline(engine), []

    def picture():
        asked.append(1)
        return image()

    joints = [name for name in H36M17.joints if name not in ("nose", "head_top", "thorax")]
    pipe.step([standing(0.0, 0.0, 4.0, id="a", hidden=joints)], 0, CAMERA, image_rgb=picture)
    pipe.step([], FRAME, CAMERA, image_rgb=picture)
    assert not asked
    output = pipe.step([standing(0.0, 0.0, 4.0, id="a")], 2 * FRAME, CAMERA, image_rgb=picture)
    assert len(asked) == 1 and list(output.meshes) == ["a"]


def test_only_people_who_are_seen_have_meshes_and_the_others_are_held(engine):
    pipe = pipeline(engine)
    both = [standing(-0.5, 0.0, 4.0, id="a"), standing(0.6, 0.0, 4.0, id="b")]
    assert set(pipe.step(both, 0, CAMERA, image_rgb=image()).meshes) == {"a", "b"}
    output = pipe.step(both[1:], FRAME, CAMERA, image_rgb=image())
    states = {skeleton.id: skeleton.state for skeleton in output.skeletons}
    assert states == {"a": State.OCCLUDED, "b": State.TRACKED} and set(output.meshes) == {"b"}


def test_an_answer_that_is_not_finite_leaves_the_person_to_the_keypoints(engine, monkeypatch):
    people = [standing(-0.5, 0.0, 4.0, id="a"), standing(0.6, 0.0, 4.0, id="b")]
    answer = engine.run

    def broken(*given):
        body = answer(*given)
        body.vertices_root_m[1, 3] = np.nan
        return body

    monkeypatch.setattr(engine, "run", broken)
    output = pipeline(engine).step(people, 0, CAMERA, image_rgb=image())
    alone = pipeline(None).step(people, 0, CAMERA)
    assert set(output.meshes) == {"a"} and output.dropped == {"body_non_finite": 1}
    assert np.array_equal(output.skeletons[1].joints_cam_m, alone.skeletons[1].joints_cam_m)


def test_a_model_that_remembers_keeps_its_memory_beside_the_image(engine):
    """The state goes on as without images, so that the first frame without one is answered from all of the past."""
    pipes = [PosePipeline(load("stream-s"), PipelineConfig(), body_engine=each) for each in (engine, None)]
    states = []
    for pipe in pipes:
        for frame in range(5):
            person = standing(0.02 * frame, 0.0, 4.0, id="a", hidden=["left_wrist"] if frame > 2 else [])
            output = pipe.step([person], frame * FRAME, CAMERA, image_rgb=image())
        states.append(pipe._people.rows["state"].copy())
        assert len(output.skeletons) == 1
    assert np.array_equal(*states)


def test_poses_are_smoothed_where_images_come_and_go(engine):
    """A lifter that remembers is not smoothed; but between it and the image model the pose must not jump."""
    jumps = {}
    for cutoff_hz in (0.0, 1.0):
        config = PipelineConfig(min_cutoff_hz=cutoff_hz, beta=0.0)
        pipe = PosePipeline(load("stream-s"), config, body_engine=engine)
        wrists = []
        for picture in (image(0.8), image(0.8), None):
            output = pipe.step([standing(0.0, 0.0, 4.0, id="a")], len(wrists) * FRAME, CAMERA, image_rgb=picture)
            wrists.append(output.skeletons[0].joints_cam_m[WRIST] - output.skeletons[0].joints_cam_m[0])
        jumps[cutoff_hz] = np.linalg.norm(wrists[2] - wrists[1])
    assert jumps[0.0] > 0.5 and jumps[1.0] < 0.3 * jumps[0.0]


@given(seed=st.integers(0, 2**32 - 1), hidden=st.integers(0, 12))
@settings(max_examples=20, deadline=None)
def test_the_value_of_a_masked_joint_changes_nothing(engine, seed, hidden):
    rng = np.random.default_rng(seed)
    score = np.ones(17, dtype=np.float32)
    score[rng.permutation(17)[:hidden]] = 0.0
    person = standing(0.3, 0.1, 3.5, id="a", score=score)
    answers = []
    for junk in (np.zeros((17, 2)), rng.uniform(-1e5, 1e5, (17, 2)), np.full((17, 2), np.nan)):
        masked = Keypoints2D(id="a", xy_px=np.where(score[:, None] > 0, person.xy_px, junk), score=score)
        output = pipeline(engine).step([masked], 0, CAMERA, image_rgb=image())
        answers.append([output.meshes["a"], output.skeletons[0].joints_cam_m, output.skeletons[0].kpts_px])
    for other in answers[1:]:
        assert all(np.array_equal(*pair) for pair in zip(answers[0], other, strict=True))


def test_a_crowd_is_answered_person_by_person(engine):
    people = [standing(0.3 * (index - 5), 0.02 * index, 6.0, id=str(index)) for index in range(11)]
    together = pipeline(engine).step(people, 0, CAMERA, image_rgb=image())
    for index in (0, 4, 10):
        alone = pipeline(engine).step(people[index : index + 1], 0, CAMERA, image_rgb=image())
        assert together.meshes[str(index)] == pytest.approx(alone.meshes[str(index)], abs=1e-5)


def test_what_is_no_image_is_refused(engine):
    with pytest.raises(CropError, match="an image must be"):
        pipeline(engine).step([standing(0.0, 0.0, 4.0)], 0, CAMERA, image_rgb=np.zeros((4, 4)))
