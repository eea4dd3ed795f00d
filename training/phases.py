"""The published systems as tables of training phases, in their order.

A phase's values are in training/configs/<system>/<phase>.yaml. Here is which files of earlier phases it takes, and what
the system's options mean for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from occpose_core.errors import OccposeError

CONFIGS = Path(__file__).parent / "configs"
WINDOWS = (27, 81, 243, 351)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Which of a system's models is trained. window: frames, 0 for single-frame systems."""

    masked: bool = False
    window: int = 0
    causal: bool = False

    @property
    def look_ahead(self) -> int:
        """Frames of the window behind the answered one."""
        return 0 if self.causal else self.window // 2


Options = Mapping[str, object]  # name of an option of `fit` -> its value


def _form(variant: Variant) -> Options:
    masked: Options = {"model.init_args.config.masked": variant.masked}
    return {**masked, **_all_occlusions()} if variant.masked else masked


def _all_occlusions() -> Options:
    """What is told of missing joints learns from all kinds; the papers' own ways stand in their YAML."""
    from training.data.windows import WindowConfig  # here, for it takes seconds

    window = WindowConfig()
    return {
        "data.init_args.window.detectors": json.dumps(dict(window.detectors)),
        "data.init_args.window.patterns": json.dumps(dict(window.patterns)),
    }


def _no_form(variant: Variant) -> Options:
    return {}


def _windowed(variant: Variant) -> Options:
    return {
        **_form(variant),
        "model.init_args.config.window": variant.window,
        "model.init_args.config.causal": variant.causal,
        "data.init_args.window.frames": variant.window,
        "data.init_args.window.look_ahead": variant.look_ahead,
    }


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One run of `fit`.

    share: of the system's budget of poses, relative to the other phases'. files: option of the recipe -> the phase
    whose result it takes. options: what else `fit` is given for a variant. masked_config: the YAML of the masked form,
    where that is another one.
    """

    name: str
    share: float
    files: Mapping[str, str] = field(default_factory=dict)
    options: Callable[[Variant], Options] = _form
    masked_config: str = ""

    def config(self, variant: Variant) -> str:
        """File name of the YAML."""
        return f"{variant.masked and self.masked_config or self.name}.yaml"


@dataclass(frozen=True, kw_only=True)
class System:
    """phases: the last one's result is the system's model. filling: the phase whose network fills in before it.

    forms: that its model has.
    """

    summary: str
    phases: tuple[Phase, ...]
    filling: str = ""
    windows: tuple[int, ...] = ()
    forms: tuple[str, ...] = ("paper", "masked")
    refine: Phase | None = None

    def with_refine(self) -> System:
        """The system with its optional last phase; OccposeError if it has none."""
        if not self.refine:
            raise OccposeError("this system has no refine phase; leave out --refine")
        return replace(self, phases=(*self.phases, self.refine))


def _single(summary: str, masked_config: str = "") -> System:
    return System(summary=summary, phases=(Phase(name="train", share=1, masked_config=masked_config),))


# Shares follow the published epochs where the phases see poses alike; temporal phases get most, for a window of 81
# frames counts as 81 poses.
SYSTEMS: dict[str, System] = {
    "occluded-hpe": System(
        summary="attention filling, then a lifter learned without 3D labels (flow, teacher, filling, student)",
        phases=(
            Phase(name="flow", share=1, options=_no_form),
            Phase(name="teacher", share=4, files={"flow": "flow"}),
            Phase(name="filling", share=4, masked_config="filling-masked"),
            Phase(
                name="student",
                share=6,
                files={"flow": "flow", "teacher": "teacher", "filling": "filling"},
                masked_config="student-masked",
            ),
        ),
        filling="filling",
    ),
    "posegraphnet": _single("single-frame lifter with learned graph edges"),
    "strided-posegraph": System(
        summary="windowed lifter: spatial pre-training, transfer with the spatial part frozen, fine-tuning",
        phases=(
            Phase(name="pretrain", share=2),
            Phase(name="transfer", share=3, files={"init": "pretrain"}, options=_windowed),
            Phase(name="finetune", share=5, files={"init": "transfer"}, options=_windowed),
        ),
        windows=WINDOWS,
        refine=Phase(name="refine", share=2, files={"init": "finetune"}, options=_windowed),
    ),
    "htnet": _single("single-frame lifter that mixes joints, limbs and body"),
    "lcn": _single("single-frame lifter with weights of its own for every pair of near joints", "masked"),
    "sefd": System(
        summary="image and 2D joints to a body mesh, on --data.folder (pose prior, teacher with true edges, student)",
        phases=(
            Phase(name="pose_prior", share=1, options=_no_form),
            Phase(name="teacher", share=10, files={"prior": "pose_prior"}, options=_no_form),
            Phase(name="student", share=10, files={"teacher": "teacher"}, options=_no_form),
        ),
        forms=("paper",),
    ),
}
