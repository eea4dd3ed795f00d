"""Recipe `distillation`: a student that sees cheap edges learns the features of a teacher that sees the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occpose_core.checkpoint import NORMALISATION, load_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.models.sefd import Sefd
from training.body_losses import UNCERTAIN
from training.data.batch import Batch
from training.distillation import DISTILLATION, FEWEST_STAGES
from training.recipes.sefd import SefdRecipe

_STAGES = 4


class DistillationRecipe(SefdRecipe):
    """As `sefd`, and the distance of the student's features to the teacher's, which gets the same picture and joints.

    teacher: of recipe sefd with edge "given" (frozen, in evaluation mode); the student starts from its weights, unless
    from_scratch or init is given. distance: key of DISTILLATION. stages: weight of each of the four stages' features
    that are compared; distance_weight: of all. Raises OccposeError.
    """

    def __init__(
        self,
        teacher: Path,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        distance: str = "log_softmax_l1",
        stages: dict[int, float] = {3: 1.0, 4: 2.0},  # noqa: B006  never changed
        distance_weight: float = 1.0,
        from_scratch: bool = False,
        learning_rate: float = 1e-4,
        backbone_rate: float | None = None,
        milestones: list[int] = [10],  # noqa: B006  never changed
        cosine: bool = False,
        weights: dict[str, float] = {},  # noqa: B006  never changed
        rotations: str = "axis_angle",
        left_out: list[str] = UNCERTAIN,
        prior: Path | None = None,
        edge_network: Path | None = None,
        init: Path | None = None,
    ) -> None:
        _check_distance(distance, stages)
        super().__init__(
            config,
            learning_rate,
            backbone_rate,
            milestones,
            cosine,
            weights,
            rotations,
            left_out,
            prior,
            edge_network=edge_network,
            init=init or (None if from_scratch else teacher),
        )
        self.teacher = _frozen_teacher(teacher)
        self.distance, self.stages, self.distance_weight = distance, dict(sorted(stages.items())), distance_weight

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        answer = self.answer(batch)
        self.teacher.eval()
        with torch.no_grad():
            taught = self.teacher(*self.seen(batch))["features"]
        losses = self.losses(answer, batch)
        return self.summed({**losses, "distilled": self._distance(answer["features"], taught)}, batch_idx)

    def _distance(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        mine, taught = ([features[stage - 1].float() for stage in self.stages] for features in (student, teacher))
        return self.distance_weight * DISTILLATION[self.distance](mine, taught, list(self.stages.values()))


def _check_distance(distance: str, stages: dict[int, float]) -> None:
    if distance not in DISTILLATION:
        raise OccposeError(f"model.distance {distance!r} is none; known: {', '.join(DISTILLATION)}")
    fewest = FEWEST_STAGES.get(distance, 1)
    if len(stages) < fewest or not all(1 <= stage <= _STAGES for stage in stages):
        raise OccposeError(
            f"model.stages of {distance} must be {fewest} or more of 1 to {_STAGES}, got {sorted(stages)}"
        )


def _frozen_teacher(path: Path) -> Any:
    model = load_checkpoint(path, (NORMALISATION,))[0]
    if not isinstance(model, Sefd) or model.config.edge != "given":
        raise OccposeError(f"model.teacher: {path} holds no network that is given edges; train one with edge 'given'")
    frozen: Any = model.requires_grad_(False)
    return frozen.to(memory_format=torch.channels_last)
