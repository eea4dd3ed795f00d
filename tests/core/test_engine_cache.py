"""The cache of built engines: what is found is whole and one's own, and trouble with the disk is one sentence."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from occpose_core.runtime import engine_cache
from occpose_core.runtime.engine_cache import CachedPlan, CacheError, EngineCache, cache_key, default_folder
from occpose_core.runtime.preparation import CancelledError

PLAN = CachedPlan(plan=bytes(range(256)) * 40, metadata='{"name": "any"}')
FACTS: dict[str, Any] = {
    "backend": "tensorrt",
    "version": "10.3.0",
    "gpu": {"name": "Orin", "compute_capability": (8, 7), "multiprocessors": 16, "driver": 12060, "runtime": 12060},
    "level": 3,
}


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "occpose" / "engines")


def stored(cache: EngineCache, key: str = "key") -> EngineCache:
    cache.store(key, PLAN, FACTS)
    return cache


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"version": "10.3.1"}, id="version of the library"),
        pytest.param({"backend": "tensorrt-rtx"}, id="library"),
        pytest.param({"level": 5}, id="level of the builder"),
        *(
            pytest.param({"gpu": {**FACTS["gpu"], name: value}}, id=name)
            for name, value in {
                "name": "Thor",
                "compute_capability": (8, 6),
                "multiprocessors": 8,
                "driver": 13000,
                "runtime": 13000,
            }.items()
        ),
    ],
)
def test_a_plan_is_found_only_where_it_fits(changed: dict[str, Any]) -> None:
    assert cache_key(b"model", FACTS) == cache_key(b"model", dict(reversed(FACTS.items())))
    assert cache_key(b"model", FACTS) != cache_key(b"model", {**FACTS, **changed})


def test_another_model_and_another_version_of_occpose_have_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [cache_key(b"model", FACTS), cache_key(b"Model", FACTS)]
    monkeypatch.setattr(engine_cache, "SCHEMA", engine_cache.SCHEMA + 1)
    assert len({*keys, cache_key(b"model", FACTS)}) == 3


def test_a_stored_plan_is_found_again(cache: EngineCache) -> None:
    assert cache.read("key") is None
    assert stored(cache).read("key") == PLAN
    assert cache.read("other") is None
    refused = CachedPlan(plan=b"plan", metadata="{}", refused="too far")
    cache.store("key", refused, FACTS)
    assert cache.read("key") == refused


def test_nobody_else_can_enter_the_folder_and_half_files_are_never_there(cache: EngineCache) -> None:
    before = os.umask(0)
    try:
        stored(cache)
    finally:
        os.umask(before)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in cache.folder.iterdir()) == ["key.json", "key.plan"]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param("key.plan", flip_a_bit, id="a bit of the plan"),
        pytest.param("key.plan", half, id="half a plan"),
        pytest.param("key.plan", lambda path: os.truncate(path, 0), id="no byte of the plan"),
        pytest.param("key.plan", Path.unlink, id="no plan"),
        pytest.param("key.json", half, id="half a description"),
        pytest.param("key.json", lambda path: os.truncate(path, 0), id="no byte of the description"),
        pytest.param("key.json", lambda path: path.write_text("[1]"), id="another description"),
        pytest.param("key.json", lambda path: path.write_bytes(b"\xff\xfe"), id="no text"),
    ],
)
def test_what_is_damaged_is_removed_and_can_be_stored_again(
    name: str, damage: Callable[[Path], object], cache: EngineCache
) -> None:
    damage(stored(cache).folder / name)
    assert cache.read("key") is None
    assert not list(cache.folder.iterdir())
    assert stored(cache).read("key") == PLAN


def test_a_plan_whose_description_is_still_to_come_is_left_alone(cache: EngineCache) -> None:
    description = stored(cache).folder / "key.json"
    written = description.read_bytes()
    description.unlink()
    assert cache.read("key") is None
    description.write_bytes(written)
    assert cache.read("key") == PLAN


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_plans_that_others_could_have_put_there_are_not_read(mode: int, cache: EngineCache) -> None:
    stored(cache).folder.chmod(mode)
    for use in (lambda: cache.read("key"), lambda: stored(cache)):
        with pytest.raises(CacheError, match="others can enter the engine cache .*; run: chmod 700"):
            use()
    cache.folder.chmod(0o700)
    assert cache.read("key") == PLAN


def test_a_folder_of_somebody_else_is_not_used(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(cache)
    monkeypatch.setattr(os, "getuid", lambda: cache.folder.stat().st_uid + 1)
    with pytest.raises(CacheError, match="others can enter"):
        cache.read("key")


def test_what_is_read_lies_in_the_folder_that_was_looked_at(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fstat = os.fstat

    def look(folder: int) -> os.stat_result:
        cache.folder.rename(cache.folder.with_name("before"))
        EngineCache(cache.folder).write("blob", b"of somebody else")
        return fstat(folder)

    cache.write("blob", b"one's own")
    with monkeypatch.context() as changing:
        changing.setattr(os, "fstat", look)
        assert cache.read_blob("blob") == b"one's own"
    assert cache.read_blob("blob") == b"of somebody else"


# --- trouble with the disk


def in_a_file(root: Path) -> Path:
    (root / "file").write_text("in the way")
    return root / "file" / "engines"


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(lambda root: Path("/proc/occpose/engines"), id="a file system that can only be read"),
        pytest.param(in_a_file, id="a file in the way"),
    ],
)
def test_a_folder_that_cannot_be_made_is_one_sentence(folder: Callable[[Path], Path], tmp_path: Path) -> None:
    cache = EngineCache(folder(tmp_path))
    assert cache.read("key") is None and cache.read_blob("timing") == b""
    for use in (lambda: stored(cache), lambda: cache.lock(threading.Event(), lambda: None).__enter__()):
        with pytest.raises(CacheError, match=f"the engine cache {cache.folder} cannot be written"):
            use()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_is_read(cache: EngineCache) -> None:
    stored(cache).folder.chmod(0o500)
    try:
        assert cache.read("key") == PLAN
        with pytest.raises(CacheError, match="the engine cache"):
            stored(cache, "another")
    finally:
        cache.folder.chmod(0o700)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Meanwhile no file can grow beyond 1 kB, as on a disk that is nearly full; that of pytest's output neither."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_nothing_behind(cache: EngineCache) -> None:
    sentence = "the engine cache cannot be written: cannot write .*key.plan: File too large"
    with full_disk(), pytest.raises(CacheError, match=sentence):
        stored(cache)
    assert cache.read("key") is None
    assert not list(cache.folder.iterdir())


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/occpose/engines")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache/occpose/engines"
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(CacheError, match="set XDG_CACHE_HOME"):
        default_folder()


def test_the_longest_unused_plans_go_first(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cache, "KEPT", 3)
    for age, key in enumerate(["used", "unused", "newer"]):
        os.utime(stored(cache, key).folder / f"{key}.json", (age, age))
    (cache.folder / ".used.plan.abandoned").write_bytes(b"half a plan")
    os.utime(cache.folder / ".used.plan.abandoned", (0, 0))
    assert cache.read("used") == PLAN
    stored(cache, "newest")
    assert sorted(path.stem for path in cache.folder.iterdir()) == sorted(2 * ["newer", "newest", "used"])


# --- several processes

HOLD = """
import sys, threading
from pathlib import Path
from occpose_core.runtime.engine_cache import EngineCache
with EngineCache(Path(sys.argv[1])).lock(threading.Event(), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(cache: EngineCache) -> Iterator[subprocess.Popen[str]]:
    """Another process that builds."""
    command = [sys.executable, "-c", HOLD, str(cache.folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_process_builds_at_a_time(cache: EngineCache, holder: subprocess.Popen[str]) -> None:
    waited = []

    def kill_it() -> None:
        waited.append(holder.poll())
        holder.send_signal(signal.SIGKILL)

    with cache.lock(threading.Event(), kill_it):
        assert waited[0] is None, "the lock was free while its holder lived"
    assert stored(cache).read("key") == PLAN


def test_waiting_for_another_process_can_be_cancelled(cache: EngineCache, holder: subprocess.Popen[str]) -> None:
    cancelled = threading.Event()
    with pytest.raises(CancelledError), cache.lock(cancelled, cancelled.set):
        pass
    assert holder.poll() is None
    assert stored(cache).read("key") == PLAN, "reading and storing need no lock"
