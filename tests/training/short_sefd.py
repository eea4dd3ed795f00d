"""Trainings of configs/sefd that are real but take seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.training.short_fit import CONFIGS
from training.cli import main

SIZE = 32
NETWORK = {"backbone": "resnet10", "widths": [8, 8, 8, 8], "image_size": SIZE, "last_stride": 1, "graph": 8}


def fit(config: str, folder: Path, runs: Path, *more: str, **network: Any) -> int:
    """Two steps of a YAML of configs/sefd with a tiny network; its exit code."""
    sizes = [f"--model.init_args.config={json.dumps({**NETWORK, **network})}", f"--data.image.size={SIZE}"]
    return main(
        [
            "fit",
            f"--config={CONFIGS / 'sefd' / config}.yaml",
            f"--runs={runs}",
            f"--data.folder={folder}",
            "--data.batch_size=4",
            "--data.workers=0",
            "--data.validation_people=24",
            "--trainer.max_epochs=1",
            "--trainer.limit_train_batches=2",
            "--trainer.num_sanity_val_steps=0",
            "--trainer.accelerator=cpu",
            "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false",
            *(sizes if config != "pose_prior" else []),
            *more,
        ]
    )
