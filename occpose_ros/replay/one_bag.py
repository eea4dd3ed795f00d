"""Everything that is done with one bag: each model over it as it was recorded, and with joints hidden on top."""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from occpose_core.errors import OccposeError
from occpose_core.files import utf8, write_atomically
from occpose_core.pipeline import PosePipeline
from occpose_core.report import write_json
from occpose_core.runtime import Engine
from occpose_ros.bag import BagReader
from occpose_ros.helper_process import worth_helpers
from occpose_ros.replay.answer_process import answers_bag
from occpose_ros.replay.models import Models
from occpose_ros.replay.occluding import occlude
from occpose_ros.replay.pooling import comparison, latency_counts, make_report, pooled_latency
from occpose_ros.replay.progress import Step
from occpose_ros.replay.result_folder import PAGE, REPORT, bag_name, unfinished
from occpose_ros.replay.results import AS_RECORDED, BagResult, Failure, Outcome, RunResult
from occpose_ros.replay.run import Replay, replay, replay_again
from occpose_ros.replay.settings import ReplaySettings
from occpose_ros.replay.source import ReadingProcess, read
from occpose_ros.replay.topics import Topics, find_topics
from occpose_ros.replay.work_list import Task
from occpose_ros.report.page import ReportRun, bag_page
from occpose_ros.report.tables import answered_share
from occpose_ros.scoring.consistency import Occluded, score_occluded
from occpose_ros.scoring.laps import in_laps
from occpose_ros.scoring.score import Score, score
from occpose_ros.scoring.truth import Truth, read_truth, truth_described

Tell = Callable[[Step], None]


def _nobody(step: Step) -> None:
    """Nobody wants to know."""


def attempt(
    task: Task, settings: ReplaySettings, models: Models, tell: Tell = _nobody, *, helpers: bool = True
) -> Outcome:
    """As `replay_bag`, with the sentence of what the user can mend as Failure."""
    try:
        return replay_bag(task, settings, models, tell, helpers=helpers)
    except ConnectionError:  # of the line over which it is told how far this is
        raise
    except OccposeError as error:
        reason = str(error)
    except OSError as error:  # a full disk, missing rights
        where = f" {error.filename}" if error.filename else ""
        reason = f"cannot use{where}: {error.strerror}; check path, rights and space"
    return Failure(bag=task.bag.name, path=str(task.bag.path), reason=reason)


def replay_bag(
    task: Task, settings: ReplaySettings, models: Models, tell: Tell = _nobody, *, helpers: bool = True
) -> BagResult:
    """Replay a bag and write its results into the folder of the task, all at once.

    tell: hears how far it is. helpers: other processes may read and write, where that is quicker. Raises OccposeError.
    """
    with unfinished(task.folder) as folder:
        with BagReader(task.bag.path, settings.source.message_files) as bag:
            topics = _topics(bag, settings)
            work = _Work(bag, topics, task, settings, models, folder, tell, helpers)
            runs = list(work.runs())
        result = _result(task, work.recorded_s, runs)
        write_json(folder / REPORT, make_report(settings.described, [result]))
        true = truth_described(settings.truth, topics.truth)
        what = f"{topics.described(settings.source)}, true skeletons of {true}."
        write_atomically(folder / PAGE, utf8(bag_page(task.bag.name, what, runs)))
    return result


def _result(task: Task, recorded_s: float, runs: Sequence[ReportRun]) -> BagResult:
    scored = [(run, run.score) for run in runs if run.score is not None]
    return BagResult(
        bag=task.bag.name,
        path=str(task.bag.path),
        fingerprint=task.fingerprint,
        seconds=recorded_s,
        runs=tuple(
            RunResult(
                model=run.model,
                pattern=run.pattern,
                figures=run.figures,
                intervals=score.intervals,
                sums=score.sums,
            )
            for run, score in scored
        ),
        comparison=comparison({(run.model, run.pattern): score.pieces for run, score in scored}),
    )


def _topics(bag: BagReader, settings: ReplaySettings) -> Topics:
    return find_topics(bag, settings.source, settings.truth, with_images=bool(settings.image_model))


@contextlib.contextmanager
def _little_garbage() -> Iterator[None]:
    """Meanwhile what was there before is not looked through for garbage."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass
class _Work:
    """All runs over an open bag. folder: where the results are made."""

    bag: BagReader
    topics: Topics
    task: Task
    settings: ReplaySettings
    models: Models
    folder: Path
    tell: Tell
    helpers: bool
    recorded_s: float = 0.0
    done: int = 0  # runs

    def runs(self) -> Iterator[ReportRun]:
        """Every model over the bag as it was recorded, and over what each pattern leaves of it.

        What is hidden depends on the answers of the first model alone, so that it is the same for all.
        """
        hidden: list[Occluded] = []
        truth: Truth | None = None
        for number, (label, model) in enumerate(zip(self.settings.labels, self.settings.models, strict=True)):
            recorded, engine = self._as_recorded(label, model)
            if number == 0:
                self.recorded_s = recorded.bag_s
                truth = self._truth(recorded)
                hidden = [self._hidden(recorded, pattern) for pattern in self.settings.patterns]
            radii = engine.info.interval_radii
            scored = score(recorded.detected, recorded.answers, truth, radii)
            yield self._run(label, AS_RECORDED, recorded, engine, scored)
            for pattern, occluded in zip(self.settings.patterns, hidden, strict=True):
                seen = self._again(recorded, occluded, engine)
                scored = score_occluded(recorded.answers, seen.answers, occluded, truth, radii)
                yield self._run(label, pattern, seen, engine, scored)

    def _truth(self, recorded: Replay) -> Truth | None:
        seen = [moment.keypoints for moment in recorded.moments]
        truth = read_truth(self.bag, self.settings.truth, seen)
        stamps_ns = [keypoints.stamp_ns for keypoints in seen]
        return None if truth is None else in_laps(truth, stamps_ns, recorded.times_ns)

    def _hidden(self, recorded: Replay, pattern: str) -> Occluded:
        return occlude(recorded.detected, recorded.answers, pattern, self.task.bag.name, self.settings.seed)

    def _again(self, recorded: Replay, occluded: Occluded, engine: Engine) -> Replay:
        """What the model answers to what a pattern has left."""
        moments = [
            replace(moment, keypoints=replace(left, stamp_ns=moment.keypoints.stamp_ns))
            for moment, left in zip(recorded.moments, occluded.detected, strict=True)
        ]
        seen = replay_again(moments, PosePipeline(engine, self.settings.config), self._progress)
        seen.bag_s = recorded.bag_s
        self.done += 1
        return seen

    def _as_recorded(self, label: str, model: str) -> tuple[Replay, Engine]:
        """Read the bag, write the one of the answers."""
        settings, messages = self.settings, self.bag.count(self.topics.detections)
        path = self.folder / bag_name(label, settings.labels)
        helped = self.helpers and worth_helpers(messages)
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(answers_bag(path, messages, markers=settings.markers, helpers=self.helpers))
            what = (self.topics, settings.source)
            # images would take long to hand over, and what is packed would be unpacked twice
            elsewhere = helped and not self.topics.image and not self.bag.packed
            source = stack.enter_context(ReadingProcess(self.bag.path, *what)) if elsewhere else read(self.bag, *what)
            engine = self.models.engine(model, settings.backend)  # meanwhile the helpers get ready
            body_engine = self.models.image_engine(settings.image_model) if settings.image_model else None
            if body_engine is not None:
                target.show(self.models.shown_mesh(settings.image_model))
            pipeline = PosePipeline(engine, settings.config, body_engine=body_engine)
            with _little_garbage():
                seen = replay(
                    self.bag,
                    self.topics,
                    pipeline,
                    target,
                    source,
                    ground_frame=settings.ground_frame,
                    progress=self._progress,
                )
        self.done += 1
        return seen, engine

    def _progress(self, done: int, total: int) -> None:
        runs = len(self.settings.labels) * (1 + len(self.settings.patterns))
        all_done, in_all = self.done * total + done, runs * total
        seconds = (self.bag.end_ns - self.bag.begin_ns) * 1e-9 * all_done / in_all
        self.tell(Step(bag=self.task.bag.name, done=all_done, total=in_all, seconds=seconds))

    def _run(self, label: str, pattern: str, seen: Replay, engine: Engine, scored: Score) -> ReportRun:
        """What is told of a run."""
        image_model = self.settings.image_model
        body = {}
        if image_model:
            body_engine = self.models.image_engine(image_model)
            body = {"image_model": body_engine.info.name, "image_engine": body_engine.backend}
        figures = {
            **scored.figures,
            "coverage": answered_share(scored.figures),
            **pooled_latency([latency_counts(seen.step_s)]),
            "latency_note": "one pipeline step, from keypoints to skeletons",
            "speed_x_realtime": seen.bag_s / seen.wall_s if seen.bag_s and seen.wall_s else math.nan,
            "dropped": {reason: count for reason, count in sorted(seen.dropped.items()) if count},
            "resets": seen.resets,
            "model": engine.info.name,
            "engine": engine.backend,
            **body,
        }
        return ReportRun(
            model=label,
            pattern=pattern,
            figures=figures,
            intervals=scored.intervals,
            score=scored,
            latencies_ms=[1000.0 * seconds for seconds in seen.step_s],
        )
