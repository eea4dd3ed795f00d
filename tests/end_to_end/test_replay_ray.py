"""`occpose replay --ray` on a cluster of two workers, on this machine alone: the same as without, also if one dies."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from occpose_ros.cli import main
from tests.end_to_end.cuts import answers, cuts, report

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the package ray: pip install 'occpose[ray]'")

BAGS = 4
OCCLUDED = ("--occlude", "natural", "--occlude", "iid20")
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes Ray listen on 127.0.0.1 alone
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return cuts(sample, tmp_path_factory.mktemp("recordings"), BAGS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a worker with one CPU each."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        from ray.cluster_utils import Cluster

        manner = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=manner)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def replayed(recordings: Path, folder: Path, *arguments: str) -> int:
    return main(["replay", str(recordings), "--out", str(folder), *OCCLUDED, *arguments])


def kill_when_both_are_busy(cluster: Any, worker: Any, folder: Path, begun: list[str]) -> None:
    """Take a worker away while it has a bag, as each of the two has: they have one CPU each."""
    deadline_s = time.monotonic() + 60
    while len(begun) < 2 and time.monotonic() < deadline_s:
        begun[:] = [path.parent.name for path in folder.glob("*/.unfinished-*")]
    cluster.remove_node(worker, allow_graceful=False)


def test_a_killed_worker_costs_nothing_but_time(recordings: Path, cluster: Any, tmp_path: Path) -> None:
    """And a rerun finds everything done."""
    assert cluster.address.startswith("127.0.0.1:")
    worker = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    folder, begun = tmp_path / "ray", list[str]()
    killer = threading.Thread(target=kill_when_both_are_busy, args=(cluster, worker, folder, begun))
    killer.start()
    assert replayed(recordings, folder, "--ray", cluster.address) == 0
    killer.join()
    assert len(begun) == 2 and worker not in cluster.list_all_nodes()
    assert replayed(recordings, tmp_path / "here", "--jobs", "2") == 0
    assert len(answers(folder)) == BAGS
    assert answers(folder) == answers(tmp_path / "here")
    assert report(folder) == report(tmp_path / "here")
    assert not list(folder.rglob(".unfinished*"))


def test_a_bag_that_fails_there_is_reported_and_stops_nobody(
    recordings: Path, cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "recordings"
    mine.mkdir()
    for path in recordings.iterdir():
        (mine / path.name).symlink_to(path)
    (mine / "part_9.mcap").write_bytes(b"no bag")
    assert replayed(mine, tmp_path / "out", "--ray", cluster.address) == 1
    said = capsys.readouterr().err
    assert "part_9: failed: " in said and "not a readable ROS 2 bag" in said and "1 of 5 bags failed: part_9" in said
    assert len(answers(tmp_path / "out")) == BAGS
    assert replayed(mine / "part_9.mcap", tmp_path / "alone", "--ray", cluster.address) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "not a readable ROS 2 bag" in said


def free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


@pytest.mark.parametrize("address", ["nonsense://nowhere", "127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_a_cluster_that_is_not_there_is_one_sentence(
    address: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = address.format(port=free_port())
    assert replayed(recordings, tmp_path / "out", "--ray", address) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"no Ray cluster can be used at {address}" in said
    assert not list(tmp_path.glob("out/*"))
