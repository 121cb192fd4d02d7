"""Training for a given wall-clock time, which the comparisons of models share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

from lightning_modules.trainer_cli import TrainerCLI

CALIBRATION_STEPS = 8
VAE = Path(__file__).parents[2] / "experiments/vae.yaml"


class TimedRun(NamedTuple):
    """A model after its time."""

    model: LightningModule
    data: LightningDataModule
    steps: int


class Deadline(Callback):
    """Stops after so many seconds of training."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_start(self, trainer, pl_module):
        self.start = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = time.perf_counter() - self.start >= self.seconds


def fit(cli: TrainerCLI, callbacks: list[Callback], steps: int) -> None:
    """Train without anything that is not training."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        callbacks=callbacks,
        limit_val_batches=0,
        gradient_clip_val=cli.config.fit.trainer.gradient_clip_val,
        enable_model_summary=False,
        **quiet,
    ).fit(cli.model, datamodule=cli.datamodule)


@pytest.fixture
def start_vae(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., TrainerCLI]:
    """Builds the default VAE, changed by options and overlays, without training it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)

    def start(*arguments: object) -> TrainerCLI:
        options = ["fit", "--config", VAE, *arguments, "--trainer.accelerator", "cpu"]
        return TrainerCLI.start([str(option) for option in options])

    return start


@pytest.fixture
def train_for(start_vae: Callable[..., TrainerCLI]) -> Callable[..., TimedRun]:
    """Trains a VAE for so many seconds; the cosine of its learning rate ends when the time does."""

    def train(
        seconds: float,
        *arguments: object,
        callbacks: list[Callback] | None = None,
        deadline: bool = True,
    ) -> TimedRun:
        trial = start_vae(*arguments)
        fit(trial, [], 1)  # the first step pays for what is made once
        begin = time.perf_counter()
        fit(trial, [], CALIBRATION_STEPS)
        per_step = (time.perf_counter() - begin) / CALIBRATION_STEPS
        steps = max(2, round(seconds / per_step))
        cli = start_vae(*arguments, "--trainer.max_steps", steps)
        torch.manual_seed(0)
        limits = [Deadline(seconds)] if deadline else []
        fit(cli, [*limits, *(callbacks or [])], steps)
        return TimedRun(cli.model.eval(), cli.datamodule, steps)

    return train
