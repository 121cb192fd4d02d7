"""The VAE family: each overlay of the default VAE after the same time of training on the embedded release.

    pytest -m benchmark -s tests/benchmarks/test_vae_family.py

Scores are those of the test split. MAESTRO_FAMILY_SECONDS sets the time of each (45), MAESTRO_FAMILY names
overlays, separated by commas, to measure only these (for the designs of encoder and decoder:
default,strided_networks,inverse_stft_head,residual_networks,convnext_networks), MAESTRO_FAMILY_DATA a
folder in the layout of MAESTRO v3.0.0 to use in place of the embedded release.
"""

import math
import os
from pathlib import Path

import pytest
import torch
from timed_training import WallClock

from lightning_modules.audio.framing import cut_into_clips
from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.frechet import FrechetLogMel
from lightning_modules.metrics.reconstruction import (
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)

pytestmark = pytest.mark.benchmark

ABLATIONS = Path(__file__).parents[2] / "experiments/ablations"
DATA = os.environ.get("MAESTRO_FAMILY_DATA")
SOURCE = ["--data.release", "v3.0.0", "--data.source", DATA] if DATA else []
SECONDS = float(os.environ.get("MAESTRO_FAMILY_SECONDS", "45"))
MEMBERS = (
    "default,deep_autoencoder,wavelet_autoencoder,mixture_prior,vamp_prior,autoregressive_prior,clip_latent,"
    "coarse_alone,decoder_alone,band_likelihood,strided_networks,inverse_stft_head,residual_networks,"
    "convnext_networks"
)


@torch.no_grad()
def judge(model: torch.nn.Module, clips: torch.Tensor) -> list[float]:
    """Reconstruction, bound, rate and samples on clips (B, C, T) of the training length."""
    torch.manual_seed(1)
    metrics = LogMelDistance(16000), MultiScaleSpectralDistance(), ScaleInvariantSDR()
    units, frechet = ActiveUnits(model.latent_size), FrechetLogMel(16000)
    bounds, rates = [], []
    for part in clips.split(16):
        output = model.reconstruct(part)
        for metric in metrics:
            metric.update(output, part)
        result = model(part)
        units.update(result.posterior.mean)
        bounds.append(result.elbo.value)
        rates.append(result.elbo.kl)
        frechet.update(model.sample(len(part), part.shape[-1]), part)
    per_second = model.sample_rate / clips.shape[-1]
    values = [metric.compute().item() for metric in metrics]
    sums = [torch.cat(one).mean().item() * per_second for one in (bounds, rates)]
    sums[1] /= 1000 * math.log(2)  # nats to kilobits
    return [*values, *sums, units.compute().item(), frechet.compute().item()]


def test_family(train_for, capsys):
    rows = []
    for name in os.environ.get("MAESTRO_FAMILY", MEMBERS).split(","):
        overlay = [] if name == "default" else ["--config", ABLATIONS / f"{name}.yaml"]
        run = train_for(*overlay, *SOURCE, clock=WallClock(SECONDS))
        run.data.setup("test")
        waveform = torch.cat([batch.to_batch().waveform for batch in run.data.test_dataloader()])
        scores = judge(run.model, cut_into_clips(waveform, run.model.clip_samples))
        millions = sum(p.numel() for p in run.model.parameters()) / 1e6
        formats = ("8.2f", "9.2f", "8.1f", "9.0f", "8.2f", "7.0f", "10.0f")
        values = " ".join(f"{score:{form}}" for score, form in zip(scores, formats, strict=True))
        rows.append(f"{name:21} {millions:6.2f} {run.steps:6d} {values}")
        with capsys.disabled():
            print(rows[-1], flush=True)
    with capsys.disabled():
        print(f"\n{torch.get_num_threads()} threads, {SECONDS:.0f} s of training each; test split")
        print(f"{'':21} M par.  steps  log-mel  spectral   SI-SDR  ELBO n/s   kbit/s   units  Fréchet")
        print("\n".join(rows))
