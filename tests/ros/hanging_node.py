"""pose_node with an engine that hangs in the thread HANG_IN, and touches the file HANG_SIGN when it does."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_ros.pose_node import main

run = OnnxRuntimeEngine.run


def hanging_run(self: OnnxRuntimeEngine, *given: Any, **more: Any) -> Any:
    """Stay in native code without the interpreter's lock, as a driver does that waits for its device."""
    if threading.current_thread().name != os.environ["HANG_IN"]:
        return run(self, *given, **more)
    Path(os.environ["HANG_SIGN"]).touch()
    return time.sleep(1000)


if __name__ == "__main__":
    OnnxRuntimeEngine.run = hanging_run  # type: ignore[method-assign]
    raise SystemExit(main())
