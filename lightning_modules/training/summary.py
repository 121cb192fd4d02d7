"""The lines printed when training has ended: results, files and the next commands."""

import math
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from lightning_modules.metrics.functional import NOISE_TONALITY, tonality
from lightning_modules.runs.folder import CHECKPOINT_FOLDER, LAST_NAME
from lightning_modules.training.run_checkpoint import RunCheckpoint

WIDTH = 80
"""Columns of the closing lines."""
WRAPPED = ("Run", "Best", "Last", "Samples")
"""Those that are no commands."""

PIANO_TONALITY = 2.5
"""Of recordings of pianos in nats, where none lie beside the samples: 1.7 to 4 were measured."""


class RunSummary(pl.Callback):
    """Prints the best figures, where the run is, and the commands that come next.

    Args:
        max_figures: Most validation figures to list.
    """

    def __init__(self, max_figures: int = 8) -> None:
        self.max_figures = max_figures
        self._start = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Print, in the first process only, and after the live progress bar has left the terminal."""
        if stage == "fit" and trainer.is_global_zero:
            minutes, seconds = divmod(round(time.monotonic() - self._start), 60)
            epochs = f"{trainer.current_epoch} epoch" + "s" * (trainer.current_epoch != 1)
            took = f"{epochs}, {trainer.global_step} steps, {minutes} min {seconds} s"
            lines = summary_lines(trainer, took, self.max_figures)
            print("\n" + "\n".join(map(_wrapped, *zip(*lines, strict=True))), flush=True)


def summary_lines(trainer: pl.Trainer, took: str, max_figures: int) -> list[tuple[str, str]]:
    """Pairs of a heading and its text, for a Trainer that has just finished `fit`."""
    root = _short(Path(trainer.default_root_dir))
    lines = [("Run", f"{root}  ({took})"), *_figures(trainer, max_figures)]
    samples = sorted((root / "samples").glob("step_*"))
    if samples:
        lines += [("Listen", f"{samples[-1]}"), *_remark_on_samples(samples[-1])]
    last = root / CHECKPOINT_FOLDER / LAST_NAME
    checkpoint = _best_checkpoint(trainer) or (last if last.is_file() else None)
    if checkpoint:
        lines.append(("Test", f"lightning test --ckpt_path {shlex.quote(str(checkpoint))}"))
    if last.is_file() and not getattr(_checkpoint_of(trainer), "save_weights_only", False):
        limit = "max_steps" if trainer.max_steps > 0 else "max_epochs"
        lines.append(("Continue", f"lightning fit --ckpt_path {shlex.quote(str(last))} --trainer.{limit} N"))
    for logger in trainer.loggers:
        where = getattr(logger, "where", None)  # of RunWandbLogger
        if not isinstance(where, str):  # the stand-in of `fast_dev_run` has a function under every name
            continue
        if getattr(logger, "is_offline", False):
            quoted = shlex.quote(where)
            lines += [("Curves", f"wandb leet {quoted}"), ("Upload", f"wandb sync {quoted}")]
        else:
            lines.append(("Curves", where))
    return lines


def _wrapped(name: str, text: str) -> str:
    """A heading and its text in lines of `WIDTH`; commands, and figures with their names, stay whole."""
    begin = f"{name + ':':<10} "
    gap = "  " if "  " in text else " "
    lines, line = [], begin
    for word in text.split(gap) if name in WRAPPED else [text]:
        if line.strip() and len(line) + len(word) > WIDTH and line != begin:
            lines.append(line.rstrip())
            line = " " * len(begin)
        line += f"{word}{gap}"
    return "\n".join([*lines, line.rstrip()])


def _remark_on_samples(folder: Path) -> list[tuple[str, str]]:
    """Says of samples if they are nearer to noise than to notes, and where music is to be had."""
    made, real = (_tonality(folder.glob(names)) for names in ("sample_*.wav", "clip_*_original.wav"))
    notes = PIANO_TONALITY if real is None else real
    if made is None or made > (NOISE_TONALITY + notes) / 2.0:
        return []
    return [
        (
            "Samples",
            "sample_*.wav are nearer to noise than to notes: "
            f"tonality {made:.1f} nats, of noise {NOISE_TONALITY:.1f}, of recordings {notes:.1f}",
        ),
        ("Music", "lightning fit --config note_prior, then lightning compose"),
    ]


def _tonality(paths: Iterable[Path]) -> float | None:
    """Mean tonality of sound files in nats; None without any that can be read."""
    import soundfile  # which takes long, and is needed here only

    found = []
    for path in paths:
        try:
            waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError):
            continue
        found.append(tonality(torch.from_numpy(waveform.T)[None], rate).item())
    return sum(found) / len(found) if found else None


def _figures(trainer: pl.Trainer, max_figures: int) -> list[tuple[str, str]]:
    lines = []
    checkpoint = _checkpoint_of(trainer)
    if isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_score is not None:
        name = checkpoint.monitor or "score"
        best = f"{name} {_number(checkpoint.best_model_score.item())}"
        lines.append(("Best", f"{best}  ({_short(Path(checkpoint.best_model_path))})"))
    elif isinstance(checkpoint, ModelCheckpoint) and checkpoint.monitor and not checkpoint.best_model_path:
        lines.append(("Best", f"none yet: no validation gave {checkpoint.monitor} (see val_check_interval)"))
    last = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    if last:
        shown = list(last.items())[:max_figures]
        lines.append(("Last", "  ".join(f"{name} {_number(value)}" for name, value in shown)))
    return lines


def _checkpoint_of(trainer: pl.Trainer) -> Checkpoint | None:
    """The run's own callback for checkpoints, among those that a person added."""
    own = [each for each in trainer.checkpoint_callbacks if isinstance(each, RunCheckpoint)]
    return own[0] if own else trainer.checkpoint_callback


def _best_checkpoint(trainer: pl.Trainer) -> Path | None:
    path = getattr(_checkpoint_of(trainer), "best_model_path", "")
    return _short(Path(path)) if path else None


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _short(path: Path) -> Path:
    """Relative to the working folder, if below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
