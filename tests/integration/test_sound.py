"""What the default experiment sounds like, judged on the test split of the embedded release.

Trains `experiments/vae.yaml` as a user would, or takes the checkpoint that MAESTRO_CHECKPOINT names;
MAESTRO_PICTURES names a folder for the README's picture:

    pytest -m slow tests/integration/test_sound.py -s
"""

import os
from pathlib import Path

import pytest
import torch

from datamodules import MaestroDataModule
from lightning_modules.checkpoint import load_module
from lightning_modules.cli import main
from lightning_modules.metrics.reconstruction import (
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)
from lightning_modules.reports.figures import spectrogram_figure

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of the default experiment."""
    if given := os.environ.get("MAESTRO_CHECKPOINT"):
        return Path(given)
    runs = tmp_path_factory.mktemp("runs")
    main(["fit", "--config", str(ROOT / "experiments/vae.yaml"), "--runs_dir", str(runs)])
    return next(runs.glob("vae/*/checkpoints/best.ckpt"))


@pytest.fixture(scope="module")
def test_clips() -> torch.Tensor:
    """All evaluation clips of the test split, (B, C, T)."""
    data = MaestroDataModule()
    data.prepare_data()
    data.setup("test")
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.test_dataloader()]
    return torch.cat([batch.waveform for batch in batches])


def scores(output: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """The three distances of a batch of reconstructions."""
    metrics = {
        "log-mel distance (dB)": LogMelDistance(16000),
        "multi-scale spectral distance": MultiScaleSpectralDistance(),
        "SI-SDR (dB)": ScaleInvariantSDR(),
    }
    return {name: metric(output, target).item() for name, metric in metrics.items()}


def untrained(model: torch.nn.Module) -> torch.nn.Module:
    """The same model with every layer drawn anew."""
    torch.manual_seed(1)
    for layer in model.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return model


@torch.no_grad()
def test_reconstructions_beat_shuffled_latents_and_an_untrained_model(checkpoint, test_clips, capsys):
    model = load_module(checkpoint)
    latent = model.encode(test_clips).mean
    num_samples = test_clips.shape[-1]
    table = {
        "trained": scores(model.decode(latent, num_samples).clamp(-1, 1), test_clips),
        "latents of another clip": scores(
            model.decode(latent.roll(1, 0), num_samples).clamp(-1, 1), test_clips
        ),
    }
    table["untrained"] = scores(untrained(model).reconstruct(test_clips), test_clips)
    with capsys.disabled():
        print()
        for name, row in table.items():
            print(f"{name:25}", "  ".join(f"{metric} {value:7.2f}" for metric, value in row.items()))
    for other in ("latents of another clip", "untrained"):
        for metric in ("log-mel distance (dB)", "multi-scale spectral distance"):
            assert table[other][metric] >= 1.5 * table["trained"][metric], (other, metric)
    assert table["trained"]["SI-SDR (dB)"] > 0


@torch.no_grad()
@pytest.mark.skipif("MAESTRO_PICTURES" not in os.environ, reason="MAESTRO_PICTURES names no folder")
def test_picture_of_the_readme(checkpoint, test_clips):
    original = test_clips[0, :, : 8 * 16000]
    rows = {"original": original, "reconstruction": load_module(checkpoint).reconstruct(original[None])[0]}
    figure = spectrogram_figure(rows, 16000)
    figure.savefig(Path(os.environ["MAESTRO_PICTURES"], "reconstruction.png"), dpi=80)
