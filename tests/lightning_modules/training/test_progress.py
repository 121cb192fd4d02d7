"""Lines and bars."""

import io
import re
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console
from toy_fit import fit

from lightning_modules.training import progress
from lightning_modules.training.progress import LineProgress, Progress, TerminalProgress, progress_bar


def test_progress_bar_suits_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert isinstance(progress_bar(), TerminalProgress)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert isinstance(progress_bar(), LineProgress)


def test_lines_appear_every_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    best = ModelCheckpoint(tmp_path, monitor="val/log_mel_distance")
    fit(tmp_path, LineProgress(every_seconds=0.0), best, enable_progress_bar=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 8
    assert re.match(r"epoch 1/2  batch 1/8  [\d.]+/s  0:00:0\d left  train/loss 0\.", lines[0])
    assert re.match(r"epoch 2/2  batch 8/8  [\d.]+/s  0:00:00 left  ", lines[-1])
    assert "v_num" not in "".join(lines)
    assert "best" not in lines[3], "nothing was validated yet"
    values = dict(part.rsplit(" ", 1) for part in lines[4].split("  ")[4:])
    assert values["best"] == values["val/log_mel_distance"]
    fit(tmp_path, LineProgress(every_seconds=1e9), enable_progress_bar=True, enable_checkpointing=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 1


def test_terminal_redraws_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    redraws = []
    monkeypatch.setattr(progress.RichProgressBar, "refresh", lambda self, hard: redraws.append(hard))
    bar = TerminalProgress(redraw_seconds=1e9)
    bar.refresh()
    for _ in range(100):
        bar.refresh()
    assert len(redraws) <= 1
    bar.refresh(hard=True)
    assert redraws[-1] is True


def test_lines_of_a_training_of_so_many_steps(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Not `batch 58/47`, `Epoch 0/-2`: epochs are not limited, steps are."""
    fit(tmp_path, LineProgress(every_seconds=0.0), enable_progress_bar=True, max_steps=6, max_epochs=-1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert [line.split("  ")[:2] for line in lines] == [
        [f"epoch {1 + step // 4}", f"step {step + 1}/6"] for step in range(6)
    ]


def test_time_that_is_left() -> None:
    assert Progress(30, 100, "step").seconds_left(10, 40.0) == 140.0, "20 steps took 40 s, 70 are left"
    assert Progress(10, 100, "step").seconds_left(10, 40.0) is None
    assert Progress(30, None, "batch").seconds_left(0, 1.0) is None


@pytest.mark.parametrize(
    ("limits", "description", "total"),
    [({"max_steps": 6, "max_epochs": -1}, "Epoch 2", 6), ({"max_epochs": 2}, "Epoch 2/2", 8)],
)
def test_one_bar_for_the_whole_training(
    limits: dict[str, int], description: str, total: int, tmp_path: Path
) -> None:
    bar = TerminalProgress()
    seen = []

    class Look(pl.Callback):
        def on_train_batch_end(self, *_: object) -> None:
            assert bar.progress is not None and bar.train_progress_bar_id is not None
            task = bar.progress.tasks[bar.train_progress_bar_id]
            seen.append((task.description.rpartition("]")[2].strip(), task.completed, task.total))

    fit(tmp_path, bar, Look(), enable_progress_bar=True, **limits)
    assert [completed for _, completed, _ in seen] == list(range(1, total + 1))
    assert seen[-1] == (description, total, total)


def test_bar_and_figures_fit_80_columns(tmp_path: Path) -> None:
    bar = TerminalProgress()
    drawn: list[str] = []

    class Draw(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            assert bar.progress is not None
            console = Console(width=80, file=io.StringIO())
            with console.capture() as capture:
                console.print(bar.progress.get_renderable())
            drawn.append(capture.get())
            trainer.should_stop = len(drawn) == 5

    best = ModelCheckpoint(tmp_path, monitor="val/log_mel_distance")
    fit(tmp_path, bar, Draw(), best, enable_progress_bar=True, max_steps=100_000, max_epochs=-1)
    assert "…" not in drawn[-1], drawn[-1]
    text = "".join(drawn[-1].split())  # names and values may stand on two lines
    for figure in ("Epoch2", "5/100000", "train/loss:", "val/log_mel_distance:0.", "best:0."):
        assert figure in text, drawn[-1]
