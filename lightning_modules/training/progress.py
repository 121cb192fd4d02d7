"""Progress: a live bar in a terminal, a plain line now and then where the output goes to a file."""

import sys
import time
from datetime import timedelta
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from lightning.pytorch.utilities.types import STEP_OUTPUT
from rich.progress import BarColumn, ProgressColumn


def progress_bar() -> pl.callbacks.ProgressBar:
    """The progress display that suits standard output."""
    return TerminalProgress() if sys.stdout.isatty() else LineProgress()


class Progress(NamedTuple):
    """How far a training is.

    Attributes:
        done: Steps, or batches where the number of steps is not limited.
        total: How many there will be; None if training is not limited.
        unit: `step` or `batch`.
    """

    done: int
    total: int | None
    unit: str

    def seconds_left(self, first: int, seconds: float) -> float | None:
        """Time until the end, as this process came from `first` to here in `seconds`; None if unknown."""
        if self.total is None or self.done <= first:
            return None
        return max(self.total - self.done, 0) * seconds / (self.done - first)


def progress_of(trainer: pl.Trainer, batches_per_epoch: float) -> Progress:
    """How far `trainer` is, of `max_steps` if they are limited, else of its epochs' batches."""
    if trainer.max_steps > 0:
        return Progress(trainer.global_step, trainer.max_steps, "step")
    done = trainer.fit_loop.epoch_loop.batch_progress.total.ready
    epochs = trainer.max_epochs if trainer.max_epochs is not None else -1
    limited = epochs > 0 and batches_per_epoch != float("inf")
    return Progress(done, max(round(epochs * batches_per_epoch), done) if limited else None, "batch")


def epoch_text(trainer: pl.Trainer) -> str:
    """`epoch 2/10`, or `epoch 2` where their number is not limited."""
    limit = trainer.max_epochs if trainer.max_epochs is not None else -1
    return f"epoch {trainer.current_epoch + 1}" + (f"/{limit}" if limit > 0 else "")


def with_best(metrics: dict[str, Any], trainer: pl.Trainer) -> dict[str, Any]:
    """`metrics` without the logger's version number, and with the best of the figure that is watched."""
    shown = {name: value for name, value in metrics.items() if name != "v_num"}
    checkpoint = trainer.checkpoint_callback
    if isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_score is not None:
        shown["best"] = checkpoint.best_model_score.item()
    return shown


class TerminalProgress(RichProgressBar):
    """A live bar of the whole training, with the time that is left, and beside it the figures, one a line.

    It redraws by the clock, so that fast steps do not wait for the terminal, and fits 80 columns.

    Args:
        redraw_seconds: Time between redraws.
    """

    def __init__(self, redraw_seconds: float = 0.2) -> None:
        theme = RichProgressBarTheme(metrics_text_delimiter="\n", metrics_format=".4g")
        super().__init__(leave=False, theme=theme)
        self.redraw_seconds = redraw_seconds
        self._last_redraw = 0.0

    def refresh(self, hard: bool = False) -> None:
        """Redraw if `redraw_seconds` have passed, or if `hard`."""
        now = time.monotonic()
        if hard or now - self._last_redraw >= self.redraw_seconds:
            self._last_redraw = now
            super().refresh(hard)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Name the epoch; the bar goes on."""
        if self.is_enabled and self.progress is not None:
            if self.train_progress_bar_id is None:
                self._initialize_train_progress_bar_id()
            assert self.train_progress_bar_id is not None
            self.progress.update(
                self.train_progress_bar_id, description=self._get_train_description(trainer.current_epoch)
            )
        self.refresh()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Move on."""
        if self.is_enabled and self.train_progress_bar_id is None:
            self._initialize_train_progress_bar_id()
        self._update(self.train_progress_bar_id, progress_of(trainer, self.total_train_batches).done)
        self._update_metrics(trainer, pl_module)
        self.refresh()

    def _initialize_train_progress_bar_id(self) -> None:
        """One bar for the whole training; Lightning begins one with each epoch."""
        state = progress_of(self.trainer, self.total_train_batches)
        description = self._get_train_description(self.trainer.current_epoch)
        # rich takes None for a bar without an end, for which Lightning's hint has infinity
        self.train_progress_bar_id = self._add_task(state.total, description)  # type: ignore[arg-type]
        self._update(self.train_progress_bar_id, state.done)

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{epoch_text(self.trainer).capitalize():{len(self.validation_description)}}"

    def configure_columns(self, trainer: pl.Trainer) -> list[ProgressColumn]:
        """Lightning's columns, with a bar so short that figures have room beside it."""
        columns: list[ProgressColumn] = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = 8
        return columns

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """See `with_best`."""
        return with_best(super().get_metrics(trainer, pl_module), trainer)


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
        self._start = 0.0
        self._first = 0

    def disable(self) -> None:
        """Called in all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Undo `disable`."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()
        self._first = progress_of(trainer, self.total_train_batches).done

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Print a line if it is time."""
        now = time.monotonic()
        if not self._enabled or now - self._last_line < self.every_seconds:
            return
        self._last_line = now
        metrics = with_best(self.get_metrics(trainer, pl_module), trainer)
        figures = [
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in metrics.items()
        ]
        print("  ".join([epoch_text(trainer), *self._pace(trainer, now), *figures]), flush=True)

    def _pace(self, trainer: pl.Trainer, now: float) -> list[str]:
        """`step 120/1200`, steps per second, and the time that is left, as far as they are known."""
        state = progress_of(trainer, self.total_train_batches)
        seconds = max(now - self._start, 1e-9)
        texts = [f"{state.unit} {state.done}" + (f"/{state.total}" if state.total else "")]
        if state.done > self._first:
            texts.append(f"{(state.done - self._first) / seconds:.2f}/s")
        left = state.seconds_left(self._first, seconds)
        if left is not None:
            texts.append(f"{timedelta(seconds=round(left))} left")
        return texts
