"""The training command: LightningCLI over the recipes, resuming where a run stopped."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from occpose_core.checkpoint import save_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.models import describe
from training.data.windows import MocapWindows
from training.recipes.recipe import Recipe

# What torch raises for checkpoints that are cut off, of another format, or hold code.
_DAMAGE = (
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


class TrainingCLI(LightningCLI):
    """Adds what every run has: a name, a checkpoint each epoch, and resuming from the last one."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, required=True, help="name of the trained model")
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for checkpoints and logs")
        parser.add_argument("--fresh", type=bool, default=False, help="start anew although a checkpoint is there")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        from lightning.pytorch.loggers import TensorBoardLogger

        folder = self.folder
        return super().instantiate_trainer(
            **kwargs,
            default_root_dir=folder,
            logger=TensorBoardLogger(folder, name="", version=""),
            callbacks=[ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False)],
        )

    @property
    def folder(self) -> Path:
        """Where this run's files are."""
        options = self.config[self.subcommand] if self.subcommand else self.config
        return Path(options.runs) / str(options.name)

    def before_fit(self) -> None:
        last = self.folder / "last.ckpt"
        if last.exists() and not self.config.fit.fresh:
            _check_checkpoint(last)
            print(f"resuming from {last}", file=sys.stderr)
            self.fit_kwargs = {"ckpt_path": str(last), "weights_only": True}

    def fit(self, model: LightningModule, **kwargs: Any) -> None:
        self.trainer.fit(model, **{**kwargs, **getattr(self, "fit_kwargs", {})})

    def after_fit(self) -> None:
        recipe = self.model
        assert isinstance(recipe, Recipe)
        figures = {name: round(float(value), 5) for name, value in self.trainer.callback_metrics.items()}
        training = {"recipe": type(recipe).__name__, "steps": self.trainer.global_step, "figures": figures}
        path = self.folder / f"{self.config.fit.name}.safetensors"
        save_checkpoint(path, recipe.model, describe(self.config.fit.name, recipe.family, recipe.model, training))
        print(f"model written to {path}")


def _check_checkpoint(path: Path) -> None:
    """Raise OccposeError if a checkpoint is damaged, or holds more than numbers: reading it never runs code."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        reason = "it is damaged or foreign; start anew with --fresh true"
        raise OccposeError(f"cannot resume from {path}: {reason}") from error


def main(argv: list[str] | None = None) -> int:
    """Run the training command; 2 with one sentence on bad input."""
    try:
        TrainingCLI(
            Recipe,
            MocapWindows,
            args=argv,
            subclass_mode_model=True,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
        )
    except (OccposeError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
