"""Pickled data sets give their numbers, and nothing in them is ever run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.dataset import DatasetError
from occpose_core.safe_pickle import load_npy, load_npz, load_pickle, need_keys

DATA = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "column-major": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "ragged": [np.zeros((1, 2)), np.ones((3, 2))],
    "scalar": np.float64(2.5),
    "text": "directions 1",
    "bytes": b"\x00\xff",
    "nested": OrderedDict(a={"b": [1, 2.5, None, True]}),
    "texts": np.array(["a", "bc"]),
    "objects": np.array([{"x": 1}, "y"], dtype=object),
}


class Trap:
    """Writes a file when it is unpickled by an ordinary reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def write_pickle(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def write_npy(path: Path, content: object) -> Path:
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def write_npz(path: Path, content: object) -> Path:
    np.savez_compressed(path, data=np.array(content, dtype=object), plain=np.arange(3))
    return path


def read_npz(path: Path, allow: bool, what: str) -> object:
    return load_npz(path, ["data"], allow, what)["data"]


FORMATS = [
    pytest.param(write_pickle, load_pickle, "data.pkl", id="pickle"),
    pytest.param(write_npy, load_npy, "data.npy", id="npy"),
    pytest.param(write_npz, read_npz, "data.npz", id="npz"),
]
Write = Callable[[Path, object], Path]
Read = Callable[[Path, bool, str], Any]


def same(one: object, other: object) -> None:
    np.testing.assert_equal(one, other)
    assert type(one) is type(other)


@pytest.mark.parametrize(("write", "read", "name"), FORMATS)
def test_data_comes_back_as_it_was_written(write: Write, read: Read, name: str, tmp_path: Path) -> None:
    found = read(write(tmp_path / name, DATA), True, "a test set")
    assert list(found) == list(DATA)
    for key, value in DATA.items():
        same(found[key], value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_understood(protocol: int, tmp_path: Path) -> None:
    found = load_pickle(write_pickle(tmp_path / "data.pkl", DATA, protocol), True, "a test set")
    for key, value in DATA.items():
        same(found[key], value)


def test_pickles_of_python_2_are_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    # what cPickle of Python 2 writes for {'a': 'b\xe9', 'n': array([7], dtype=int16)}: str without unicode, old names
    path.write_bytes(
        b"\x80\x02}q\x01(U\x01aU\x02b\xe9U\x01ncnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00"
        b"\x85U\x01b\x87Rq\x04(K\x01K\x01\x85cnumpy\ndtype\nq\x05U\x02i2K\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff\xff\xff"
        b"\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x07\x00tbu."
    )
    found = load_pickle(path, True, "a test set")
    assert found["a"] == "bé"
    same(found["n"], np.array([7], dtype=np.int16))


def test_plain_arrays_stand_beside_pickled_ones(tmp_path: Path) -> None:
    found = load_npz(write_npz(tmp_path / "data.npz", DATA), ["data", "plain"], True, "a test set")
    same(found["plain"], np.arange(3))


@pytest.mark.parametrize(("write", "read", "name"), FORMATS)
def test_a_closed_gate_names_the_flag_and_reads_nothing(write: Write, read: Read, name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, [Trap(tmp_path / "sprung")])
    with pytest.raises(DatasetError, match="--allow-pickle") as caught:
        read(path, False, "a test set")
    assert str(path) in str(caught.value)
    assert "code" in str(caught.value)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("write", "read", "name"), FORMATS)
def test_code_in_a_pickle_is_refused_and_never_run(write: Write, read: Read, name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, {"a": Trap(tmp_path / "sprung")})
    with pytest.raises(DatasetError, match=r"refused to read .*mkdir"):
        read(path, True, "a test set")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "harmful",
    [
        pytest.param(b"cbuiltins\neval\n(V1\ntR.", id="eval"),
        pytest.param(b"c_codecs\nencode\n(Vabc\nVzip\ntR.", id="another codec"),
        pytest.param(b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.", id="getattr"),
        pytest.param(b"\x80\x04\x8c\x05numpy\x8c\x0dlib.npyio.load\x93.", id="name inside an allowed module"),
        pytest.param(b"Pid\n.", id="persistent id"),
    ],
)
def test_every_other_name_is_refused(harmful: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(harmful)
    with pytest.raises(DatasetError, match="refused to read"):
        load_pickle(path, True, "a test set")


@pytest.mark.parametrize(("write", "read", "name"), FORMATS)
@pytest.mark.parametrize("keep", [0, 1, 30, 200, -5])
def test_damaged_files_are_one_sentence(write: Write, read: Read, name: str, keep: int, tmp_path: Path) -> None:
    path = write(tmp_path / name, DATA)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=name):
        read(path, True, "a test set")


def test_missing_files_and_keys_say_what_was_expected_and_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no file .*nowhere.*: expected a test set; get it there"):
        load_pickle(tmp_path / "nowhere", True, "a test set", "get it there")
    path = write_npz(tmp_path / "data.npz", DATA)
    with pytest.raises(DatasetError, match=r"data.npz lacks the key 'more'; it has data, plain; get it there"):
        load_npz(path, ["data", "more"], True, "a test set", "get it there")
    with pytest.raises(DatasetError, match="f lacks the key 'b' under S1; it has a"):
        need_keys({"a": 1}, ["a", "b"], "f", inside="S1")
    with pytest.raises(DatasetError, match="f: S1 must be a dict, got int"):
        need_keys(3, ["a"], "f", inside="S1")
