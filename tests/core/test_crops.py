"""Crops: the picture agrees with the normalised keypoints, for any camera, place, turn and resolution."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.camera import px_from_cam, rays_from_px, view_of
from occpose_core.crops import CROP_HALF_WIDTH, CropError, crop_px, kpts_from_crop_px, person_crop, turned
from occpose_core.types import Camera
from tests.tolerances import EXACT

K = np.array([[620.0, 0, 322.0], [0, 610.0, 236.0], [0, 0, 1]])
LENSES = [
    pytest.param("none", (), id="none"),
    pytest.param("plumb_bob", (-0.28, 0.09, 1e-3, -5e-4, 0.0), id="plumb_bob"),
    pytest.param("rational_polynomial", (0.4, -0.2, 1e-4, -2e-4, 0.02, 0.7, -0.15, 0.03), id="rational"),
    pytest.param("equidistant", (0.02, -0.01, 3e-3, -1e-3), id="equidistant"),
]
PLACES = [
    pytest.param((0.0, 0.0, 4.0), id="ahead"),
    pytest.param((1.4, 0.2, 4.0), id="right"),
    pytest.param((-0.7, 0.1, 2.6), id="left"),
]
# A cross: its points can be found again in a picture.
POINTS = np.array([[0.0, -0.8, 0.0], [0.3, -0.4, 0.05], [-0.3, -0.35, -0.05], [0.1, 0.75, 0.0], [-0.25, 0.6, 0.1]])
WIDE = CROP_HALF_WIDTH


def camera(model="none", coefficients=(), times=1, K=K):
    grown = np.diag([times, times, 1.0]) @ K + (times - 1) / 2 * np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    return Camera(width=640 * times, height=480 * times, K=grown, D=np.array(coefficients), distortion_model=model)


def filmed(points_m, camera, radius_px, channels=3):
    """An image with a soft white dot at each point that is in it, and the view of a person with these joints."""
    px = px_from_cam(points_m, camera)
    image = np.zeros((camera.height, camera.width, channels), dtype=np.float32)
    y, x = np.mgrid[: camera.height, : camera.width]
    for u, v in px:
        image += np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * radius_px**2))[..., None].astype(np.float32)
    rays = rays_from_px(px, camera)
    return image, view_of(rays, np.ones(len(px), dtype=bool)), rays


def centre_of_mass(crop, around, reach=6):
    """(2,) px: where the dot near a pixel is."""
    x0, y0 = np.round(around).astype(int) - reach
    part = crop[y0 : y0 + 2 * reach + 1, x0 : x0 + 2 * reach + 1, 0].astype(float)
    y, x = np.mgrid[: part.shape[0], : part.shape[1]]
    return np.array([(part * x).sum(), (part * y).sum()]) / part.sum() + (x0, y0)


@pytest.mark.parametrize(("model", "coefficients"), LENSES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("turn", "mirrored"), [(0.0, False), (0.5, False), (-0.3, True)])
def test_the_picture_has_a_person_where_the_keypoints_are(model, coefficients, place, turn, mirrored):
    image, view, rays = filmed(POINTS + np.array(place), camera(model, coefficients), radius_px=3.0)
    crop = person_crop(image, camera(model, coefficients), view, 160, turn, mirrored)
    assert crop.shape == (160, 160, 3) and crop.dtype == np.float32
    expected = crop_px(turned(view.normalise(rays), turn, mirrored), 160)
    found = [centre_of_mass(crop, point) for point in expected]
    assert np.abs(np.array(found) - expected).max() < 0.25


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize(("model", "coefficients"), LENSES)
def test_a_person_looks_the_same_in_images_of_all_resolutions(model, coefficients, times):
    crops = []
    for grown in (1, times):
        one = camera(model, coefficients, times=grown)
        image, view, _ = filmed(POINTS + [0.5, 0.0, 3.0], one, radius_px=8.0 * grown)
        crops.append(person_crop((255 * image).clip(0, 255).astype(np.uint8), one, view, 96))
    assert np.abs(crops[0].astype(float) - crops[1]).max() <= 16  # of 255, on flanks of 8 px
    assert crops[0].max() > 200


def test_fine_patterns_are_averaged_and_do_not_alias():
    stripes = np.zeros((1920, 2560, 1), dtype=np.uint8)
    stripes[:, ::2] = 255
    _, view, _ = filmed(POINTS + [0.0, 0.0, 3.0], camera(), radius_px=1.0)
    crop = person_crop(stripes, camera(times=4), view, 64)
    inside = crop[24:40, 24:40].astype(float)
    assert inside.mean() == pytest.approx(127.5, abs=3) and inside.std() < 40


def test_an_image_of_another_size_is_the_same_resized():
    image, view, _ = filmed(POINTS + [0.3, 0.1, 3.0], camera(), radius_px=6.0)
    half = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    crops = [person_crop(each, camera(), view, 64) for each in (image, half)]
    assert np.abs(crops[0] - crops[1]).max() < 0.05


@pytest.mark.parametrize(("model", "coefficients"), LENSES)
def test_what_the_camera_does_not_see_is_black(model, coefficients):
    white = np.full((480, 640, 3), 255, dtype=np.uint8)
    one = camera(model, coefficients)
    px = np.array([[600.0, 60.0], [630.0, 200.0], [620.0, 400.0], [560.0, 150.0]])
    rays = rays_from_px(px, one)
    view = view_of(rays, np.ones(4, dtype=bool))
    crop = person_crop(white, one, view, 128)
    y, x = np.mgrid[:128, :128]
    directions = view.rays(kpts_from_crop_px(np.stack([x, y], axis=-1).reshape(-1, 2), 128))
    px = px_from_cam(np.concatenate([directions, np.ones((len(directions), 1))], axis=-1), one).reshape(128, 128, 2)
    outside = ((px < -4) | (px > [643, 483])).any(axis=-1)
    inside = ((px > 4) & (px < [635, 475])).all(axis=-1) & (np.hypot(*directions.T) < 1.0).reshape(128, 128)
    assert outside.sum() > 500 and inside.sum() > 2000
    assert (crop[outside & ~inside] == 0).all(axis=-1).mean() > 0.99
    assert (crop[inside] == 255).all()


@pytest.mark.parametrize(("model", "coefficients"), LENSES)
def test_nothing_from_behind_the_camera_is_shown(model, coefficients):
    """Somebody at the side, so near that the crop reaches behind the camera."""
    white = np.full((480, 640, 1), 255, dtype=np.uint8)
    wide = np.diag([0.15, 0.15, 1.0]) @ K + np.array([[0, 0, 272.0], [0, 0, 203.0], [0, 0, 0]])
    one = camera(model, tuple(0.01 * np.array(coefficients)), K=wide)
    rays = np.array([[2.2, -0.7], [2.8, 0.8], [1.6, 0.9], [3.0, -0.1]])
    view = view_of(rays, np.ones(4, dtype=bool))
    crop = person_crop(white, one, view, 64)[..., 0]
    y, x = np.mgrid[:64, :64]
    kpts = kpts_from_crop_px(np.stack([x, y], axis=-1), 64) * view.scale
    depth = np.concatenate([kpts, np.ones((64, 64, 1))], axis=-1) @ view.cam_from_view[2]
    assert (depth < -0.1).any(), "the crop does not reach behind the camera"
    assert (crop[depth < 0.0] == 0).all()
    assert (crop[crop_px(view.normalise(rays), 64)[0].astype(int)[1]] > 0).any()


@given(
    seed=st.integers(0, 2**32 - 1),
    seen=st.integers(0, 17),
    lens=st.sampled_from([case.values for case in LENSES]),
    depth=st.floats(0.05, 30.0),
)
@settings(max_examples=60, deadline=None)
def test_any_view_gives_a_crop(seed, seen, lens, depth):
    rng = np.random.default_rng(seed)
    one = camera(*lens)
    rays = rays_from_px(rng.uniform([-300, -300], [940, 780], (17, 2)) / min(depth, 3.0), one)
    view = view_of(rays, np.arange(17) < seen)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    crop = person_crop(image, one, view, 48, rng.uniform(-3, 3), bool(seed % 2))
    assert crop.shape == (48, 48, 3) and crop.dtype == np.uint8


@pytest.mark.parametrize("layout", ["reversed channels", "part of an image", "one channel", "four channels"])
def test_images_may_lie_in_memory_as_they_like(layout):
    image, view, _ = filmed(POINTS + [0.0, 0.0, 3.0], camera(), radius_px=4.0)
    image *= np.array([1.0, 0.5, 0.25], dtype=np.float32)
    plain = person_crop(image, camera(), view, 64)
    given, expected = {
        "reversed channels": (image[..., ::-1], plain[..., ::-1]),
        "part of an image": (np.pad(image, ((3, 5), (7, 1), (0, 0)))[3:-5, 7:-1], plain),
        "one channel": (image[..., :1], plain[..., :1]),
        "four channels": (np.concatenate([image, image[..., :1]], axis=-1), plain[..., [0, 1, 2, 0]]),
    }[layout]
    assert person_crop(given, camera(), view, 64) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((480, 640), dtype=np.uint8), id="no channels"),
        pytest.param(np.zeros((480, 640, 5), dtype=np.uint8), id="five channels"),
        pytest.param(np.zeros((480, 640, 3)), id="float64"),
        pytest.param(np.zeros((0, 640, 3), dtype=np.uint8), id="empty"),
    ],
)
def test_what_is_no_image_is_refused(image):
    _, view, _ = filmed(POINTS + [0.0, 0.0, 3.0], camera(), radius_px=4.0)
    with pytest.raises(CropError, match="an image must be"):
        person_crop(image, camera(), view, 64)


def test_pixels_and_keypoints_of_a_crop_are_each_others_inverse():
    kpts = np.random.default_rng(0).uniform(-WIDE, WIDE, (50, 2))
    assert kpts_from_crop_px(crop_px(kpts, 128), 128) == pytest.approx(kpts, abs=EXACT)
    assert crop_px(np.array([[-WIDE, WIDE]]), 128) == pytest.approx(np.array([[-0.5, 127.5]]), abs=EXACT)


def test_a_crop_is_mirrored_first_and_then_turned_clockwise():
    right, down = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert turned(right, np.pi / 2) == pytest.approx(down, abs=EXACT)
    assert turned(right, np.pi / 2, mirrored=True) == pytest.approx(-down, abs=EXACT)
    assert turned(down, mirrored=True) == pytest.approx(down, abs=EXACT)
