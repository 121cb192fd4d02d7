"""Lines and bars."""

import re
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
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
    fit(tmp_path, LineProgress(every_seconds=0.0), enable_progress_bar=True, enable_checkpointing=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 8 + 2
    assert re.match(r"epoch 1/2  batch 1/8  [\d.]+/s  0:00:0\d left  train/loss 0\.", lines[0])
    assert re.match(r"epoch 2/2  batch 8/8  [\d.]+/s  0:00:00 left  ", lines[-2])
    assert "v_num" not in "".join(lines)
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
    assert [line.split("  ")[:2] for line in lines if "validated" not in line] == [
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
