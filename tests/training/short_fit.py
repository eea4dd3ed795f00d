"""The arguments of a training that is real but takes seconds."""

from __future__ import annotations

from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


def short_fit(config: str, data_file: Path, runs: Path, *more: str) -> list[str]:
    """`fit` of a YAML of training/configs, by its path without the ending, for two steps; `more` comes after."""
    return [
        "fit",
        f"--config={CONFIGS / config}.yaml",
        f"--runs={runs}",
        f"--data.files=['{data_file}']",
        "--data.batch_size=16",
        "--data.workers=0",
        "--data.validation_windows=16",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        "--trainer.num_sanity_val_steps=0",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        *more,
    ]
