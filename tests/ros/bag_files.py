"""Bags as other tools leave them: any messages, any storage, split, compressed, with definitions and without."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys.store import Typestore
from ruamel.yaml import YAML

from occpose_ros.bag import typestore
from occpose_ros.message_definitions import types_from_files

INTERFACES = Path(__file__).parents[1] / "interfaces"


@dataclass(frozen=True)
class Sent:
    """A message of a bag, received at stamp_ns."""

    topic: str
    msgtype: str
    stamp_ns: int
    message: Any


@lru_cache(maxsize=1)
def every_type() -> Typestore:
    """Standard messages, occpose's, and those of all detector families."""
    store = typestore().__class__()
    store.register({**types_from_files([INTERFACES]), **typestore().fielddefs})
    return store


def write_folder(
    folder: Path,
    sent: Sequence[Sent],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
    *,
    definitions: bool = True,
) -> Path:
    """A rosbag2 folder. definitions: whether it carries those of its messages, which only newer recorders do."""
    store = every_type()
    writer = Writer(folder, version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for one in sent:
            if one.topic not in connections:
                given = {"typestore": store} if definitions else {"msgdef": "", "rihs01": "unknown"}
                connections[one.topic] = writer.add_connection(one.topic, one.msgtype, **given)
            raw = bytes(store.serialize_cdr(one.message, one.msgtype))
            writer.write(connections[one.topic], one.stamp_ns, raw)
    if not definitions and storage == StoragePlugin.SQLITE3:
        (database,) = folder.glob("*.db3")
        with sqlite3.connect(database) as connection:  # as before Iron
            connection.execute("UPDATE schema SET schema_version = 3")
            connection.execute("DROP TABLE message_definitions")
    return folder


def join(folder: Path, parts: Sequence[Path]) -> Path:
    """One split bag of rosbag2 folders that were recorded one after the other."""
    folder.mkdir(parents=True)
    yaml = YAML(typ="safe")
    whole: dict[str, Any] = {}
    for number, part in enumerate(parts):
        said = yaml.load((part / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        (name,) = said["relative_file_paths"]
        renamed = f"{folder.name}_{number}{name[name.index('.') :]}"
        (part / name).rename(folder / renamed)
        if not whole:
            whole = {**said, "relative_file_paths": [], "files": []}
        else:
            whole["message_count"] += said["message_count"]
            for mine, theirs in zip(whole["topics_with_message_count"], said["topics_with_message_count"], strict=True):
                mine["message_count"] += theirs["message_count"]
            end_ns = said["starting_time"]["nanoseconds_since_epoch"] + said["duration"]["nanoseconds"]
            whole["duration"]["nanoseconds"] = end_ns - whole["starting_time"]["nanoseconds_since_epoch"]
        whole["relative_file_paths"].append(renamed)
    with (folder / "metadata.yaml").open("w") as file:
        yaml.dump({"rosbag2_bagfile_information": whole}, file)
    return folder
