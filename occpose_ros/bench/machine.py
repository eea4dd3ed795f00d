"""What a measurement of speed was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

_LIBRARIES = ("numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "torch")


def machine() -> dict[str, Any]:
    """CPU, cores that may be used, load of the last minute, Python, system, ROS, versions of what runs models."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": next(names, platform.machine()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "ros": os.environ.get("ROS_DISTRO", ""),
        "libraries": versions,
    }


def machine_line(of: dict[str, Any]) -> str:
    """The same in one line, for people."""
    libraries = [f"{name} {version}" for name, version in of["libraries"].items()]
    ros = [f"ROS 2 {of['ros']}"] if of["ros"] else []
    cores = f"{of['cores']} cores (load before: {of['load']:.1f})"
    return ", ".join([of["cpu"], cores, f"Python {of['python']}", *libraries, *ros])
