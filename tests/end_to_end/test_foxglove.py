"""What Foxglove needs: a replayed bag that explains itself, and a layout that asks for what is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from occpose_core.skeleton import H36M17
from occpose_ros.bag import MARKERS_TYPE, BagReader, BagWriter
from occpose_ros.cli import main
from occpose_ros.markers import LAYERS
from occpose_ros.mesh_markers import LAYER as MESH_LAYER

ROOT = Path(__file__).parents[2]
LAYOUT = json.loads((ROOT / "config" / "foxglove.json").read_text(encoding="utf-8"))
PANELS: dict[str, dict[str, Any]] = LAYOUT["configById"]
# A part of a message path: a field, with an index or a slice behind it.
_PART = re.compile(r"\.(?P<field>\w+)(?:\[(?P<index>\d*|:)\])?")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `occpose replay` makes of two seconds of the sample, in which people come and go."""
    folder = tmp_path_factory.mktemp("foxglove")
    sample = ROOT / "samples" / "two_people.mcap"
    with BagReader(sample) as bag, BagWriter(folder / "short.mcap") as short:
        for record in bag.records():
            seconds = (record.stamp_ns - bag.begin_ns) * 1e-9
            if record.topic in ("/tf_static", "/furniture") or 9.0 <= seconds < 11.0:
                short.copy(record, bag)
    assert main(["replay", str(folder / "short.mcap"), "--out", str(folder / "out")]) == 0
    return folder / "out" / "output.mcap"


def test_every_message_explains_itself_to_readers_that_know_nothing_of_occpose(replayed: Path) -> None:
    """The plain `mcap` and `mcap_ros2` packages find each message's definition in the file, and read it."""
    reader = pytest.importorskip("mcap.reader", reason="reads MCAP as others do: pip install mcap-ros2-support")
    decoder = pytest.importorskip("mcap_ros2.decoder", reason="reads MCAP as others do: pip install mcap-ros2-support")
    with replayed.open("rb") as stream, BagReader(replayed) as bag:
        mcap = reader.make_reader(stream, decoder_factories=[decoder.DecoderFactory()])
        summary = mcap.get_summary()
        assert {schema.encoding for schema in summary.schemas.values()} == {"ros2msg"}
        assert {channel.topic for channel in summary.channels.values()} == set(bag.topics)
        read = list(mcap.iter_decoded_messages())
        assert len(read) == summary.statistics.message_count == bag.count(bag.topics)
        ours = bag.messages()
        for (_, channel, message, theirs), mine in zip(read, ours, strict=True):
            assert (channel.topic, message.log_time) == (mine.topic, mine.stamp_ns)
            if channel.topic == "/skeletons":
                for person, same in zip(theirs.people, mine.message.people, strict=True):
                    assert list(person.position) == same.position.tolist()
                    assert list(person.std_dev) == same.std_dev.tolist()


def paths() -> Iterator[str]:
    """Every message path that the layout asks for."""
    for config in PANELS.values():
        yield from config.get("topics", {})
        yield from filter(None, [config.get("topicPath")])
        yield from (path["value"] for path in config.get("paths", []))


def values(message: Any, path: str) -> list[Any]:
    """What a message path leads to in a message; AssertionError if a field is not there."""
    found = [message]
    parts = list(_PART.finditer(path))
    assert "".join(part.group() for part in parts) == path, f"{path} is no message path"
    for part in parts:
        assert all(hasattr(each, part["field"]) for each in found), f"there is no field {part['field']} in {path}"
        found = [getattr(each, part["field"]) for each in found]
        if part["index"] is not None:
            chosen = slice(None) if part["index"] == ":" else slice(int(part["index"]), int(part["index"]) + 1)
            found = [item for each in found for item in each[chosen]]
    return found


@pytest.mark.parametrize("path", dict.fromkeys(paths()))
def test_every_path_of_the_layout_leads_to_something(replayed: Path, path: str) -> None:
    topic, _, field = path.partition(".")
    with BagReader(replayed) as bag:
        assert topic in bag.topics
        messages = [record.message for record in bag.messages([topic])]
    assert any(values(message, f".{field}" if field else "") for message in messages)


def test_the_layout_knows_every_layer_of_the_markers(replayed: Path) -> None:
    [people] = [config for config in PANELS.values() if "topics" in config]
    namespaces = set(people["topics"]["/markers"]["namespaces"])
    assert namespaces == {*LAYERS, MESH_LAYER}
    with BagReader(replayed) as bag:
        assert bag.topics["/markers"] == MARKERS_TYPE
        drawn = {marker.ns for record in bag.messages(["/markers"]) for marker in record.message.markers}
    assert drawn <= namespaces


def test_the_plotted_joints_are_those_of_their_labels() -> None:
    series = PANELS["Plot!sigma"]["paths"]
    assert series
    for one in series:
        assert one["value"] == f"/skeletons.people[:].std_dev[{H36M17.index(one['label'])}]"


def test_every_panel_has_its_place_and_every_place_a_panel() -> None:
    def leaves(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
            return
        assert node["direction"] in ("row", "column") and 0 < node["splitPercentage"] < 100
        yield from leaves(node["first"])
        yield from leaves(node["second"])

    placed = list(leaves(LAYOUT["layout"]))
    assert sorted(placed) == sorted(PANELS)
    assert {panel.partition("!")[0] for panel in placed} == {"3D", "Plot", "RawMessages"}
