"""What a model says to a bag, for those who want to look at it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from occpose_core.camera import load_lens_models
from occpose_core.errors import OccposeError
from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import load
from occpose_ros.bag import BagReader, BagWriter
from occpose_ros.replay.answer_process import PostponingWriter
from occpose_ros.replay.answer_writer import AnswerWriter
from occpose_ros.replay.run import replay
from occpose_ros.replay.topics import find_topics
from occpose_ros.view.source import ViewError


def run_model(path: Path, output: Path, model: str, backend: str, ground_frame: str) -> None:
    """Write a bag of the answers to the keypoints of another, and of its camera and TF. Raises OccposeError."""
    engine = load(model, backend=backend)
    load_lens_models()
    print(f"running {engine.info.name} over {path}", file=sys.stderr)
    with BagReader(path) as bag:
        try:
            topics = find_topics(bag)
        except OccposeError as error:
            raise ViewError(
                f"{error}; the viewer has no such option, so run `occpose replay` with it and look at the bag that it"
                " writes"
            ) from None
        with BagWriter(output) as written, _progress() as progress:
            target = PostponingWriter(AnswerWriter(written, markers=False))
            replay(bag, topics, PosePipeline(engine), target, ground_frame=ground_frame, progress=progress)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; nothing in a log file."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("messages")
        yield lambda done, total: bar.update(task, completed=done, total=total)
