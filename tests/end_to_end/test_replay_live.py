"""A replay says what the node said in real time, byte for byte."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import load
from occpose_ros.bag import SKELETON_INFO_TYPE, SKELETONS_TYPE, BagReader, BagWriter, typestore
from occpose_ros.live import NodeProcess, Player, own_domain, ros_missing
from occpose_ros.message_types import stamp_ns_from_cdr
from occpose_ros.replay.answer_writer import SKELETONS, AnswerWriter
from occpose_ros.replay.run import replay
from occpose_ros.replay.topics import find_topics

BEGIN, IMAGES = 300, 90  # both people are there, and furniture hides them


@pytest.mark.skipif(bool(ros_missing()), reason=f"no node here: {ros_missing()}")
def test_a_replay_of_what_the_node_took_gives_the_nodes_skeletons(sample: Path, tmp_path: Path) -> None:
    with BagReader(sample) as bag:
        camera = next(iter(bag.records(["/camera_info"])))
        images = list(itertools.islice(bag.records(["/keypoints"]), BEGIN, BEGIN + IMAGES))
    listened = {"skeletons": SKELETONS_TYPE, "skeleton_info": SKELETON_INFO_TYPE}
    with own_domain(), NodeProcess({}) as node, Player(node.check, listened) as player:
        player.wait_until_ready(bytes(camera.raw))
        recording = player.play(images)
        assert node.stop() == 0
    live = {stamp_ns_from_cdr(raw): raw for topic, raw, _ in recording.messages if topic == "skeletons"}
    assert len(live) > IMAGES / 2  # a busy machine may lose some

    with BagReader(sample) as bag, BagWriter(tmp_path / "taken.mcap") as taken:
        taken.copy(camera, bag)
        for image in images:
            if stamp_ns_from_cdr(image.raw) in live:
                taken.copy(image, bag)
    with BagReader(tmp_path / "taken.mcap") as bag, BagWriter(tmp_path / "out.mcap") as out:
        replay(bag, find_topics(bag), PosePipeline(load()), AnswerWriter(out))

    store = typestore()
    with BagReader(tmp_path / "out.mcap") as bag:
        replayed = {stamp_ns_from_cdr(record.raw): bytes(record.raw) for record in bag.records([SKELETONS])}
    assert list(replayed) == list(live)
    for stamp_ns, raw in live.items():
        message = store.deserialize_cdr(raw, SKELETONS_TYPE)
        assert message.people and message.latency_ms > 0
        unhurried = replace(message, latency_ms=0.0)  # how long it took is not said in a replay
        assert bytes(store.serialize_cdr(unhurried, SKELETONS_TYPE)) == replayed[stamp_ns]
