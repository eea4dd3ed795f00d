"""A bag with skeletons: the one that is given, or else what a model says to its keypoints, in a temporary file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from occpose_core.runtime import DEFAULT_MODEL
from occpose_ros.bag import BagReader
from occpose_ros.replay.answer_writer import SKELETONS
from occpose_ros.replay.bags import find_bags
from occpose_ros.replay.result_folder import REPORT
from occpose_ros.view.bag_source import answers_topic
from occpose_ros.view.source import ViewError

_ANSWERS = "output*.mcap"  # below the report that `occpose replay` leaves, one for each bag and model


@contextlib.contextmanager
def answered_bag(
    path: Path, skeletons: str | None = None, model: str | None = None, backend: str = "auto", ground_frame: str = ""
) -> Iterator[tuple[Path, str]]:
    """The bag that has skeletons, and their topic.

    skeletons: their topic, if it has several. model: runs over it even if it has some. ground_frame: of its TF, "" if
    nobody knows; gives the people's scale. Raises OccposeError.
    """
    found = _bag_at(path)
    with BagReader(found) as bag:
        topic = answers_topic(bag, skeletons) if model is None else None
    if topic is not None:
        yield found, topic
        return
    from occpose_ros.view.model_run import run_model  # a bag with skeletons needs no model, and none is loaded

    with tempfile.TemporaryDirectory(prefix="occpose-view-") as folder:
        output = Path(folder) / "output.mcap"
        run_model(found, output, model or DEFAULT_MODEL, backend, ground_frame)
        yield output, SKELETONS


def _bag_at(path: Path) -> Path:
    """The only bag in a file or folder; of what a replay left, the one with the answers."""
    answers = sorted(path.rglob(_ANSWERS)) if (path / REPORT).is_file() else []
    bags = answers or [bag.path for bag in find_bags([path])]
    if len(bags) > 1:
        names = ", ".join(os.path.relpath(bag, path) for bag in bags[:5]) + (", ..." if len(bags) > 5 else "")
        raise ViewError(f"{path} has {len(bags)} bags: {names}; name one of them")
    return bags[0]
