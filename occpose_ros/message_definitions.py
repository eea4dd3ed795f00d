"""What messages are made of: by the definitions of occpose, by those in a bag, and by files that users give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat, Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from occpose_ros.bag_damage import BagError, reason_of

PACKAGE = "occpose_ros"
_IDL_RULE = "=" * 80 + "\n"
_PACKAGE_NAME = re.compile(r"<name>\s*(\w+)\s*</name>")

Fields = Mapping[str, Any]  # name of a type -> how rosbags describes it


def definition_files() -> list[Path]:
    """The text files of occpose's own messages: beside this module when installed, in `msg/` in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "definitions", here.parent / "msg"):
        files = sorted(folder.glob("*.msg"))
        if files:
            return files
    raise BagError(
        f"occpose's message definitions are neither in {here / 'definitions'} nor in {here.parent / 'msg'};"
        " install occpose again"
    )


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """ROS 2's standard message types and occpose's own."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in definition_files():
        store.register(get_types_from_msg(path.read_text(encoding="utf-8"), f"{PACKAGE}/msg/{path.stem}"))
    return store


def types_from_files(paths: Iterable[Path | str]) -> Fields:
    """The types of .msg files, each as package/msg/Type; folders are looked through for them.

    A file lies in the folder `msg` of its package, whose name is that of its package.xml, else of its folder. Raises
    BagError.
    """
    types: dict[str, Any] = {}
    for path in map(Path, paths):
        files = _msg_files(path)
        if not files:
            raise BagError(f"--messages: {path} has no .msg files; give a package of messages, or its .msg files")
        for file in files:
            types |= _types_of_file(file)
    return types


def _msg_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*.msg") if file.parent.name == "msg")
    if path.suffix != ".msg" or not path.is_file():
        raise BagError(f"--messages: {path} is neither a folder nor a .msg file; give a package of messages")
    return [path]


def _types_of_file(file: Path) -> Fields:
    file = file.absolute()
    if file.parent.name != "msg":
        raise BagError(f"--messages: {file} is of no package; put it where packages have it: PACKAGE/msg/{file.name}")
    name = f"{_package_at(file.parent.parent)}/msg/{file.stem}"
    try:
        return get_types_from_msg(file.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise BagError(f"--messages: {file} cannot be read: {error.strerror}") from None
    except (TypesysError, ValueError) as error:
        raise BagError(f"--messages: {file} is no message definition ({reason_of(error)})") from None


def _package_at(folder: Path) -> str:
    manifest = folder / "package.xml"
    text = manifest.read_text(encoding="utf-8", errors="replace") if manifest.is_file() else ""
    named = _PACKAGE_NAME.search(text)
    return named.group(1) if named else folder.name


class Definitions:
    """The types of one bag's messages: as the bag itself says, else as files say, else as ROS and occpose have them.

    path: of the bag. carried: type -> definition, of those that the bag has. files: `types_from_files`.
    """

    def __init__(self, path: Path, carried: Mapping[str, MessageDefinition], files: Fields) -> None:
        self._path = path
        self._carried = carried
        self._files = files
        self._known: set[str] = set()
        self._store = get_typestore(Stores.EMPTY)

    def store_for(self, msgtype: str) -> Typestore:
        """A store that knows the type and all that it is made of; BagError if that is not known."""
        if msgtype not in self._known:
            self._learn(msgtype)
            self._known.add(msgtype)
        return self._store

    def _learn(self, msgtype: str) -> None:
        found: dict[str, Any] = {}
        wanted, seen = [msgtype], {msgtype}
        while wanted:
            name = wanted.pop()
            if name in self._store.fielddefs:
                continue
            if name not in found:
                found = {**self._source_of(name, msgtype), **found}
            new = set(_parts(found[name])) - seen
            wanted += new
            seen |= new
        # What several types are made of is the same in all of them, or else the first one's holds.
        self._store.register({name: fields for name, fields in found.items() if name not in self._store.fielddefs})

    def _source_of(self, name: str, msgtype: str) -> Fields:
        carried = _parsed(self._carried.get(name), name)
        for source in (carried, self._files, typestore().fielddefs):
            if name in source:
                return source if source is carried else {name: source[name]}
        of = "" if name == msgtype else f", which {msgtype} needs"
        raise BagError(
            f"{self._path} does not say what {name} is{of}: give the .msg files of the package"
            f" {name.split('/')[0]} with --messages (a package folder, as in /opt/ros/*/share, will do)"
        )


def _parsed(definition: MessageDefinition | None, name: str) -> Fields:
    """What a bag carries of a type, and of those that it is made of."""
    if definition is None or definition.format == MessageDefinitionFormat.NONE or not definition.data.strip():
        return {}
    if definition.format == MessageDefinitionFormat.MSG:
        return get_types_from_msg(definition.data, name)
    texts = definition.data.split(_IDL_RULE)[1:] if definition.data.startswith(f"{_IDL_RULE}IDL: ") else []
    idl = [text.split("\n", 1)[1] for text in texts] or [definition.data]
    return {known: fields for text in idl for known, fields in get_types_from_idl(text).items()}


def _parts(description: Any) -> Iterator[str]:
    """The types of the fields of a type that are messages themselves."""
    _, fields = description
    for _, (kind, inner) in fields:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, inner = inner[0]
        if kind == Nodetype.NAME:
            yield inner
