"""A filling network before a lifter, as one model: missing joints are guessed in 2D, then all are lifted."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from occpose_core.errors import OccposeError
from occpose_core.models.elepose import ElePose, ElePoseConfig
from occpose_core.models.filling import Filling, FillingConfig
from occpose_core.models.lcn import LCN, LCNConfig
from occpose_core.models.pose_model import ModelConfig, PoseModel

# Lifters of one frame that can stand behind the filling network.
LIFTERS: dict[type[ModelConfig], type[PoseModel]] = {LCNConfig: LCN, ElePoseConfig: ElePose}


@dataclass(frozen=True, kw_only=True)
class FillThenLiftConfig(ModelConfig):
    """Both parts' sizes. A masked lifter still knows which joints are guesses."""

    filling: FillingConfig = field(default_factory=FillingConfig)
    lifter: ModelConfig = field(default_factory=LCNConfig)


@dataclass(frozen=True, kw_only=True)
class FillThenElePoseConfig(FillThenLiftConfig):
    """The label-free lifter behind the filling network."""

    lifter: ModelConfig = field(default_factory=ElePoseConfig)


class FillThenLift(PoseModel):
    """The lifter sees the guessed joints in place of the missing ones."""

    def __init__(self, config: FillThenLiftConfig) -> None:
        super().__init__()
        self.config: FillThenLiftConfig = config
        self.filling = Filling(config.filling)
        self.lifter = LIFTERS[type(config.lifter)](config.lifter)

    @staticmethod
    def of(filling: PoseModel, lifter: PoseModel) -> FillThenLift:
        """Join two trained networks; OccposeError if they are not a filling network and a lifter of one frame.

        They average over the mirrored person if the lifter does.
        """
        if not isinstance(filling, Filling) or type(lifter.config) not in LIFTERS:
            names = f"{type(filling).__name__} and {type(lifter).__name__}"
            raise OccposeError(f"a filling network and a lifter of one frame are needed, got {names}")
        joined = FillThenLift(
            FillThenLiftConfig(
                filling=filling.config,
                lifter=lifter.config,
                masked=lifter.config.masked,
                flip_average=lifter.config.flip_average,
            )
        )
        joined.filling, joined.lifter = filling, lifter
        joined.eval()
        return joined

    @property
    def outputs(self) -> tuple[str, ...]:
        return (*self.lifter.outputs, "filled")

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """As both parts': `joints_root_m` (B, J, 3), `sigma_m` (B, J), `filled` (B, J, 2) of the newest frame."""
        filled = self.filling.answer(kpts, visible)["filled"]
        seen = (visible[:, -1, :, None] > 0).to(kpts.dtype)
        lifted: dict[str, Tensor] = self.lifter.lift(filled, seen)  # type: ignore[operator]
        return {**lifted, "filled": filled}

    def fold(self) -> None:
        """See both parts'."""
        self.filling.fold()
        self.lifter.fold()
