"""Training for a given wall-clock time, which comparisons of models share."""

import time
from typing import NamedTuple

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

from lightning_modules.cli.trainer import TrainerCLI

SCHEDULE_STEPS = 10_000
"""In which the schedule of the learning rate divides the time."""


class TimedRun(NamedTuple):
    """A model after its time."""

    model: LightningModule
    data: LightningDataModule
    steps: int


class WallClock(Callback):
    """Training by time: the learning rate follows the seconds spent in training, which stops with them.

    A schedule of steps would need to know how many there will be, which a busy machine does not tell.
    """

    def __init__(self, seconds: float) -> None:
        self.limit, self.seconds = seconds, 0.0

    def on_train_start(self, trainer, pl_module):
        self._start = time.perf_counter()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        (config,) = trainer.lr_scheduler_configs
        factor = config.scheduler.factor(round(self.seconds / self.limit * SCHEDULE_STEPS))
        for group in config.scheduler.optimizer.param_groups:
            group["lr"] = factor * group["initial_lr"]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seconds += time.perf_counter() - self._start
        trainer.should_stop = self.seconds >= self.limit
        self.pause(trainer, pl_module)
        self._start = time.perf_counter()

    def pause(self, trainer, pl_module):
        """After each step, not counted as training."""


class StepClock(WallClock):
    """Training by a number of steps, which a busy machine does not change; `seconds` counts them."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seconds += 1
        trainer.should_stop = self.seconds >= self.limit


def fit(cli: TrainerCLI, clock: WallClock) -> int:
    """Train without anything that is not training; returns the number of steps."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    trainer = Trainer(
        max_steps=-1,
        max_epochs=-1,
        accelerator="cpu",
        callbacks=[clock],
        limit_val_batches=0,
        gradient_clip_val=cli.config.fit.trainer.gradient_clip_val,
        enable_model_summary=False,
        **quiet,
    )
    trainer.fit(cli.model, datamodule=cli.datamodule)
    return trainer.global_step
