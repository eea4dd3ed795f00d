"""Pickled data sets, read without running code from them.

Several published data sets are pickles, and a pickle may name any function to call. The reader here knows a handful of
harmless names that numbers, texts and numpy arrays are made of, and refuses a file that names anything else. Even so a
pickle is opened only after the user has said that it may be.
"""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.lib import format as npy

from occpose_core.dataset import DatasetError

FLAG = "--allow-pickle"
_T = TypeVar("_T")


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """What `_codecs.encode` does in pickles of bytes, and nothing else that it could."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}, which no data set needs")
    return text.encode("latin1")


def _array_of_bytes(buffer: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    """What numpy's `_frombuffer` does; copied, so that the array may be written to."""
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order).copy()


_reconstruct, _scalar = np.array(0).__reduce__()[0], np.float64(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    **{
        (f"numpy.{core}.{name}", function): value
        for core in ("core", "_core")
        for name, function, value in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_of_bytes),
        )
    },
}

# What reading a foreign or cut-off pickle raises, beside UnpicklingError.
_DAMAGE = (
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


class _NumbersOnly(pickle.Unpickler):
    """Builds numbers, texts, lists, dicts and numpy arrays; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which is no number, text or array; a data set does not need it"
            ) from None


class Inert:
    """Stands for an object of a class that is not loaded: it keeps the object's parts and does nothing.

    origin: the class' full name. state: what its parts were pickled as, a dict as a rule.
    """

    origin = ""
    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _new_inert(kind: Any, base: Any, state: Any) -> Inert:
    """What `copyreg._reconstructor` does for stand-ins, and for nothing else."""
    if not (isinstance(kind, type) and issubclass(kind, Inert)):
        raise pickle.UnpicklingError(f"it asks to make a {kind!r} from nothing, which no data set needs")
    return kind()


class _NumbersAndStandIns(_NumbersOnly):
    """Also takes scipy's sparse matrices and chumpy's arrays, as stand-ins: their numbers lie in their state."""

    _stood_for = re.compile(r"scipy\.sparse\._?cs[cr]\.cs[cr]_(matrix|array)|chumpy(\.\w+)+")
    _needed: dict[tuple[str, str], Any] = {
        **{(module, "object"): None for module in ("builtins", "__builtin__")},  # the base that they are made from
        **{(module, "set"): set for module in ("builtins", "__builtin__")},
        **{(module, "_reconstructor"): _new_inert for module in ("copyreg", "copy_reg")},
    }

    def find_class(self, module: str, name: str) -> Any:
        if self._stood_for.fullmatch(f"{module}.{name}"):
            return type(name, (Inert,), {"origin": f"{module}.{name}"})
        if (module, name) in self._needed:
            return self._needed[module, name]
        return super().find_class(module, name)


def load_pickle(path: str | Path, allow: bool, what: str, get: str = "", stand_ins: bool = False) -> Any:
    """Read a pickle of numbers, texts, lists, dicts and numpy arrays; texts of Python 2 are read as latin-1.

    what: the data set, for messages. get: where to get it, a clause. stand_ins: give sparse matrices and chumpy arrays
    as Inert; otherwise they are refused. Raises DatasetError if `allow` is False, if the file is missing or damaged,
    or if it names anything but what its data needs.
    """
    kind = _NumbersAndStandIns if stand_ins else _NumbersOnly
    return _guarded(Path(path), allow, what, get, partial(_unpickle, kind=kind))


def load_npy(path: str | Path, allow: bool, what: str, get: str = "") -> Any:
    """Read an .npy file whose array holds pickled objects, as load_pickle does; a single object is given as itself."""
    return _guarded(Path(path), allow, what, get, _read_npy)


def load_npz(
    path: str | Path, keys: Sequence[str], allow: bool, what: str, get: str = "", optional: Sequence[str] = ()
) -> dict[str, Any]:
    """Read members of an .npz file of which some hold pickled objects, as load_npy does.

    optional: keys that are read where they are. Raises DatasetError also if a key is missing.
    """
    path = Path(path)

    def read(stream: IO[bytes]) -> dict[str, Any]:
        with zipfile.ZipFile(stream) as archive:
            members = {name.removesuffix(".npy") for name in archive.namelist()}
            need_keys(members, keys, path, get)
            found = {}
            for key in (*keys, *(key for key in optional if key in members)):
                with archive.open(f"{key}.npy") as member:
                    found[key] = _read_npy(member)
            return found

    return _guarded(path, allow, what, get, read)


def need_keys(found: Any, keys: Sequence[str], path: str | Path, get: str = "", inside: str = "") -> None:
    """Raise DatasetError naming file and key unless `found` has all keys. inside: where in the file."""
    if not isinstance(found, Collection):
        place = inside or "it"
        raise DatasetError(f"{path}: {place} must be a dict, got {type(found).__name__}" + (f"; {get}" if get else ""))
    missing = [key for key in keys if key not in found]
    if missing:
        has = ", ".join(sorted(map(str, found))[:12]) or "nothing"
        place = f" under {inside}" if inside else ""
        raise DatasetError(f"{path} lacks the key {missing[0]!r}{place}; it has {has}" + (f"; {get}" if get else ""))


def _guarded(path: Path, allow: bool, what: str, get: str, read: Callable[[IO[bytes]], _T]) -> _T:
    hint = f"; {get}" if get else ""
    if not path.is_file():
        raise DatasetError(f"there is no file {path}: expected {what}{hint}")
    if not allow:
        raise DatasetError(
            f"{path} ({what}) is a pickle, a format that can carry code; occpose takes only numbers and texts out of"
            f" it, but opens it only if you trust its origin and add {FLAG} (allow_pickle: true in a configuration)"
        )
    try:
        with path.open("rb") as stream:
            return read(stream)
    except DatasetError:
        raise
    except pickle.UnpicklingError as error:
        raise DatasetError(f"refused to read {path} ({what}): {error}{hint}") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path} ({what}): {error.strerror or error}{hint}") from error
    except _DAMAGE as error:
        raise DatasetError(f"cannot read {path}: it is not a whole file of {what}{hint}") from error


def _unpickle(stream: IO[bytes], kind: type[_NumbersOnly] = _NumbersOnly) -> Any:
    return kind(stream, encoding="latin1").load()


def _read_npy(stream: IO[bytes]) -> Any:
    version = npy.read_magic(stream)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, column_major, dtype = header(stream)
    if dtype.hasobject:
        array = np.asarray(_unpickle(stream), dtype=object)
    else:
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(stream.read(count * dtype.itemsize), dtype=dtype, count=count)
    array = array.reshape(shape[::-1]).T if column_major else array.reshape(shape)
    return array.item() if dtype.hasobject and array.ndim == 0 else array
