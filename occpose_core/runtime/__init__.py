"""Loading a model by name or file, with whatever can run it on this machine."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from occpose_core.catalogue import CATALOGUE
from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime.engine import Engine, Lifted, warm_up
from occpose_core.runtime.preparation import Preparation
from occpose_core.runtime.tensorrt_library import LIBRARIES, installed

__all__ = [
    "BACKENDS",
    "DEFAULT_MODEL",
    "WEIGHTS",
    "Engine",
    "Lifted",
    "Preparation",
    "load",
    "model_path",
    "preparation",
    "shipped_models",
]

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "stream-s"


def _onnxruntime(path: Path) -> Engine:
    from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(path)


def _torch(path: Path) -> Engine:
    from occpose_core.runtime.torch_engine import TorchEngine

    return TorchEngine(path)


def _tensorrt(path: Path, backend: str) -> Engine:
    from occpose_core.runtime.tensorrt_loading import built_engine

    return built_engine(path, backend)


# backend -> (the file it takes, how to load it); imported where it is used, for each is a large library
BACKENDS: dict[str, tuple[str, Callable[[Path], Engine]]] = {
    "onnxruntime": (".onnx", _onnxruntime),
    "torch": (".safetensors", _torch),
    **{backend: (".onnx", partial(_tensorrt, backend=backend)) for backend in LIBRARIES},
}
_AUTOMATIC = {".onnx": "onnxruntime", ".safetensors": "torch"}  # what "auto" takes where there is no TensorRT engine


def shipped_models() -> list[str]:
    """Names of the models that come with occpose."""
    return sorted(path.stem for path in WEIGHTS.glob("*.onnx"))


def model_path(model: str | Path, suffix: str = ".onnx") -> Path:
    """The file of a shipped model's name, or the path as given; ModelFileError if it is neither."""
    path = Path(model)
    if path.suffix in (file for file, _ in BACKENDS.values()):
        if not path.is_file():
            raise ModelFileError(f"no model file at {path}; `occpose models` lists the shipped ones")
        return path
    shipped = shipped_models()
    if str(model) in CATALOGUE and str(model) not in shipped:
        raise ModelFileError(
            f"no weights of {str(model)!r} come with occpose; train it (`{CATALOGUE[str(model)].command}` and your"
            " data, see docs/systems.md) and give the path of its .onnx file"
        )
    if str(model) not in shipped:
        near = difflib.get_close_matches(str(model), [*shipped, *CATALOGUE], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ModelFileError(
            f"unknown model {str(model)!r}; {hint}give one of {', '.join(shipped)} or a path that ends in .onnx"
            " or .safetensors"
        )
    path = WEIGHTS / f"{model}{suffix}"
    if not path.is_file():
        raise ModelFileError(
            f"model {str(model)!r} is not shipped as {suffix}; choose another backend, or give the path of such a file"
        )
    return path


def load(model: str | Path = DEFAULT_MODEL, backend: str = "auto") -> Engine:
    """Load a shipped model by name, or a .onnx or .safetensors file.

    backend: "auto" or a key of BACKENDS. "auto" never takes long: a TensorRT engine that was built before, else ONNX
    Runtime for .onnx files, torch for .safetensors; `preparation` builds. "tensorrt" and "tensorrt-rtx" build before
    they return, which can take minutes. The engine's `reason` says which it is and why. Raises ModelFileError with one
    sentence if the model or backend is unknown, does not fit or cannot answer, or its library is not installed.
    """
    path = _file_for(model, backend)
    if backend == "auto":
        engine, why = _cached_tensorrt(path)
        chosen = _AUTOMATIC[path.suffix]
        asked = f"auto takes {chosen}, for {why}" if engine is None else f"auto takes {engine.backend}"
    else:
        engine, chosen, asked = None, backend, f"backend {backend} was asked for"
    try:
        engine = engine or BACKENDS[chosen][1](path)
    except ImportError as error:
        raise ModelFileError(f"backend {chosen} needs the package {error.name!r}: pip install {error.name}") from error
    engine.reason = f"{asked}; {engine.reason}"
    warm_up(engine, path)
    return engine


def preparation(model: str | Path = DEFAULT_MODEL, backend: str = "auto") -> Preparation | None:
    """What can be made ready beside an engine that `load` gave with "auto"; None if nothing better comes.

    backend: "auto", or the one to make ready. Not started yet. The first build of a TensorRT engine on a machine takes
    seconds to minutes, and the answers of the loaded one are as good meanwhile. Raises ModelFileError as `load` does
    for the file.
    """
    path = _file_for(model, backend)
    backends = [each for each in installed() if backend in ("auto", each)]
    if path.suffix != ".onnx" or not backends:
        return None
    from occpose_core.runtime.tensorrt_loading import prepared_engine

    return prepared_engine(path, backends)


def _file_for(model: str | Path, backend: str) -> Path:
    if backend not in ("auto", *BACKENDS):
        raise ModelFileError(f"unknown backend {backend!r}; known: auto, {', '.join(BACKENDS)}")
    path = model_path(model, ".onnx" if backend == "auto" else BACKENDS[backend][0])
    if backend != "auto" and path.suffix != BACKENDS[backend][0]:
        raise ModelFileError(f"backend {backend} runs {BACKENDS[backend][0]} files, got {path}")
    return path


def _cached_tensorrt(path: Path) -> tuple[Engine | None, str]:
    """A TensorRT engine that was built before, or why there is none."""
    if path.suffix != ".onnx":
        return None, f"it is a {path.suffix} file"
    backends = installed()
    if not backends:
        return None, "no TensorRT is installed"
    from occpose_core.runtime.tensorrt_loading import cached_engine

    return cached_engine(path, backends)
