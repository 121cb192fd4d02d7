"""The lines at the end of a run."""

from pathlib import Path

import pytest
from toy_experiment import ToyModule
from toy_fit import fit

from lightning_modules.training.run_checkpoint import RunCheckpoint
from lightning_modules.training.summary import RunSummary


def test_summary_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "samples" / "step_000008").mkdir(parents=True)
    module = ToyModule(8000, 1600, val_log_mel=[2.0, 3.0])
    fit(tmp_path / "run", RunCheckpoint(), RunSummary(), module=module)
    text = capsys.readouterr().out
    assert "Run:       run  (2 epochs, 8 steps, 0 min" in text
    assert "Best:      val/log_mel_distance 2  (run/checkpoints/best.ckpt)" in text
    assert "Last:      val/log_mel_distance 3\n" in text
    assert "Listen:    run/samples/step_000008\n" in text
    assert "Test:      lightning test --ckpt_path run/checkpoints/best.ckpt\n" in text
    assert "Continue:  lightning fit --ckpt_path run/checkpoints/last.ckpt --trainer.max_epochs N" in text
