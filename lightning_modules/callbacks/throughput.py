"""How fast training goes."""

import time
from collections import deque
from typing import NamedTuple

import lightning.pytorch as pl

from lightning_modules.base import GenerativeModule, WaveformBatch
from lightning_modules.errors import OptionError


class _Mark(NamedTuple):
    """State of the counters after a batch."""

    seconds: float
    steps: int
    audio_seconds: float


class Throughput(pl.Callback):
    """Logs `perf/steps_per_second` and `perf/audio_seconds_per_second` of training, over a trailing window.

    A step is a training batch, whatever the number of optimisers; audio is counted over all devices. The
    clock is read on the host without waiting for the device: over a window the device's speed shows, since
    the host can only run a few steps ahead. Pauses for validation are left out.

    Args:
        window_steps: Length of the window.
    """

    def __init__(self, window_steps: int = 50) -> None:
        if window_steps < 1:
            raise OptionError(f"Throughput's window_steps is {window_steps}", "give at least 1")
        self.window_steps = window_steps
        self._marks: deque[_Mark] = deque(maxlen=window_steps + 1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a window: a run that resumes inside an epoch has no start of an epoch."""
        self._restart()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a new window: what lies before was not training."""
        self._restart()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a new window: what lies before was not training."""
        self._restart()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: GenerativeModule,  # type: ignore[override]
        outputs: object,
        batch: WaveformBatch,
        batch_idx: int,
    ) -> None:
        """Count the batch; log if the step is one that is logged."""
        clips, _, samples = batch.waveform.shape
        last = self._marks[-1]
        audio_seconds = clips * samples / pl_module.sample_rate * trainer.world_size
        self._marks.append(_Mark(time.perf_counter(), last.steps + 1, last.audio_seconds + audio_seconds))
        if trainer._logger_connector.should_update_logs:
            first, newest = self._marks[0], self._marks[-1]
            elapsed = newest.seconds - first.seconds
            pl_module.log("perf/steps_per_second", (newest.steps - first.steps) / elapsed, batch_size=1)
            pl_module.log(
                "perf/audio_seconds_per_second",
                (newest.audio_seconds - first.audio_seconds) / elapsed,
                batch_size=1,
            )

    def _restart(self) -> None:
        self._marks.clear()
        self._marks.append(_Mark(time.perf_counter(), 0, 0.0))
