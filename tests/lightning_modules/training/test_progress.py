"""Lines and bars."""

import sys
from pathlib import Path

import pytest
from toy_fit import fit

from lightning_modules.training import progress
from lightning_modules.training.progress import LineProgress, TerminalProgress, progress_bar


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
    assert lines[0].startswith("epoch 1/2  batch 1/4  step 1")
    assert "train/loss 0." in lines[0]
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
