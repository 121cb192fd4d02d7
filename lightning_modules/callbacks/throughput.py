"""How fast training goes."""

import time
from collections import deque
from contextlib import ExitStack
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch

from datamodules.batch import Batch
from lightning_modules.base import GenerativeModule, is_logging_step
from lightning_modules.errors import OptionError
from lightning_modules.numerics.flops import FlopCount, peak_flops


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

    `perf/tflop_per_second`, also in the progress bar, is what each device achieves in 10^12 floating-point
    operations, and `perf/share_of_peak` the share of what it could (`flops.peak_flops`), where that is known.
    The operations (`flops.FlopCount`) are counted once, in the run's first step: an adaptive schedule, whose
    steps differ, makes this an estimate. Compiled parts run uncompiled in that step.

    Args:
        window_steps: Length of the window.
        count_flops: Whether operations are counted.
    """

    def __init__(self, window_steps: int = 50, count_flops: bool = True) -> None:
        if window_steps < 1:
            raise OptionError(f"Throughput's window_steps is {window_steps}", "give at least 1")
        self.window_steps = window_steps
        self.count_flops = count_flops
        self._marks: deque[_Mark] = deque(maxlen=window_steps + 1)
        self._counting = ExitStack()
        self._count: FlopCount | None = None
        self._flops: dict[str, float] = {}
        self._peak: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """The operations of a step: a resumed run need not count again."""
        return {"flops": self._flops}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._flops = dict(state_dict["flops"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a window: a run that resumes inside an epoch has no start of an epoch."""
        if self.count_flops:
            self._peak = peak_flops(trainer.strategy.root_device, str(trainer.precision))
        self._restart()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Count the operations of a batch of a shape that was not met yet."""
        if self.count_flops and _shape(batch) not in self._flops:
            self._counting.enter_context(torch.compiler.set_stance("force_eager"))
            self._count = self._counting.enter_context(FlopCount())

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the step that was being counted."""
        self._counting.close()

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
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the batch; log if the step is one that is logged."""
        self._counting.close()
        if self._count is not None:
            self._flops[_shape(batch)] = float(self._count.total)
            self._count = None
        clips, _, samples = batch.waveform.shape
        last = self._marks[-1]
        audio_seconds = clips * samples / pl_module.sample_rate * trainer.world_size
        self._marks.append(_Mark(time.perf_counter(), last.steps + 1, last.audio_seconds + audio_seconds))
        if is_logging_step(trainer):
            first, newest = self._marks[0], self._marks[-1]
            elapsed = newest.seconds - first.seconds
            pl_module.log("perf/steps_per_second", (newest.steps - first.steps) / elapsed, batch_size=1)
            pl_module.log(
                "perf/audio_seconds_per_second",
                (newest.audio_seconds - first.audio_seconds) / elapsed,
                batch_size=1,
            )
            self._log_flops(pl_module, batch, (newest.steps - first.steps) / elapsed)

    def _log_flops(self, pl_module: pl.LightningModule, batch: Batch, steps_per_second: float) -> None:
        speed = self._flops.get(_shape(batch), 0.0) * steps_per_second
        if speed:
            pl_module.log("perf/tflop_per_second", speed / 1e12, prog_bar=True, batch_size=1)
            if self._peak is not None:
                pl_module.log("perf/share_of_peak", speed / self._peak, batch_size=1)

    def _restart(self) -> None:
        self._marks.clear()
        self._marks.append(_Mark(time.perf_counter(), 0, 0.0))


def _shape(batch: Batch) -> str:
    """E.g. `8x1x16384`."""
    return "x".join(str(size) for size in batch.waveform.shape)
