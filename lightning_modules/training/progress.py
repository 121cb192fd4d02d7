"""Progress: a live bar in a terminal, a plain line now and then where the output goes to a file."""

import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar


def progress_bar() -> pl.callbacks.ProgressBar:
    """The progress display that suits standard output."""
    return TerminalProgress() if sys.stdout.isatty() else LineProgress()


class TerminalProgress(RichProgressBar):
    """A live bar that redraws by the clock, so that fast steps do not wait for the terminal.

    Args:
        redraw_seconds: Time between redraws.
    """

    def __init__(self, redraw_seconds: float = 0.2) -> None:
        super().__init__(leave=False)
        self.redraw_seconds = redraw_seconds
        self._last_redraw = 0.0

    def refresh(self, hard: bool = False) -> None:
        """Redraw if `redraw_seconds` have passed, or if `hard`."""
        now = time.monotonic()
        if hard or now - self._last_redraw >= self.redraw_seconds:
            self._last_redraw = now
            super().refresh(hard)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Values that the module logged with `prog_bar=True`, without the logger's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in metrics.items() if name != "v_num"}


class LineProgress(pl.callbacks.ProgressBar):
    """One line of text every so often: for log files, notebooks run as jobs, and continuous integration.

    Args:
        every_seconds: Least time between two lines.
    """

    def __init__(self, every_seconds: float = 15.0) -> None:
        super().__init__()
        self.every_seconds = every_seconds
        self._enabled = True
        self._last_line = float("-inf")
        self._epoch_start = 0.0

    def disable(self) -> None:
        """Called in all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Undo `disable`."""
        self._enabled = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._epoch_start = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Print a line if it is time."""
        now = time.monotonic()
        if self._enabled and now - self._last_line >= self.every_seconds:
            self._last_line = now
            rate = (batch_idx + 1) / max(now - self._epoch_start, 1e-9)
            self._print_line(
                trainer, pl_module, f"batch {batch_idx + 1}/{self.total_train_batches}", f"{rate:.2f}/s"
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print a line with the new figures, if it is time."""
        now = time.monotonic()
        if self._enabled and not trainer.sanity_checking and now - self._last_line >= self.every_seconds:
            self._last_line = now
            self._print_line(trainer, pl_module, "validated", "")

    def _print_line(self, trainer: pl.Trainer, pl_module: pl.LightningModule, what: str, rate: str) -> None:
        metrics = self.get_metrics(trainer, pl_module)
        figures = [
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in metrics.items()
            if name != "v_num"
        ]
        epochs = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
        parts = [
            f"epoch {trainer.current_epoch + 1}{epochs}",
            what,
            f"step {trainer.global_step}",
            rate,
            *figures,
        ]
        print("  ".join(part for part in parts if part), flush=True)
