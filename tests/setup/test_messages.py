"""The generated messages carry every field through serialization, with the constants that the core uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from occpose_core.types import Origin, State

serialization = pytest.importorskip("rclpy.serialization", reason="messages need ROS: run `make setup`")
messages = pytest.importorskip("occpose_ros.msg", reason="messages need a build: run `make setup`")

JOINTS = 17


def floats(count: int) -> np.ndarray:
    return np.linspace(-1.5, 2.5, count, dtype=np.float32)


def keypoints() -> dict[str, Any]:
    return {"id": "7", "xy": floats(2 * JOINTS), "score": np.abs(floats(JOINTS))}


def skeleton() -> dict[str, Any]:
    return {
        "id": "visitor",
        "state": messages.Skeleton3D.OCCLUDED,
        "position": floats(3 * JOINTS),
        "std_dev": np.abs(floats(JOINTS)),
        "origin": np.arange(JOINTS, dtype=np.uint8) % 3,
        "xy": floats(2 * JOINTS),
        "height": 1.75,
        "metric": True,
    }


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        pytest.param("Keypoints2D", keypoints, id="person-2d"),
        pytest.param("Skeleton3D", skeleton, id="person-3d"),
        pytest.param(
            "Keypoints2DArray",
            lambda: {"layout": "h36m17", "width": 1280, "height": 720, "people": [messages.Keypoints2D(**keypoints())]},
            id="people-2d",
        ),
        pytest.param(
            "Skeleton3DArray",
            lambda: {
                "layout": "h36m17",
                "people": [messages.Skeleton3D(**skeleton())],
                "lost_ids": ["3", "5"],
                "latency_ms": 4.5,
            },
            id="people-3d",
        ),
        pytest.param(
            "SkeletonInfo",
            lambda: {
                "layout": "pair",
                "names": ["pelvis", "left_hip"],
                "parents": [-1, 0],
                "side": [messages.SkeletonInfo.CENTRE, messages.SkeletonInfo.LEFT],
            },
            id="info",
        ),
    ],
)
def test_message_round_trip(name: str, fields: Any) -> None:
    kind = getattr(messages, name)
    sent = kind(**fields())
    received = serialization.deserialize_message(serialization.serialize_message(sent), kind)
    assert set(fields()) | {"header"} >= set(kind.get_fields_and_field_types())
    assert received == sent


@pytest.mark.parametrize("enum", [pytest.param(State, id="state"), pytest.param(Origin, id="origin")])
def test_constants_are_those_of_the_core(enum: Any) -> None:
    assert {member.name: getattr(messages.Skeleton3D, member.name) for member in enum} == {
        member.name: int(member) for member in enum
    }
