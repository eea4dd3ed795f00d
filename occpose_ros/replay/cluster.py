"""Replaying bags on the machines of a Ray cluster: every bag is a task of its own.

Ray gives a task to another worker if its own is lost with its machine. Bags and results are not sent around, for they
are large: all machines see them under the same paths.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import textwrap
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from occpose_core import __version__
from occpose_core.errors import OccposeError
from occpose_ros.replay.models import Models
from occpose_ros.replay.one_bag import attempt
from occpose_ros.replay.result_folder import REPORT, clear
from occpose_ros.replay.results import BagResult, Failure, Outcome
from occpose_ros.replay.settings import ReplaySettings
from occpose_ros.replay.work_list import Task

_RETRIES = 3  # machines that may be lost with the same bag
_PLACE = re.compile(r"(ray://)?(?P<host>[^:/]+):(?P<port>\d{1,5})")
_LISTENS_S = 10.0
_SAME_PATHS = "with --ray all machines need the bags and the folder of the results under the same paths"


class ClusterError(OccposeError):
    """There is no such cluster, or no Ray."""


def replay_on_ray(tasks: Sequence[Task], settings: ReplaySettings, address: str) -> Iterator[Outcome]:
    """Replay bags on a cluster; yields of each how it ended, as soon as it has. Raises ClusterError.

    address: as ray.init() takes it: "auto", host:port, ray://host:port, or "local" for one that ends with this.
    """
    try:
        with _connected(address) as ray:
            replay = ray.remote(num_cpus=1, max_retries=_RETRIES)(replay_on_worker)
            shared = ray.put(settings)
            running = {replay.remote(__version__, task, shared): task for task in tasks}
            while running:
                done, _ = ray.wait(list(running), num_returns=1)
                yield _outcome(ray, done[0], running.pop(done[0]))
    finally:  # the cluster ends the workers of who leaves
        for task in tasks:
            clear(task.folder)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """The ray module, connected."""
    # Of a cluster that is started here: it tells nobody that it is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ClusterError("--ray needs the package ray: pip install 'occpose[ray]'") from None
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        _check_somebody_listens(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" ...").rstrip(".")
        raise ClusterError(
            f"no Ray cluster can be used at {address} ({reason}); start one with `ray start --head`, and name its"
            " address, or `auto` on a machine of it"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_somebody_listens(address: str) -> None:
    """Raise OSError if nobody does at host:port; Ray itself would try for a minute."""
    place = _PLACE.fullmatch(address)
    if place is not None:
        socket.create_connection((place["host"], int(place["port"])), timeout=_LISTENS_S).close()


def replay_on_worker(version: str, task: Task, settings: ReplaySettings) -> Outcome:
    """On a worker: replay a bag for an occpose of that version."""
    reason, host = "", socket.gethostname()
    if version != __version__:
        reason = f"{host} has occpose {__version__}, and the machine that asked {version}: install the same"
    elif not task.bag.path.exists():
        reason = f"{task.bag.path} does not exist on {host}: {_SAME_PATHS}"
    if reason:
        return Failure(bag=task.bag.name, path=str(task.bag.path), reason=reason)
    return attempt(task, settings, _models(), helpers=False)


@lru_cache(maxsize=1)
def _models() -> Models:
    """Of this worker."""
    return Models()


def _outcome(ray: Any, reference: Any, task: Task) -> Outcome:
    """How a task has ended, which is also a failure if its results are not here."""
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        said = textwrap.shorten(str(cause), 300, placeholder=" ...") or "no reason"
        reason = f"Ray gave it up ({type(cause).__name__}): {said}"
    else:
        if not isinstance(outcome, BagResult) or (task.folder / REPORT).exists():
            return outcome
        reason = f"a worker has written the results to {task.folder}, but not of this machine: {_SAME_PATHS}"
    return Failure(bag=task.bag.name, path=str(task.bag.path), reason=reason)
