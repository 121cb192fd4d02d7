"""What the default experiment sounds like, judged on the test split of the embedded release.

Trains `experiments/vae.yaml` as a user would, or takes the checkpoint that MAESTRO_CHECKPOINT names;
MAESTRO_PICTURES names a folder for the README's picture:

    pytest -m slow tests/integration/test_sound.py -s
"""

import itertools
import os
from pathlib import Path

import librosa
import pytest
import torch

from datamodules import MaestroDataModule
from lightning_modules import load_module
from lightning_modules.audio.spectrogram import MelSpectrogram, power_to_db
from lightning_modules.cli import main
from lightning_modules.metrics.onsets import detect_onsets
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


BANDS_HZ = 0, 500, 1000, 2000, 4000, 8000
ATTACK_SECONDS = 0.064


def sdr_by_band(output: torch.Tensor, target: torch.Tensor) -> list[float]:
    """SI-SDR in dB of each band of BANDS_HZ alone."""
    frequency = torch.fft.rfftfreq(target.shape[-1], 1 / 16000)
    result = []
    for low, high in itertools.pairwise(BANDS_HZ):
        inside = (frequency >= low) & (frequency < high)
        parts = [torch.fft.irfft(torch.fft.rfft(one) * inside, target.shape[-1]) for one in (output, target)]
        result.append(ScaleInvariantSDR()(*parts).item())
    return result


def log_mel_by_place(output: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """Log-mel distance in dB by band, by level of the original, and behind the onsets of notes."""
    mel = MelSpectrogram(16000)
    levels = power_to_db(mel(target[:, 0]))  # (B, M, N)
    error = (power_to_db(mel(output[:, 0])) - levels).abs()
    centres = librosa.mel_frequencies(82, fmin=0, fmax=8000)[1:-1]
    places = {
        f"{low} to {high} Hz": torch.from_numpy((centres >= low) & (centres < high))[None, :, None]
        for low, high in itertools.pairwise(BANDS_HZ)
    }
    places |= {
        f"{low} to {low + 20} dB": (levels >= low) & (levels < low + 20) for low in (-100, -80, -60, -40)
    }
    attack = torch.zeros_like(levels, dtype=torch.bool)
    for clip, waveform in enumerate(target[:, 0].numpy()):
        for onset in detect_onsets(waveform, 16000):
            first = round(onset * 16000 / 256)
            attack[clip, :, first : first + round(ATTACK_SECONDS * 16000 / 256)] = True
    places |= {"attacks": attack, "elsewhere": ~attack}
    return {name: error[place.expand_as(error)].mean().item() for name, place in places.items()}


@torch.no_grad()
def test_where_reconstructions_differ(checkpoint, test_clips, capsys):
    output = load_module(checkpoint).reconstruct(test_clips)
    bands, places = sdr_by_band(output, test_clips), log_mel_by_place(output, test_clips)
    with capsys.disabled():
        print("\nSI-SDR (dB) in", BANDS_HZ, "Hz:", "  ".join(f"{value:.1f}" for value in bands))
        print("log-mel distance (dB):", "  ".join(f"{name} {value:.1f}" for name, value in places.items()))
    # the fundamentals, which make up almost all the power
    assert bands[0] > 6
    assert places["attacks"] < 2 * places["elsewhere"]


@torch.no_grad()
@pytest.mark.skipif("MAESTRO_PICTURES" not in os.environ, reason="MAESTRO_PICTURES names no folder")
def test_picture_of_the_readme(checkpoint, test_clips):
    original = test_clips[0, :, : 8 * 16000]
    rows = {"original": original, "reconstruction": load_module(checkpoint).reconstruct(original[None])[0]}
    figure = spectrogram_figure(rows, 16000)
    figure.savefig(Path(os.environ["MAESTRO_PICTURES"], "reconstruction.png"), dpi=80)
