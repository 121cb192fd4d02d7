"""Stopping a run from outside without losing anything."""

import os
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import STEP_OUTPUT

REQUEUE_SIGNAL = signal.SIGUSR1
"""The signal that `sbatch --signal=SIGUSR1@90` sends before the time is up."""


class Interruption(pl.Callback):
    """Lets SIGTERM, Ctrl-C and SLURM's warning stop training between two steps, on all devices at once.

    `RunCheckpoint` then writes `interrupted.ckpt`, from which the run goes on exactly. A second Ctrl-C stops
    at once and writes nothing: the middle of a step is no state to go on from. Under SLURM the warning also
    puts the job back into the queue; started with `--run_id $SLURM_JOB_ID --ckpt_path auto`, it goes on.

    Lightning alone saves at whatever point of a step a signal arrives, and its handler for SIGTERM talks to
    the other processes in the middle of their own exchange.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        """The signal that asked to stop."""
        self._former: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to signals in place of Lightning; that is possible in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        requeue = [REQUEUE_SIGNAL] if SLURMEnvironment.detect() else []
        for number in (signal.SIGTERM, signal.SIGINT, *requeue):
            self._former[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        received = signal.Signals(number)
        if received == self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = received
        again = "; again to stop at once" if received == signal.SIGINT else ""
        rank_zero_info(f"\n{received.name}: stopping after this step, to save{again}")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Stop after this step if any process was asked to."""
        self._agree(trainer)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Leave the validation if any process was asked to stop: it is repeated when the run goes on."""
        if self._former:
            self._agree(trainer)

    def _agree(self, trainer: pl.Trainer) -> None:
        asked = self.asked is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            trainer._signal_connector.received_sigterm = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop listening."""
        self._restore()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Stop listening."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}

    def exit_status(self, trainer: pl.Trainer) -> int:
        """The exit status that shells expect after a signal; requeues a SLURM job that asked for it.

        To be called when the checkpoint is written.
        """
        if self.asked == REQUEUE_SIGNAL and trainer.is_global_zero:
            requeue()
        return 128 + (self.asked or signal.SIGTERM)


def requeue() -> None:
    """Put this SLURM job back into the queue; a failure is said and changes nothing."""
    job = os.environ["SLURM_JOB_ID"]
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
        rank_zero_info(f"SLURM: job {job} is in the queue again")
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        rank_zero_info(f"SLURM: job {job} cannot be put back into the queue ({reason}); submit it again")
