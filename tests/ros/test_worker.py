"""The worker takes the newest item, resets before later items, and ends."""

from __future__ import annotations

import threading

from occpose_ros.worker import LatestWorker


class Recorder:
    """Work that waits for a gate and remembers."""

    def __init__(self):
        self.done = []
        self.busy = threading.Event()
        self.gate = threading.Event()
        self.finished = threading.Event()

    def work(self, item):
        self.busy.set()
        self.gate.wait(10)
        self.done.append(item)
        if item == "last":
            self.finished.set()

    def reset(self):
        self.done.append("reset")


def test_an_item_not_begun_is_replaced():
    recorder = Recorder()
    worker = LatestWorker(recorder.work, recorder.reset, name="test")
    assert worker.offer(1) is False
    assert recorder.busy.wait(10)
    assert [worker.offer(item) for item in (2, 3, "last")] == [False, True, True]
    recorder.gate.set()
    assert recorder.finished.wait(10)
    assert worker.stop()
    assert recorder.done == [1, "last"]


def test_a_patient_caller_waits_for_work_that_begins_at_once_but_not_for_a_busy_worker():
    recorder = Recorder()
    recorder.gate.set()
    worker = LatestWorker(recorder.work, recorder.reset, name="test")
    worker.offer(1, patience_s=10)
    assert recorder.done == [1]
    recorder.gate.clear()
    recorder.busy.clear()
    worker.offer(2, patience_s=0.01)
    assert recorder.busy.wait(10)
    worker.offer("last", patience_s=60)
    assert recorder.done == [1]
    recorder.gate.set()
    assert recorder.finished.wait(10)
    assert worker.stop()


def test_a_reset_forgets_what_waits_and_comes_before_what_follows():
    recorder = Recorder()
    worker = LatestWorker(recorder.work, recorder.reset, name="test")
    worker.offer(1)
    assert recorder.busy.wait(10)
    worker.offer("stale")
    worker.request_reset()
    worker.offer("last")
    recorder.gate.set()
    assert recorder.finished.wait(10)
    assert worker.stop()
    assert recorder.done == [1, "reset", "last"]


def test_stop_ends_an_idle_worker_and_gives_up_on_a_hanging_one():
    recorder = Recorder()
    assert LatestWorker(recorder.work, recorder.reset, name="idle").stop()
    hanging = LatestWorker(recorder.work, recorder.reset, name="hanging")
    hanging.offer(1)
    assert recorder.busy.wait(10)
    assert hanging.stop(timeout_s=0.05) is False
    recorder.gate.set()
    assert hanging.stop()
