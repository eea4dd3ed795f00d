"""The networks of other engines in torch, as they are trained: what an exported model is compared with."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from occpose_core.runtime import Engine


def torch_missing() -> str:
    """Why torch cannot run anything here, "" if it can."""
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


def eager_engines(engines: Mapping[str, Engine]) -> Iterator[tuple[str, Engine]]:
    """(name, the same network in torch with one thread), one after the other. Its weights are random ones.

    Nothing is compiled. The time of a call does not depend on the weights.
    """
    import torch

    from occpose_core.checkpoint import save_checkpoint
    from occpose_core.models import build
    from occpose_core.runtime.torch_engine import TorchEngine

    torch.set_num_threads(1)  # as the other engines have
    with tempfile.TemporaryDirectory(prefix="occpose-eager-") as folder:
        for name, engine in engines.items():
            torch.manual_seed(0)
            path = Path(folder) / f"{engine.info.name}.safetensors"
            save_checkpoint(path, build(engine.info.family, engine.info.config), engine.info)
            yield name, TorchEngine(path)
            path.unlink()
