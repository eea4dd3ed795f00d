"""Processes that take some of a command's work."""

from __future__ import annotations

import os

import pytest

from occpose_ros.helper_process import HelperProcess, Line


def tell_threads(line: Line) -> None:
    line.send(os.environ.get("OMP_NUM_THREADS"))


@pytest.mark.parametrize(("given", "threads"), [(None, "1"), ("3", "3")])
def test_each_has_one_thread_unless_the_user_says_otherwise(
    given: str | None, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    process = HelperProcess(tell_threads)
    try:
        assert process.line.recv() == threads
        assert os.environ.get("OMP_NUM_THREADS") == given
    finally:
        process.close()
