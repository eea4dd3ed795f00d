"""Rays, projection against OpenCV's own, and the person-centred view."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from occpose_core.camera import px_from_cam, px_from_rays, rays_from_cam, rays_from_px, view_of
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from tests.tolerances import EXACT, FLOAT32, UNDISTORT_PX

JOINTS = len(H36M17.joints)
K = np.array([[910.0, 0, 645.5], [0, 905.0, 352.0], [0, 0, 1]])
seeds = st.integers(0, 2**32 - 1)


def camera(model="none", *coefficients):
    return Camera(width=1280, height=720, K=K, D=np.array(coefficients), distortion_model=model)


CAMERAS = [
    pytest.param(camera(), id="none"),
    pytest.param(camera("plumb_bob", 0, 0, 0, 0, 0), id="plumb_bob of zeros"),
    pytest.param(camera("plumb_bob", -0.28, 0.09, 1e-3, -5e-4), id="plumb_bob 4"),
    pytest.param(camera("plumb_bob", -0.28, 0.09, 1e-3, -5e-4, -0.01), id="plumb_bob 5"),
    pytest.param(camera("rational_polynomial", 0.4, -0.2, 1e-4, -2e-4, 0.02, 0.7, -0.15, 0.03), id="rational 8"),
    pytest.param(
        camera("rational_polynomial", 0.4, -0.2, 1e-4, -2e-4, 0.02, 0.7, -0.15, 0.03, 1e-3, -1e-4, 5e-4, 1e-4),
        id="rational 12",
    ),
    pytest.param(camera("equidistant", 0.02, -0.01, 3e-3, -1e-3), id="equidistant"),
    pytest.param(camera("equidistant", 0, 0, 0, 0), id="equidistant of zeros"),
]


def image_grid():
    return np.stack(np.meshgrid(np.linspace(0, 1279, 33), np.linspace(0, 719, 19)), axis=-1)


def project_with_opencv(points_cam_m, camera):
    points, zero = points_cam_m.reshape(-1, 1, 3), np.zeros(3)
    D = camera.D if camera.D.size else None
    if camera.distortion_model == "equidistant":
        px, _ = cv2.fisheye.projectPoints(points, zero, zero, camera.K, camera.D)
    else:
        px, _ = cv2.projectPoints(points, zero, zero, camera.K, D)
    return px.reshape(*points_cam_m.shape[:-1], 2)


@pytest.mark.parametrize("camera", CAMERAS)
def test_pixels_survive_the_way_to_rays_and_back(camera):
    px = image_grid()
    back = px_from_rays(rays_from_px(px, camera), camera)
    assert back == pytest.approx(px, abs=UNDISTORT_PX)


@pytest.mark.parametrize("camera", CAMERAS)
def test_projection_agrees_with_opencv(camera):
    points = np.random.default_rng(0).uniform([-2, -1, 3], [2, 1, 9], (4, 50, 3))
    expected = project_with_opencv(points, camera)
    assert px_from_cam(points, camera) == pytest.approx(expected, abs=1e-6)
    assert rays_from_px(expected, camera) == pytest.approx(rays_from_cam(points), abs=UNDISTORT_PX / K[0, 0])


def test_skewed_pixels_survive_the_round_trip():
    skewed = Camera(width=1280, height=720, K=K + [[0, 12.0, 0], [0, 0, 0], [0, 0, 0]])
    px = image_grid()
    assert px_from_rays(rays_from_px(px, skewed), skewed) == pytest.approx(px, abs=EXACT)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("shape", [(2,), (0, 2), (3, 2), (2, 3, 5, 2)], ids=str)
def test_any_leading_axes(camera, shape):
    px = np.full(shape, 300.0)
    rays = rays_from_px(px, camera)
    assert rays.shape == px_from_rays(rays, camera).shape == shape
    assert rays.dtype == np.float64


@pytest.mark.parametrize("camera", CAMERAS)
def test_far_outside_the_image_rays_stay_finite(camera):
    px = np.array([[-1e5, 1e5], [1e6, 0], [0, -1e6]])
    assert np.isfinite(rays_from_px(px, camera)).all()


@pytest.mark.parametrize("camera", CAMERAS)
def test_points_behind_the_camera_project_to_finite_pixels(camera):
    points = np.array([[1.0, 1, -2], [0, 0, 0], [1e-9, 0, 1e-12]])
    assert np.isfinite(px_from_cam(points, camera)).all()


def person(rng, *shape, depth=(2.5, 9.0)):
    """Joints (..., T, J, 3) of a person-sized cloud that drifts; camera frame, metres."""
    centre = rng.uniform([-1.5, -1, depth[0]], [1.5, 1, depth[1]])
    drift = np.cumsum(rng.normal(0, 0.02, (*shape, 1, 3)), axis=-3)
    return centre + drift + rng.normal(0, [0.3, 0.5, 0.3], (*shape, JOINTS, 3))


def some_visible(rng, *shape):
    visible = rng.random((*shape, JOINTS)) < 0.7
    visible[..., :2] = True
    return visible


@given(seed=seeds, frames=st.integers(1, 9))
def test_view_is_a_rotation_that_looks_at_the_person_and_never_rolls(seed, frames):
    rng = np.random.default_rng(seed)
    view = view_of(rays_from_cam(person(rng, frames)), some_visible(rng, frames))
    rotation = view.cam_from_view
    assert rotation.shape == (frames, 3, 3), "each frame has a view of its own"
    assert np.swapaxes(rotation, 1, 2) @ rotation == pytest.approx(np.tile(np.eye(3), (frames, 1, 1)), abs=EXACT)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=EXACT)
    assert rotation[:, 1, 0] == pytest.approx(0, abs=EXACT), "the view's x axis stays level"


@given(seed=seeds, frames=st.integers(1, 9))
def test_view_is_undone_by_its_inverse(seed, frames):
    rng = np.random.default_rng(seed)
    joints = person(rng, frames)
    rays = rays_from_cam(joints)
    view = view_of(rays, some_visible(rng, frames))
    assert view.rays(view.normalise(rays)) == pytest.approx(rays, abs=FLOAT32)
    assert view.to_cam(view.from_cam(joints)) == pytest.approx(joints, abs=EXACT)


@given(seed=seeds)
def test_normalised_keypoints_are_what_the_virtual_camera_sees(seed):
    rng = np.random.default_rng(seed)
    joints, visible = person(rng, 1), some_visible(rng, 1)
    view = view_of(rays_from_cam(joints), visible)
    kpts = view.normalise(rays_from_cam(joints))
    in_view = view.from_cam(joints)
    assert kpts * view.scale[:, None, None] == pytest.approx(in_view[..., :2] / in_view[..., 2:], abs=FLOAT32)
    assert np.sqrt((kpts[visible].astype(float) ** 2).sum(axis=-1).mean()) == pytest.approx(1, abs=FLOAT32)
    assert np.abs(kpts[visible].mean(axis=0)).max() < 0.1


@given(seed=seeds, pan=st.floats(-0.8, 0.8))
def test_panning_the_camera_changes_nothing_in_the_view(seed, pan):
    """A turn about the camera's y axis is absorbed by the view; a roll would not be, and is not meant to."""
    rng = np.random.default_rng(seed)
    joints, visible = person(rng, 3), some_visible(rng, 3)
    turned = joints @ Rotation.from_euler("y", pan).as_matrix().T
    assume(joints[..., 2].min() > 0.5 and turned[..., 2].min() > 0.5)
    straight, panned = (view_of(rays_from_cam(x), visible) for x in (joints, turned))
    expected = straight.normalise(rays_from_cam(joints))
    assert panned.normalise(rays_from_cam(turned)) == pytest.approx(expected, abs=FLOAT32)
    root_relative = joints - joints[..., :1, :]
    assert panned.from_cam(turned - turned[..., :1, :]) == pytest.approx(straight.from_cam(root_relative), abs=1e-6)


@given(seed=seeds)
def test_mirrored_people_have_mirrored_views(seed):
    rng = np.random.default_rng(seed)
    rays, visible = rays_from_cam(person(rng, 2)), some_visible(rng, 2)
    expected = view_of(rays, visible).normalise(rays)
    expected[..., 0] *= -1
    mirrored = rays * [-1, 1]
    assert view_of(mirrored, visible).normalise(mirrored) == pytest.approx(expected, abs=FLOAT32)


@given(seed=seeds, zoom=st.floats(0.5, 2))
def test_distance_is_divided_out(seed, zoom):
    """Everything twice as far and twice as large is the same picture."""
    rng = np.random.default_rng(seed)
    joints, visible = person(rng, 1), some_visible(rng, 1)
    near, far = (view_of(rays_from_cam(x), visible).normalise(rays_from_cam(x)) for x in (joints, joints * zoom))
    assert far == pytest.approx(near, abs=FLOAT32)


@given(seed=seeds, garbage=st.sampled_from([0.0, 1e9, -1e9, np.inf, np.nan]))
def test_masked_rays_have_no_influence_on_the_view(seed, garbage):
    rng = np.random.default_rng(seed)
    rays, visible = rays_from_cam(person(rng, 4)), some_visible(rng, 4)
    spoiled = np.where(visible[..., None], rays, garbage)
    clean, view = view_of(rays, visible), view_of(spoiled, visible)
    assert view.cam_from_view.tobytes() == clean.cam_from_view.tobytes()
    assert view.scale.tobytes() == clean.scale.tobytes()


def test_a_batch_of_views_is_each_view():
    rng = np.random.default_rng(0)
    rays, visible = rays_from_cam(person(rng, 5, 3, 2)), some_visible(rng, 5, 3, 2)
    batch = view_of(rays, visible)
    kpts, back = batch.normalise(rays), batch.rays(batch.normalise(rays))
    for i in range(5):
        for k in range(3):
            alone = view_of(rays[i, k], visible[i, k])
            assert kpts[i, k] == pytest.approx(alone.normalise(rays[i, k]), abs=FLOAT32)
            assert back[i, k] == pytest.approx(rays[i, k], abs=FLOAT32)
            newest = alone.at(-1)
            assert kpts[i, k, -1] == pytest.approx(newest.normalise(rays[i, k, -1]), abs=FLOAT32)


@given(seed=seeds)
def test_a_frame_is_seen_the_same_whatever_comes_later(seed):
    rng = np.random.default_rng(seed)
    rays, visible = rays_from_cam(person(rng, 4)), some_visible(rng, 4)
    longer, shorter = view_of(rays, visible), view_of(rays[:2], visible[:2])
    assert longer.normalise(rays)[:2].tobytes() == shorter.normalise(rays[:2]).tobytes()


@pytest.mark.parametrize(
    ("visible", "scale"),
    [
        pytest.param(np.zeros((1, JOINTS), bool), 1e-3, id="none"),
        pytest.param(np.eye(JOINTS, dtype=bool)[:1], 1e-3, id="one"),
    ],
)
def test_hardly_visible_people_have_a_finite_view(visible, scale):
    rays = np.full((1, JOINTS, 2), 0.2)
    view = view_of(rays, visible)
    assert view.scale == scale
    assert np.isfinite(view.cam_from_view).all()
    assert np.isfinite(view.normalise(rays)).all()
    if not visible.any():
        assert view.cam_from_view[0] == pytest.approx(np.eye(3), abs=EXACT)
