"""The lines at the end of a run."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_experiment import ToyModule
from toy_fit import fit

from lightning_modules.cli import main
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


def test_a_run_of_one_batch_ends_in_words_too(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", str(toy_yaml), "--trainer.fast_dev_run", "true"])
    _, run, *rest = capsys.readouterr().out.partition("Run:")
    assert run and "1 epoch, 1 steps" in rest[0] and "Curves" not in rest[0]


def test_samples_without_notes_are_called_noise(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run" / "samples" / "step_000008"
    folder.mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).normal(size=8000)
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    soundfile.write(folder / "clip_0_original.wav", tone, 8000)
    soundfile.write(folder / "sample_0.wav", tone, 8000)
    fit(tmp_path / "run", RunCheckpoint(), RunSummary())
    assert "nearer to noise" not in capsys.readouterr().out
    soundfile.write(folder / "sample_0.wav", noise, 8000)
    fit(tmp_path / "run", RunCheckpoint(), RunSummary())
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines() if "lightning " not in line)
    assert "nearer to noise than to notes: tonality 0.5 nats, of noise 0.5, of recordings " in " ".join(
        text.split()
    )
    assert "Music:     lightning fit --config note_prior, then" in text
