"""The table before training: parts and their parameters, and nothing that is 0."""

import pytest
from toy_models import make_vae

from lightning_modules.cli import main
from lightning_modules.training.model_table import ModelTable


def test_parts_without_parameters_and_columns_of_zeros_are_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = ModelTable()
    summary = table._summary(type("Trainer", (), {"strategy": None})(), make_vae())
    total = sum(weight.numel() for weight in make_vae().parameters())
    table.summarize(
        summary._get_summary_data(),
        summary.total_parameters,
        summary.trainable_parameters,
        summary.model_size,
        summary.total_training_modes,
        summary.total_flops,
    )
    text = capsys.readouterr().out
    assert "encoder" in text and "decoder" in text and "FLOPs" not in text and "Mode" not in text
    assert "StandardNormal" not in text and f"{total / 1000:.1f} K parameters" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_prints_it(toy_yaml, tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    main(
        [
            "fit",
            "--config",
            str(toy_yaml),
            "--trainer.max_epochs",
            "1",
            "--trainer.enable_progress_bar",
            "false",
        ]
    )
    assert "1 parameters (0.0 MB), of which 1 are trained" in capsys.readouterr().out
