"""What a model file says of its model: what is read back, what old files mean, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from occpose_core.checkpoint import LIVE, METADATA_KEY, RAYS, SCREEN, ModelFileError, ModelInfo
from occpose_core.metrics import CHI3_RADII

PATH = Path("model.onnx")


def info_of(**changes: object) -> ModelInfo:
    facts = {"name": "m", "family": "f", "form": "own", "config": {"a": 1}, "parameters": 2, "outputs": ("filled",)}
    return ModelInfo(**{**facts, **changes})


def read(text: str, *normalisations: str) -> ModelInfo:
    return ModelInfo.from_metadata({METADATA_KEY: text}, PATH, normalisations or LIVE)


def test_what_is_written_is_read_back() -> None:
    info = info_of(
        streaming=True, timed=True, window=0, state_size=5, normalisation=RAYS, interval_radii=(1.2, 3.0), training={}
    )
    assert read(info.to_json()) == info
    assert isinstance(info.interval_radii, tuple) and isinstance(info.outputs, tuple)


def test_files_of_before_say_nothing_of_time_and_intervals() -> None:
    old = json.loads(info_of().to_json())
    for key in ("timed", "interval_radii"):
        del old[key]
    info = read(json.dumps(old))
    assert (info.timed, info.interval_radii) == (False, CHI3_RADII)


@pytest.mark.parametrize(
    ("streaming", "window", "remembers"), [(True, 0, True), (True, 27, False), (False, 27, False), (False, 1, False)]
)
def test_a_streaming_model_without_a_window_remembers(streaming: bool, window: int, remembers: bool) -> None:
    info = info_of(streaming=streaming, window=window)
    assert info.remembers == remembers
    assert info.frames == (1 if streaming else window)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "written by another version of occpose", id="no JSON"),
        pytest.param("[1]", "written by another version of occpose", id="no object"),
        pytest.param("{}", "written by another version of occpose", id="nothing"),
        pytest.param(info_of().to_json().replace('"timed"', '"timid"'), "'timid'.*export it again", id="unknown key"),
    ],
)
def test_metadata_of_other_versions_is_refused(text: str, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        read(text)


def test_only_what_the_caller_can_give_is_accepted() -> None:
    with pytest.raises(ModelFileError, match="normalisation 'screen', but 'person-view' or 'rays' is needed"):
        read(info_of(normalisation=SCREEN).to_json())
    assert read(info_of(normalisation=SCREEN).to_json(), SCREEN).normalisation == SCREEN


@pytest.mark.parametrize(
    "radii", [(1.0,), (1.0, 2.0, 3.0), (2.0, 1.0), (1.0, 1.0), (0.0, 1.0), (1.0, math.inf), (math.nan, 1.0)], ids=str
)
def test_interval_radii_that_make_no_sense_are_refused(radii: tuple[float, ...]) -> None:
    with pytest.raises(ModelFileError, match="two growing positive numbers"):
        info_of(interval_radii=radii)
