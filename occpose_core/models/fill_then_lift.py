"""A filling network before a lifter, as one model: missing joints are guessed in 2D, then all are lifted."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from occpose_core.errors import OccposeError
from occpose_core.models.filling import Filling, FillingConfig
from occpose_core.models.lcn import LCN, LCNConfig
from occpose_core.models.symmetric import Symmetric


@dataclass(frozen=True, kw_only=True)
class FillThenLiftConfig:
    """Both parts' sizes."""

    filling: FillingConfig = field(default_factory=FillingConfig)
    lifter: LCNConfig = field(default_factory=LCNConfig)


class FillThenLift(Symmetric):
    """The lifter sees the guessed joints in place of the missing ones, and still knows which are guesses."""

    window = 1

    def __init__(self, config: FillThenLiftConfig) -> None:
        super().__init__()
        self.config = config
        self.filling = Filling(config.filling)
        self.lifter = LCN(config.lifter)

    @staticmethod
    def of(filling: nn.Module, lifter: nn.Module) -> FillThenLift:
        """Join two trained networks; OccposeError if they are not a filling network and a lifter."""
        if not isinstance(filling, Filling) or not isinstance(lifter, LCN):
            names = f"{type(filling).__name__} and {type(lifter).__name__}"
            raise OccposeError(f"a filling network and an LCN lifter are needed, got {names}")
        joined = FillThenLift(FillThenLiftConfig(filling=filling.config, lifter=lifter.config))
        joined.filling, joined.lifter = filling, lifter
        return joined.eval()

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """As both parts': `joints_root_m` (B, J, 3), `sigma_m` (B, J), `filled` (B, J, 2) of the newest frame."""
        filled = self.filling.answer(kpts, visible)["filled"]
        seen = (visible[:, -1, :, None] > 0).to(kpts.dtype)
        return {**self.lifter.lift(filled, seen), "filled": filled}

    def fold(self) -> None:
        """See LCN.fold."""
        self.lifter.fold()
