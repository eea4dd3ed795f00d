"""Quality of service of the node's topics, and what to say when somebody else's does not fit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from occpose_core.errors import OccposeError
from occpose_ros.listening import Listener, PausableCallbackGroup

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

# Inputs: best effort hears every publisher. A few are kept, so that a busy moment loses nothing unseen: the callback
# only hands over, and the mailbox behind it keeps the newest and counts the rest.
SENSOR = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
# Keypoints, where a thread of the node's own listens: as many as come until the executor takes over from it, which
# looks every 0.2 s, and a few more.
AWAITED = QoSProfile(depth=20, reliability=QoSReliabilityPolicy.BEST_EFFORT)
# Outputs: RViz and most subscribers ask for reliable. A few are kept, so that a slow subscriber cannot block the node.
RELIABLE = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
_NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)
_LAST_WORD = Duration(seconds=0.5)


class QosError(OccposeError):
    """Parameters ask for a quality of service that does not exist."""


def overridable() -> QoSOverridingOptions:
    """Let parameters `qos_overrides.<topic>.*` change the policies; durability is for a CameraInfo that is latched.

    rclpy writes them into the profile that it is given, so that must not be one that others share.
    """
    return QoSOverridingOptions(
        (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
    )


def on_incompatible(node: Node, topic: str, end: str) -> Callable[[Any], None]:
    """An event callback that tells which policy keeps a peer from hearing. end: "publisher" or "subscription", ours."""
    peer = {"publisher": "subscriber", "subscription": "publisher"}[end]

    def incompatible(event: Any) -> None:
        policy, name = qos_policy_name_from_kind(event.last_policy_kind), node.resolve_topic_name(topic)
        node.get_logger().error(
            f"a {peer} of {name} and this node do not hear each other, because their {policy} does not fit: change it"
            f" there, or here by the parameter qos_overrides.{name}.{end}.{policy.lower()}"
        )

    return incompatible


@contextlib.contextmanager
def _explaining(node: Node, topic: str, end: str) -> Iterator[None]:
    """Turn what rclpy raises about policies that make no sense into a QosError."""
    try:
        yield
    except (RuntimeError, ParameterException) as error:
        name = node.resolve_topic_name(topic)
        raise QosError(f"{name} can have no {end}: {error}; mend the parameters qos_overrides.{name}.{end}") from None


# The executor looks at every event whenever anything comes, so no end of a topic has more than it needs: rclpy's own
# events, which are left out, tell of types that do not match, but Fast DDS never says so.
def subscribe(node: Node, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile = SENSOR) -> Any:
    """Subscribe with policies that parameters may override, and an error in the log if a publisher's do not fit."""
    return _subscribe(node, kind, topic, callback, qos, _subscription_events(node, topic))


def subscribe_for_thread(
    node: Node, kind: Any, topic: str, callback: Callable[[Any, Any], None]
) -> tuple[Any, Listener]:
    """As `subscribe`, but a thread of the node's own may listen; the executor does while no thread listens.

    callback: takes a message and rclpy's information about it.
    """
    group = PausableCallbackGroup()
    subscription = _subscribe(node, kind, topic, callback, AWAITED, _NO_EVENTS, group)
    return subscription, Listener(node, subscription, group, _subscription_events(node, topic))


def _subscription_events(node: Node, topic: str) -> SubscriptionEventCallbacks:
    incompatible = on_incompatible(node, topic, "subscription")
    return SubscriptionEventCallbacks(incompatible_qos=incompatible, use_default_callbacks=False)


def _subscribe(
    node: Node,
    kind: Any,
    topic: str,
    callback: Callable[..., None],
    qos: QoSProfile,
    events: SubscriptionEventCallbacks,
    group: CallbackGroup | None = None,
) -> Any:
    options = overridable()
    with _explaining(node, topic, "subscription"):
        return node.create_subscription(
            kind,
            topic,
            callback,
            copy(qos),
            callback_group=group,
            event_callbacks=events,
            qos_overriding_options=options,
        )


def subscribe_plainly(node: Node, kind: Any, topic: str, callback: Callable[[Any], None]) -> Any:
    """A subscription that comes and goes at run time: without events, and without parameters, which would pile up."""
    return node.create_subscription(kind, topic, callback, SENSOR, event_callbacks=_NO_EVENTS)


def advertise_plainly(node: Node, kind: Any, topic: str, qos: QoSProfile = RELIABLE) -> Any:
    """A publisher for one that comes and goes at run time.

    It has no events, which the executor would wait for, so any thread may make and destroy it; and no parameters.
    """
    return node.create_publisher(kind, topic, qos, event_callbacks=PublisherEventCallbacks(use_default_callbacks=False))


def let_arrive(publisher: Any) -> None:
    """Wait a little until the last message has arrived: what is still on its way goes with its publisher."""
    with contextlib.suppress(RuntimeError):  # RCLError of a middleware that does not know what has arrived
        publisher.wait_for_all_acked(_LAST_WORD)


def advertise(node: LifecycleNode, kind: Any, topic: str, qos: QoSProfile = RELIABLE) -> Any:
    """A lifecycle publisher, with policies that parameters may override and an error in the log as `subscribe` has."""
    events = PublisherEventCallbacks(
        incompatible_qos=on_incompatible(node, topic, "publisher"), use_default_callbacks=False
    )
    with _explaining(node, topic, "publisher"):
        return node.create_lifecycle_publisher(
            kind, topic, copy(qos), event_callbacks=events, qos_overriding_options=overridable()
        )
