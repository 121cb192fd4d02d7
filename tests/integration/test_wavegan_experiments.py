"""The vocoder experiments as they are shipped: each parses, takes a step and gives audio."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from datamodules.batch import Batch
from lightning_modules.base import can_reconstruct
from lightning_modules.cli.trainer import TrainerCLI

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RIVALS = {"wavegan_conditional": [], "melgan": ["melgan"], "hifigan": ["hifigan"]}


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts the Trainer's command line up to, and without, its verb."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)
    return lambda *arguments: TrainerCLI.start([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "name",
    ["wavegan_conditional", *(pytest.param(name, marks=pytest.mark.slow) for name in ("melgan", "hifigan"))],
)
def test_a_step_of_each_vocoder(start, name):
    overlays = [
        part for stem in RIVALS[name] for part in ("--config", EXPERIMENTS / f"ablations/{stem}.yaml")
    ]
    cli = start(
        "fit", "--config", EXPERIMENTS / "wavegan_conditional.yaml", *overlays, "--trainer.accelerator", "cpu"
    )
    assert cli.run.experiment == name
    model = cli.model
    assert can_reconstruct(model)
    model.on_save_checkpoint({})  # every role describes itself
    zeros = torch.zeros(2, dtype=torch.long)
    batch = Batch(0.1 * torch.randn(2, 1, model.clip_samples), zeros, zeros)
    trainer = Trainer(max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(model, DataLoader([batch], batch_size=None))
    assert trainer.global_step == 1
    with torch.no_grad():
        assert model.reconstruct(batch.waveform[..., :5000]).shape == (2, 1, 5000)


@pytest.mark.parametrize(
    "overlay", sorted(EXPERIMENTS.glob("ablations/*gan.yaml")), ids=lambda path: path.stem
)
def test_overlays_say_what_they_are_for(overlay):
    purpose, command = overlay.read_text().splitlines()[:2]
    assert purpose.startswith("# ") and f"--config experiments/ablations/{overlay.name}" in command
