"""The transform buffer: against composition by SciPy on random trees, and what it says when it has no answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from occpose_ros import transforms
from occpose_ros.transforms import HISTORY_NS, Transform, TransformBuffer, TransformError

MS = 1_000_000


def random_transform(rng: np.random.Generator) -> Transform:
    return Transform(rotation=Rotation.random(random_state=rng).as_matrix(), translation_m=rng.normal(size=3))


def matrix(transform: Transform) -> np.ndarray:
    """(4, 4) homogeneous."""
    homogeneous = np.eye(4)
    homogeneous[:3, :3], homogeneous[:3, 3] = transform.rotation, transform.translation_m
    return homogeneous


def shift(x_m: float) -> Transform:
    return Transform(rotation=np.eye(3), translation_m=np.array([x_m, 0.0, 0.0]))


def line(*samples: tuple[int, float], static: bool = False) -> TransformBuffer:
    """`base` moves along x in `odom`: (stamp, position) pairs."""
    buffer = TransformBuffer()
    for stamp_ns, x_m in samples:
        buffer.add(stamp_ns, "odom", "base", shift(x_m), static)
    return buffer


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(0, 100))
def test_a_random_moving_tree_is_composed_and_interpolated(seed: int, frames: int, stamp_ns: int) -> None:
    rng = np.random.default_rng(seed)
    buffer = TransformBuffer()
    root_from = {0: np.eye(4)}
    for child in range(1, frames):
        parent = int(rng.integers(child))
        ends = [random_transform(rng) for _ in range(2)]
        static = bool(rng.random() < 0.3)
        for end_ns, transform in zip((0, 100), ends, strict=True):
            buffer.add(end_ns, f"f{parent}", f"f{child}", transform, static)
        parent_from_child = np.eye(4)
        rotations = Rotation.from_matrix(np.stack([end.rotation for end in ends]))
        share = 1.0 if static else stamp_ns / 100
        parent_from_child[:3, :3] = Slerp([0, 1], rotations)(share).as_matrix()
        parent_from_child[:3, 3] = (1 - share) * ends[0].translation_m + share * ends[1].translation_m
        root_from[child] = root_from[parent] @ parent_from_child
    target, source = rng.integers(frames, size=2)
    expected = np.linalg.inv(root_from[target]) @ root_from[source]
    np.testing.assert_allclose(matrix(buffer.lookup(f"f{target}", f"f{source}", stamp_ns)), expected, atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_a_transform_and_its_inverse_map_points_there_and_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    transform, points_m = random_transform(rng), rng.normal(size=(5, 4, 3))
    np.testing.assert_allclose(transform.inverse().apply(transform.apply(points_m)), points_m, atol=1e-12)
    np.testing.assert_allclose(matrix(transform.after(transform.inverse())), np.eye(4), atol=1e-12)


@given(st.permutations([(10 * k * MS, float(k)) for k in range(8)]))
def test_the_order_of_arrival_does_not_matter(samples: list[tuple[int, float]]) -> None:
    buffer = line(*samples)
    for stamp_ns in (0, 5 * MS, 10 * MS, 42 * MS, 70 * MS):
        x_m = buffer.lookup("odom", "base", stamp_ns).translation_m[0]
        assert x_m == pytest.approx(stamp_ns / (10 * MS))


@pytest.mark.parametrize(
    ("target", "source", "stamp_ns", "sentence", "awaited"),
    [
        pytest.param("odom", "base", 21 * MS, "'base' in 'odom' is 0.001 s older than the stamp", True, id="newer"),
        pytest.param("odom", "base", 5 * MS, "'base' in 'odom' is 0.005 s newer than the stamp", False, id="older"),
        pytest.param("map", "base", 15 * MS, "no transform of frame 'map' has come", True, id="unknown-target"),
        pytest.param("odom", "nobody", 15 * MS, "no transform of frame 'nobody' has come", True, id="unknown-source"),
        pytest.param("arm", "base", 15 * MS, "tree of 'cell', the other to that of 'odom'", True, id="two-trees"),
        pytest.param("odom", "b", 15 * MS, "is its own ancestor", False, id="loop"),
    ],
)
def test_no_answer_is_one_sentence(target: str, source: str, stamp_ns: int, sentence: str, awaited: bool) -> None:
    buffer = line((10 * MS, 0.0), (20 * MS, 1.0))
    buffer.add(0, "cell", "arm", shift(1.0), static=True)
    for parent, child in (("a", "b"), ("c", "a"), ("b", "c")):
        buffer.add(0, parent, child, shift(1.0))
    with pytest.raises(TransformError, match=sentence) as caught:
        buffer.lookup(target, source, stamp_ns)
    assert "\n" not in str(caught.value)
    assert caught.value.awaited is awaited


def test_static_transforms_hold_always_and_survive_a_clear() -> None:
    buffer = line((0, 0.0), (10 * MS, 1.0))
    buffer.add(5, "base", "camera", shift(0.5), static=True)
    assert buffer.lookup("/odom", "camera", 5 * MS).translation_m[0] == pytest.approx(1.0)
    buffer.clear()
    assert buffer.lookup("base", "/camera", -(10**18)).translation_m[0] == 0.5
    with pytest.raises(TransformError, match="'odom'"):
        buffer.lookup("odom", "camera", 5 * MS)


def test_when_time_begins_again_what_has_come_of_it_already_stays() -> None:
    buffer = line((0, 0.0), (1000 * MS, 1.0), (2000 * MS, 2.0))
    buffer.add(2000 * MS, "base", "arm", shift(1.0))
    buffer.begin_again(10 * MS)
    assert buffer.lookup("odom", "base", 1000 * MS).translation_m[0] == 1.0
    for target, source in (("odom", "base"), ("base", "arm")):
        with pytest.raises(TransformError):
            buffer.lookup(target, source, 2000 * MS)


def test_the_newest_stands_for_those_that_have_not_come_only_on_request() -> None:
    buffer = line((10 * MS, 1.0), (20 * MS, 2.0))
    buffer.add(30 * MS, "base", "arm", shift(1.0))
    assert buffer.lookup("odom", "arm", 30 * MS, hold_ns=10 * MS).translation_m[0] == 3.0
    for stamp_ns, hold_ns in ((30 * MS, 10 * MS - 1), (5 * MS, 10 * MS)):
        with pytest.raises(TransformError):
            buffer.lookup("odom", "base", stamp_ns, hold_ns)


def test_a_frame_is_itself_even_if_unknown() -> None:
    np.testing.assert_array_equal(matrix(TransformBuffer().lookup("camera", "/camera", 7)), np.eye(4))


def test_a_repeated_stamp_changes_nothing_and_a_new_static_does() -> None:
    assert line((10, 1.0), (10, 2.0)).lookup("odom", "base", 10).translation_m[0] == 1.0
    assert line((10, 1.0), (20, 2.0), static=True).lookup("odom", "base", 0).translation_m[0] == 2.0


def test_a_frame_that_changes_its_parent_forgets_the_old_one() -> None:
    buffer = line((10, 1.0))
    buffer.add(20, "map", "base", shift(3.0))
    assert buffer.lookup("map", "base", 20).translation_m[0] == 3.0
    with pytest.raises(TransformError, match="'odom'"):
        buffer.lookup("odom", "base", 10)


def test_only_ten_seconds_are_kept_and_a_recording_that_begins_again_is_followed() -> None:
    buffer = line((0, 0.0), (HISTORY_NS, 1.0), (HISTORY_NS + 100 * MS, 2.0))
    with pytest.raises(TransformError, match="newer than the stamp"):
        buffer.lookup("odom", "base", HISTORY_NS // 2)
    buffer.add(0, "odom", "base", shift(7.0))
    assert buffer.lookup("odom", "base", 0).translation_m[0] == 7.0


def test_memory_is_bounded_however_many_frames_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "_MAX_SAMPLES", 50)
    monkeypatch.setattr(transforms, "_MAX_STATIC_FRAMES", 3)
    buffer = TransformBuffer()
    for k in range(100):
        buffer.add(k, "odom", "base", shift(k))
        buffer.add(k, "odom", f"body_{k}", shift(k))
    assert buffer.lookup("odom", "base", 99).translation_m[0] == 99.0
    assert buffer.lookup("odom", "body_99", 99).translation_m[0] == 99.0
    with pytest.raises(TransformError, match="no transform of frame 'body_0'"):
        buffer.lookup("odom", "body_0", 0)
    for k in range(3):
        buffer.add(0, "odom", f"static_{k}", shift(k), static=True)
    with pytest.raises(TransformError, match="more than 3 static frames"):
        buffer.add(0, "odom", "static_3", shift(0.0), static=True)


def tf_msg(*, quaternion: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0), x_m: float = 1.0, child: str = "base") -> Any:
    """A transform as both rclpy and rosbags spell it."""
    x, y, z, w = quaternion
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=3, nanosec=5), frame_id="odom"),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=x_m, y=2.0, z=3.0), rotation=SimpleNamespace(x=x, y=y, z=z, w=w)
        ),
    )


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        pytest.param({"quaternion": (0.0, 0.0, 0.0, 0.0)}, "does not have length 1", id="zero-quaternion"),
        pytest.param({"quaternion": (np.nan, 0.0, 0.0, 1.0)}, "does not have length 1", id="nan-quaternion"),
        pytest.param({"quaternion": (1.0, 1.0, 1.0, 1.0)}, "does not have length 1", id="long-quaternion"),
        pytest.param({"x_m": np.inf}, "not finite", id="infinite"),
        pytest.param({"child": ""}, "two different names", id="nameless"),
        pytest.param({"child": "/odom"}, "two different names", id="itself"),
    ],
)
def test_a_bad_transform_costs_only_itself(bad: dict[str, Any], sentence: str) -> None:
    buffer = TransformBuffer()
    refused = buffer.add_msg(SimpleNamespace(transforms=[tf_msg(**bad), tf_msg(child="good")]), static=False)
    assert sentence in refused
    np.testing.assert_array_equal(buffer.lookup("odom", "good", 3_000_000_005).translation_m, (1.0, 2.0, 3.0))
    assert buffer.add_msg(SimpleNamespace(transforms=[tf_msg()]), static=True) == ""
