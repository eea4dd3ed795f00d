"""The model families. Importing this package needs torch; running an exported model does not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from occpose_core.catalogue import SOURCES
from occpose_core.checkpoint import BODY_OUTPUTS, NORMALISATION, RAYS, ModelInfo
from occpose_core.errors import OccposeError
from occpose_core.models.elepose import ElePose, ElePoseConfig
from occpose_core.models.fill_then_lift import FillThenElePoseConfig, FillThenLift, FillThenLiftConfig
from occpose_core.models.filling import Filling, FillingConfig
from occpose_core.models.htnet import HTNet, HTNetConfig
from occpose_core.models.lcn import LCN, LCNConfig
from occpose_core.models.pose_model import PoseModel
from occpose_core.models.posegraphnet import PoseGraphNet, PoseGraphNetConfig
from occpose_core.models.sefd import Sefd, SefdConfig
from occpose_core.models.stream import Stream, StreamConfig
from occpose_core.models.strided_posegraph import StridedPoseGraphConfig, StridedPoseGraphFormer


@dataclass(frozen=True, kw_only=True)
class Family:
    """A pose model's class and its config dataclass. form: where it is neither "paper" nor "masked"."""

    model: type[PoseModel]
    config: type[Any]
    form: str = ""


MODELS: dict[str, Family] = {
    "filling": Family(model=Filling, config=FillingConfig),
    "elepose": Family(model=ElePose, config=ElePoseConfig),
    "htnet": Family(model=HTNet, config=HTNetConfig),
    "posegraphnet": Family(model=PoseGraphNet, config=PoseGraphNetConfig),
    "strided-posegraph": Family(model=StridedPoseGraphFormer, config=StridedPoseGraphConfig),
    "lcn": Family(model=LCN, config=LCNConfig),
    "filling-lcn": Family(model=FillThenLift, config=FillThenLiftConfig, form="own"),
    "filling-elepose": Family(model=FillThenLift, config=FillThenElePoseConfig),
    "stream": Family(model=Stream, config=StreamConfig, form="own"),
}

# Families that take an image beside the keypoints, and give a body.
IMAGE_MODELS: dict[str, tuple[type[Sefd], type[SefdConfig]]] = {"sefd": (Sefd, SefdConfig)}


def _config_from(config_type: type[Any], values: dict[str, Any]) -> Any:
    """A config dataclass from its dict, nested ones included; OccposeError on an unknown key."""
    fields = {field.name: field for field in dataclasses.fields(config_type)}
    unknown = set(values) - set(fields)
    if unknown:
        raise OccposeError(f"{config_type.__name__} has no {sorted(unknown)}; known: {sorted(fields)}")
    default = config_type()
    nested = {name: getattr(default, name) for name in values if dataclasses.is_dataclass(getattr(default, name))}
    return config_type(
        **{name: _config_from(type(nested[name]), value) if name in nested else value for name, value in values.items()}
    )


def build(family: str, config: dict[str, Any]) -> Any:
    """A freshly initialised model of a family with the given config values: a PoseModel, or a Sefd of IMAGE_MODELS.

    Raises OccposeError, BodyFileError if the files of an image model's body are not there.
    """
    if family in IMAGE_MODELS:
        image_model, image_config = IMAGE_MODELS[family]
        return image_model(_config_from(image_config, config))
    if family not in MODELS:
        raise OccposeError(f"unknown model family {family!r}; known: {', '.join([*MODELS, *IMAGE_MODELS])}")
    entry = MODELS[family]
    return entry.model(_config_from(entry.config, config))


def describe(
    name: str,
    family: str,
    model: PoseModel | Sefd,
    training: dict[str, Any],
    rate_hz: float = 0.0,
    normalisation: str = NORMALISATION,
) -> ModelInfo:
    """The ModelInfo of a model of that family.

    rate_hz: of the windows that it was trained on, 0 for single frames. normalisation: of their 2D. Streaming networks
    and those that take images need neither.
    """
    if isinstance(model, Sefd):
        return _describe_image_model(name, family, model, training)
    entry = MODELS[family]
    own_view = isinstance(model, Stream)  # finds the person's view itself, and always goes frame by frame
    return ModelInfo(
        name=name,
        family=family,
        form=entry.form or ("masked" if model.config.masked else "paper"),
        config=dataclasses.asdict(model.config),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        outputs=model.outputs,
        window=model.window,
        rate_hz=rate_hz if model.window > 1 else 0.0,
        look_ahead_s=model.look_ahead / rate_hz if model.look_ahead else 0.0,
        streaming=own_view,
        timed=own_view,
        state_size=model.state_size if isinstance(model, Stream) else 0,
        normalisation=RAYS if own_view else normalisation,
        source=SOURCES[family],
        training=training,
    )


def _describe_image_model(name: str, family: str, model: Sefd, training: dict[str, Any]) -> ModelInfo:
    return ModelInfo(
        name=name,
        family=family,
        form="paper",
        config=dataclasses.asdict(model.config),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        outputs=BODY_OUTPUTS,
        image_size=model.config.image_size,
        source=SOURCES[family],
        training=training,
    )


def with_filling(filling: PoseModel, lifter: PoseModel, info: ModelInfo) -> tuple[FillThenLift, ModelInfo]:
    """A trained filling network and the lifter that info describes as one model; OccposeError if they do not fit."""
    model = FillThenLift.of(filling, lifter)
    name, family = f"filling-{info.name}", f"filling-{info.family}"
    return model, describe(name, family, model, info.training, normalisation=info.normalisation)
