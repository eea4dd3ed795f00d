"""Messages of one subscription, awaited by the very thread that works on them.

rclpy's executor is Python and looks at all that its nodes have, services and timers and events, whenever anything
comes: pose_node's keypoints would wait 0.4 ms for that, and as long again before the next ones are awaited. A thread
that awaits one subscription has less to look at. The executor leaves that subscription alone meanwhile, but takes its
messages when the thread has ended or has long been at work, so that they are never kept waiting unseen.

What rclpy has for this (a wait set, taking a message) is what its own `wait_for_message` is made of.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

# The executor takes over from a thread that has been at work for so long.
_LONG_S = 0.05
_FOREVER_NS = -1


class PausableCallbackGroup(ReentrantCallbackGroup):
    """Entities that the executor leaves alone until some moment, in monotonic seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.until_s = -math.inf

    def can_execute(self, entity: Any) -> bool:
        """Whether the executor may wait for the entity."""
        return time.monotonic() > self.until_s


class Listener:
    """Calls the callback of a subscription from the thread that listens. Made and destroyed by the executor's thread.

    What rclpy raises is logged, as the executor's errors are, and ends no thread.

    subscription: in `group`, without events, of a callback that takes a message and its info. events: what
    else to listen for.
    """

    def __init__(self, node: Node, subscription: Any, group: PausableCallbackGroup, events: Any) -> None:
        self._context = node.context
        self._logger = node.get_logger()
        self._subscription = subscription
        self._group = group
        self._events = events.create_event_handlers(group, subscription.handle, subscription.topic_name)
        self._wake = GuardCondition(None, None, context=node.context)
        self._wait_set = rclpy_implementation.WaitSet(1, 1, 0, 0, 0, len(self._events), node.context.handle)
        self._context.on_shutdown(self.wake)

    def listen(self) -> bool:
        """Wait for messages or `wake` and hand over what has come; False if that is impossible, at least for now."""
        if not self._context.ok():
            return False
        self._group.until_s = math.inf
        try:
            with contextlib.ExitStack() as in_use:  # so that nothing is destroyed meanwhile
                for entity in (self._context.handle, self._subscription.handle, self._wake.handle, *self._events):
                    in_use.enter_context(entity)
                self._wait()
                while (taken := self._subscription.handle.take_message(self._subscription.msg_type, False)) is not None:
                    self._subscription.callback(*taken)
        except Exception as error:  # noqa: BLE001  a callback border: the executor hears what this thread cannot
            if self._context.ok():  # else it has ended meanwhile
                topic = self._subscription.topic_name
                self._logger.error(f"listening to {topic} failed: {type(error).__name__}: {error}")
            return False
        finally:
            self._group.until_s = time.monotonic() + _LONG_S
        return True

    def _wait(self) -> None:
        self._wait_set.clear_entities()
        self._wait_set.add_subscription(self._subscription.handle)
        self._wait_set.add_guard_condition(self._wake.handle)
        for event in self._events:
            event.add_to_wait_set(self._wait_set)
        self._wait_set.wait(_FOREVER_NS)
        for event in self._events:
            if event.is_ready(self._wait_set):
                event.callback(event.take_data())

    def wake(self) -> None:
        """Let `listen` come back; any thread may call, at any time."""
        with contextlib.suppress(rclpy_implementation.InvalidHandle):  # destroyed: nobody listens any more
            self._wake.trigger()

    def destroy(self) -> None:
        """Give back what it holds, when nobody listens any more."""
        for event in self._events:
            event.destroy()
        self._wake.destroy()
