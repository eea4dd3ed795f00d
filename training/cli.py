"""The training command: LightningCLI over the recipes, resuming where a run stopped."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from jsonargparse.typing import PositiveFloat
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from occpose_core.checkpoint import NORMALISATION
from occpose_core.errors import OccposeError
from training.budget import length
from training.checkpoints import AtomicCheckpointIO, check_checkpoint, lock
from training.recipes.recipe import Recipe

_DATA = "training.data.windows.MocapWindows"
_DDP = "ddp_find_unused_parameters_true"  # published networks have parameters that no loss reaches


class _Figures(Callback):
    """The last epoch's figures, kept in the checkpoint too: a run may be killed before its model is written."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.figures = {name: round(float(value), 5) for name, value in trainer.callback_metrics.items()}

    def state_dict(self) -> dict[str, Any]:
        return dict(self.figures)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.figures = dict(state_dict)


class TrainingCLI(LightningCLI):
    """Adds what every run has: a name, a length, a checkpoint each epoch, and resuming from the last one."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, required=True, help="name of the trained model")
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for checkpoints and logs")
        parser.add_argument("--fresh", type=bool, default=False, help="start anew although a checkpoint is there")
        parser.add_argument("--budget", type=PositiveFloat | None, help="poses to train on, instead of epochs")
        parser.add_argument(
            "--schedule_epochs",
            type=PositiveFloat,
            default=1.0,
            help="epochs of the learning rate schedule that one epoch counts for (--budget sets it)",
        )
        parser.set_defaults({"data": {"class_path": _DATA}})

    @property
    def options(self) -> Namespace:
        """What was given, to the subcommand if there is one."""
        return self.config[self.subcommand] if self.subcommand else self.config

    @property
    def folder(self) -> Path:
        """Where this run's files are."""
        return Path(self.options.runs) / str(self.options.name)

    def _window(self) -> tuple[int, float]:
        """Frames of a training window or sequence, and the rate that its model is bound to, 0 = any."""
        data = self.options.data.init_args
        if sequence := data.get("sequence"):
            return sequence.frames, 0.0
        window = data.get("window")
        return (window.frames, window.rate_hz) if window else (1, 0.0)

    def before_instantiate_classes(self) -> None:
        _join_processes(self.options.trainer)
        if self.options.get("budget"):
            self._spend_budget()

    def _spend_budget(self) -> None:
        """Turn the budget into epochs, which is what the saved configuration then has."""
        options = self.options
        data, trainer = options.data.init_args, options.trainer
        given = length(
            options.budget,
            data.batch_size,
            self._window()[0],
            trainer.max_epochs or 1,
            data.get("validation_windows", 0),
        )
        options.budget, options.schedule_epochs = None, given.schedule_epochs
        trainer.max_epochs, trainer.limit_train_batches = given.epochs, given.batches
        if "validation_windows" in data:
            data.validation_windows = given.validation_windows

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        from lightning.pytorch.loggers import TensorBoardLogger

        folder = self.folder
        self.figures = _Figures()
        last = ModelCheckpoint(
            dirpath=folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
        )
        return super().instantiate_trainer(
            **kwargs,
            default_root_dir=folder,
            logger=TensorBoardLogger(folder, name="", version=""),
            callbacks=[self.figures, last],
            plugins=[AtomicCheckpointIO()],
        )

    def before_fit(self) -> None:
        self.model.schedule_epochs = self.options.schedule_epochs
        if self.trainer.is_global_zero:
            self.locked = lock(self.folder)
        else:  # processes draw their own dropout and noise; weights are those of the first
            torch.manual_seed(torch.initial_seed() + self.trainer.global_rank)
        last = self.folder / "last.ckpt"
        if last.exists() and not self.options.fresh:
            check_checkpoint(last)
            if self.trainer.is_global_zero:
                print(f"resuming from {last}", file=sys.stderr)
            self.fit_kwargs = {"ckpt_path": str(last), "weights_only": True}

    def fit(self, model: LightningModule, **kwargs: Any) -> None:
        try:
            self.trainer.fit(model, **{**kwargs, **getattr(self, "fit_kwargs", {})})
        except SystemExit as error:  # how Lightning ends what Ctrl-C or SIGTERM stopped
            raise KeyboardInterrupt from error
        finally:
            if self.trainer.is_global_zero:
                self.locked.close()

    def after_fit(self) -> None:
        recipe = self.model
        assert isinstance(recipe, Recipe)
        frames, rate_hz = self._window()
        poses = self.trainer.global_step * int(self.options.data.init_args.batch_size) * frames
        training = {
            "recipe": type(recipe).__name__,
            "steps": self.trainer.global_step,
            "poses": poses,
            "seed": self.options.seed_everything,
            "figures": self.figures.figures,
        }
        path = self.folder / f"{self.options.name}.safetensors"
        if self.trainer.is_global_zero:
            normalisation = self.options.data.init_args.get("normalisation", NORMALISATION)
            recipe.save(path, self.options.name, training, rate_hz, normalisation)
            print(f"model written to {path}")
        self.trainer.strategy.barrier("model written")  # the next run of any process may need the file


def _join_processes(trainer: Namespace) -> None:
    """Train together with the processes that torchrun started; Lightning would have each CPU process train alone."""
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world > 1 and "LOCAL_WORLD_SIZE" in os.environ:
        trainer.devices, trainer.num_nodes = local, world // local
        trainer.strategy = "ddp" if trainer.strategy == "auto" else trainer.strategy
    if trainer.strategy == "ddp":
        trainer.strategy = _DDP


def _told(error: BaseException | None) -> BaseException | None:
    """The error that is meant for the user; jsonargparse wraps what a recipe says in errors of its own."""
    while error is not None and not isinstance(error, (OccposeError, FloatingPointError)):
        error = error.__cause__
    return error


def main(argv: list[str] | None = None, callbacks: Sequence[Callback] = ()) -> int:
    """Run the training command, with callbacks besides its own; 2 with one sentence on bad input, 130 interrupted."""
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")  # for it is how runs resume
    try:
        TrainingCLI(
            Recipe,
            LightningDataModule,
            args=argv,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"callbacks": list(callbacks)},
            seed_everything_default=0,
        )
    except (ValueError, FloatingPointError) as error:
        told = _told(error)
        if told is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last epoch", file=sys.stderr)
        return 130
    return 0
