"""A browser without eyes: speaks viser's protocol, keeps what the page would show, and can use its controls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec.msgpack
import numpy as np
import zstandard
from viser import __version__
from websockets.sync.client import connect

PATIENCE_S = 30.0
_MOST_BYTES = 1 << 26
_LOOKING = {
    "type": "ViewerCameraMessage",
    "wxyz": (1.0, 0.0, 0.0, 0.0),
    "position": (0.0, 0.0, 0.0),
    "fov": 1.0,
    "near": 0.1,
    "far": 100.0,
    "image_height": 480,
    "image_width": 640,
    "look_at": (1.0, 0.0, 0.0),
    "up_direction": (0.0, 0.0, 1.0),
}


class PageClient:
    """Connected to a viewer; a context manager.

    nodes: name -> properties, `visible` and `position` among them. controls: uuid -> properties, `value` among them.
    received: messages and bytes so far.
    """

    def __init__(self, port: int) -> None:
        self._socket = connect(
            f"ws://127.0.0.1:{port}",
            subprotocols=[f"viser-v{__version__}"],  # type: ignore[list-item]
            max_size=_MOST_BYTES,
            compression=None,
        )
        self._socket.send(msgspec.msgpack.encode(_LOOKING))  # a page is one when it has said from where it looks
        self.nodes: dict[str, dict[str, Any]] = {}
        self.controls: dict[str, dict[str, Any]] = {}
        self.received = {"messages": 0, "bytes": 0}

    def __enter__(self) -> PageClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Listen until the condition gives something true, and return that."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"waited {PATIENCE_S:.0f} s for {what}; there are {sorted(self.nodes)}, {self.labels()}"
            try:
                self._hear(self._socket.recv(timeout=left_s))
            except TimeoutError:
                continue
        return found

    def listen(self, seconds: float) -> None:
        """Take what comes within a time."""
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                self._hear(self._socket.recv(timeout=left_s))
            except TimeoutError:
                return

    def _hear(self, window: Any) -> None:
        self.received["bytes"] += len(window)
        size = int.from_bytes(window[8:16], "little")
        heard = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(window[16 : 16 + size]))
        at, buffers = 16 + size, []
        for length in heard["binaryBufferLengths"]:
            at += -at % 8
            buffers.append(window[at : at + length])
            at += length
        for message in heard["messages"]:
            self.received["messages"] += 1
            self._take(_unpacked(message, buffers))

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in ("RemoveSceneNodeMessage", "GuiRemoveMessage"):
            self.nodes.pop(message.get("name", ""), None)
            self.controls.pop(message.get("uuid", ""), None)
        elif "uuid" in message:
            said = message.get("updates") or {**(message.get("props") or {}), "value": message.get("value")}
            self.controls.setdefault(message["uuid"], {}).update(said)
        elif message.get("name"):
            said = message.get("updates") or message.get("props") or message
            self.nodes.setdefault(message["name"], {"visible": True}).update(said)

    def labels(self) -> list[str]:
        """Of all controls that have one."""
        return [control["label"] for control in self.controls.values() if control.get("label")]

    def control(self, label: str) -> str | None:
        """The uuid of the control with a label, None if there is none."""
        return next((uuid for uuid, control in self.controls.items() if control.get("label") == label), None)

    def set(self, label: str, value: Any) -> None:
        """Use a control, as a click does."""
        uuid = self.until(lambda: self.control(label), f"a control {label!r}")
        self.controls[uuid]["value"] = value
        message = {"type": "GuiUpdateMessage", "uuid": uuid, "updates": {"value": value}}
        self._socket.send(msgspec.msgpack.encode(message))

    def value(self, label: str) -> Any:
        """What a control is set to."""
        uuid = self.control(label)
        return None if uuid is None else self.controls[uuid]["value"]

    def shown(self, name: str, what: str) -> int:
        """How many rows a property of a node has that is visible, 0 if it is not."""
        node = self.nodes.get(name, {})
        return len(node.get(what, ())) // 3 if node.get("visible") else 0


def _unpacked(value: Any, buffers: list[bytes]) -> Any:
    if isinstance(value, dict):
        if "__binary_index" in value:
            return np.frombuffer(buffers[value["__binary_index"]], dtype=value["dtype"])
        return {key: _unpacked(part, buffers) for key, part in value.items()}
    return value
