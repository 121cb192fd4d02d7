"""Short fits of the toy model, and the figures that they logged."""

import csv
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.loggers import CSVLogger
from toy_experiment import ToyDataModule, ToyModule


def fit(
    folder: Path, *callbacks: pl.Callback, module: ToyModule | None = None, **options: object
) -> pl.Trainer:
    defaults = {"max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu", "enable_model_summary": False}
    trainer = pl.Trainer(
        **{"enable_progress_bar": False, **defaults, **options},
        default_root_dir=folder,
        logger=CSVLogger(folder, name="metrics"),
        callbacks=list(callbacks),
    )
    trainer.fit(module or ToyModule(8000, 1600), datamodule=ToyDataModule())
    return trainer


def logged(folder: Path, name: str) -> list[float]:
    with (folder / "metrics" / "version_0" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]
