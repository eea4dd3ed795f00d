"""Loading a model by name or file, with whatever can run it on this machine."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from occpose_core.catalogue import CATALOGUE
from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime.engine import Engine, Lifted, warm_up
from occpose_core.runtime.preparation import Preparation

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


# backend -> (the file it takes, how to load it); imported where it is used, for each is a large library
BACKENDS: dict[str, tuple[str, Callable[[Path], Engine]]] = {
    "onnxruntime": (".onnx", _onnxruntime),
    "torch": (".safetensors", _torch),
}


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
        raise ModelFileError(f"model {str(model)!r} is not shipped as {suffix}; choose another backend")
    return path


def load(model: str | Path = DEFAULT_MODEL, backend: str = "auto") -> Engine:
    """Load a shipped model by name, or a .onnx or .safetensors file.

    backend: "auto" (by the file; shipped models run on ONNX Runtime) or a key of BACKENDS. Raises ModelFileError with
    one sentence if the model or backend is unknown, does not fit or cannot answer, or its library is not installed.
    """
    if backend not in ("auto", *BACKENDS):
        raise ModelFileError(f"unknown backend {backend!r}; known: auto, {', '.join(BACKENDS)}")
    path = model_path(model, ".onnx" if backend == "auto" else BACKENDS[backend][0])
    by_suffix = {suffix: name for name, (suffix, _) in BACKENDS.items()}
    chosen = by_suffix[path.suffix] if backend == "auto" else backend
    suffix, loader = BACKENDS[chosen]
    if path.suffix != suffix:
        raise ModelFileError(f"backend {chosen} runs {suffix} files, got {path}")
    try:
        engine = loader(path)
    except ImportError as error:
        raise ModelFileError(f"backend {chosen} needs the package {error.name!r}: pip install {error.name}") from error
    asked = f"auto takes {chosen} for {suffix} files" if backend == "auto" else f"backend {chosen} was asked for"
    engine.reason = f"{asked}; {engine.reason}"
    warm_up(engine, path)
    return engine


def preparation(model: str | Path = DEFAULT_MODEL, backend: str = "auto") -> Preparation | None:
    """What can be made ready beside the engine that `load` gave for the same arguments; None if nothing better comes.

    Not started yet. The first build of a TensorRT plan takes seconds to minutes; ONNX Runtime serves meanwhile.
    """
    return None
