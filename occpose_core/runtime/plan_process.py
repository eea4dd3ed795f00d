"""Builds TensorRT plans in a process of their own.

So a build can be ended at any time, cannot take the node with it, and leaves no thread in native code that outlives the
interpreter. The process takes less of the processor than others do, and ends when nobody reads what it writes: lines of
JSON about what it is at, then the plan.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from occpose_core.checkpoint import ModelFileError
from occpose_core.errors import OccposeError
from occpose_core.runtime.plan_builder import Plan, PlanRequest, build
from occpose_core.runtime.preparation import CancelledError

_NICENESS = 10
_LOOK_S = 0.1  # how often it is looked whether a build is cancelled
_NEVER = threading.Event()


def build_plan(
    request: PlanRequest,
    progress: Callable[[float], None] = lambda share: None,
    cancelled: threading.Event = _NEVER,
    timing_cache: bytes = b"",
) -> Plan:
    """Build in another process, and tell the share that is done.

    Raises ModelFileError with the library's reason if it cannot be built, CancelledError soon after the event is set.
    """
    process = _start(request, timing_cache)
    assert process.stdin is not None and process.stdout is not None
    threading.Thread(target=_end_when, args=(cancelled, process), daemon=True).start()
    try:
        _send(process.stdin, timing_cache)
        while (line := process.stdout.readline()).endswith(b"\n"):  # else it ended in the middle
            message = json.loads(line)
            if "failure" in message:
                raise ModelFileError(message["failure"])
            if "share" in message:
                progress(message["share"])
                continue
            size = message["plan"]
            body = process.stdout.read(size + message["timing_cache"])
            if len(body) == size + message["timing_cache"]:
                return Plan(plan=body[:size], timing_cache=body[size:])
        if cancelled.is_set():
            raise CancelledError(f"the build of {request.onnx} was cancelled")
        raise ModelFileError(f"{request.backend} ends with status {process.wait()} while it builds {request.onnx}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _start(request: PlanRequest, timing_cache: bytes) -> subprocess.Popen[bytes]:
    order = {**asdict(request), "onnx": str(request.onnx.resolve()), "timing_cache": len(timing_cache)}
    return subprocess.Popen(
        [sys.executable, "-m", __spec__.name, json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],  # where Python finds this very package, and nothing of the caller's folder
        start_new_session=True,  # Ctrl-C is for the node, which ends the build
    )


def _end_when(cancelled: threading.Event, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        if cancelled.wait(_LOOK_S):
            process.kill()
            return


def _send(pipe: IO[bytes], body: bytes) -> None:
    try:
        pipe.write(body)
        pipe.close()
    except BrokenPipeError:
        return  # it has ended already, and its output tells why


def main(argv: list[str]) -> int:
    """The other process. argv: one JSON object, the fields of a PlanRequest and the size of the timing cache."""
    os.nice(_NICENESS)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as channel:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not disturb the channel
        order = json.loads(argv[0])
        timing_cache = sys.stdin.buffer.read(order.pop("timing_cache"))
        request = PlanRequest(
            onnx=Path(order["onnx"]),
            backend=order["backend"],
            batches=tuple(order["batches"]),
            level=order["level"],
            compute_capabilities=tuple((major, minor) for major, minor in order["compute_capabilities"]),
        )

        def say(message: dict[str, Any], *bodies: bytes) -> None:
            try:
                channel.write(json.dumps(message).encode() + b"\n" + b"".join(bodies))
                channel.flush()
            except BrokenPipeError:
                os._exit(1)  # whoever wanted the plan is gone

        try:
            plan = build(request, lambda share: say({"share": share}), timing_cache)
        except (OccposeError, OSError) as error:
            say({"failure": str(error)})
            return 1
        sizes = {"plan": len(plan.plan), "timing_cache": len(plan.timing_cache)}
        say(sizes, plan.plan, plan.timing_cache)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
