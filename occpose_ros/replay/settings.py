"""Everything that decides what a replay finds out about a bag, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from occpose_core.errors import OccposeError
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import BACKENDS, DEFAULT_MODEL
from occpose_ros.replay.topics import SourceSettings
from occpose_ros.scoring.truth import TruthSettings

_MODEL_FILES = {suffix for suffix, _ in BACKENDS.values()}


class SettingsError(OccposeError):
    """Settings that contradict each other."""


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What is replayed with what: every model over the recording as it is, and under every pattern.

    models: shipped names or files. image_model: a file, "" = none. patterns: of occlusion, hidden on top, drawn with
    `seed`. ground_frame: of the bag's TF, "" = none. markers: whether the written bags have them. Raises SettingsError.
    """

    source: SourceSettings = field(default_factory=SourceSettings)
    truth: TruthSettings = field(default_factory=TruthSettings)
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    backend: str = "auto"
    image_model: str = ""
    patterns: tuple[str, ...] = ()
    seed: int = 0
    ground_frame: str = ""
    config: PipelineConfig = field(default_factory=PipelineConfig)
    markers: bool = True

    def __post_init__(self) -> None:
        twice = [model for model in dict.fromkeys(self.models) if self.models.count(model) > 1]
        if twice:
            raise SettingsError(f"--model {twice[0]} is given twice: leave one out")
        if len(set(self.labels)) < len(self.models):
            raise SettingsError(f"the models {', '.join(self.models)} differ in their suffix alone: rename one")
        if self.image_model and self.patterns:
            raise SettingsError(
                "--occlude hides keypoints, and an image model sees what it hides in the image: leave out --occlude or"
                " --image-model"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """Short names of the models, as they stand in reports."""
        return tuple(_labels(self.models))

    @cached_property
    def described(self) -> dict[str, Any]:
        """As JSON has them, with the digests of all files that they name."""
        said: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        digests = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in self._files() if path.is_file()}
        return {**said, "files": digests}

    def _files(self) -> Iterator[Path]:
        for name in (*self.models, self.image_model):
            yield from [Path(name)] if _is_file(name) else []
        for of in (self.source, self.truth):
            yield from _paths(of)


def _is_file(model: str) -> bool:
    return PurePath(model).suffix in _MODEL_FILES


def _labels(models: Sequence[str]) -> Iterator[str]:
    """Of each model the end of its path that no other has, without suffix."""
    parts = [PurePath(model).with_suffix("").parts if _is_file(model) else (model,) for model in models]
    for own in parts:
        length = 1
        while length < len(own) and sum(other[-length:] == own[-length:] for other in parts) > 1:
            length += 1
        yield "/".join(own[-length:])


def _paths(value: Any) -> Iterator[Path]:
    """All files that a dataclass names in its paths; of folders, what is in them."""
    if isinstance(value, Path):
        yield from sorted(value.rglob("*")) if value.is_dir() else [value]
    elif isinstance(value, tuple):
        for item in value:
            yield from _paths(item)
    elif dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            yield from _paths(getattr(value, item.name))
