"""Rate against distortion over β: one short training of the default VAE for each.

    pytest -m benchmark -s tests/benchmarks/test_rate_distortion.py

Writes rate_distortion.png and .csv into MAESTRO_RATE_OUTPUT. MAESTRO_RATE_STEPS sets the steps of each (300),
MAESTRO_RATE_BETAS the values.
"""

import csv
import math
import os
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from timed_training import StepClock

from lightning_modules.audio.framing import cut_into_clips
from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.rates import kilobits_per_second
from lightning_modules.metrics.reconstruction import MultiScaleSpectralDistance, ScaleInvariantSDR

pytestmark = pytest.mark.benchmark

STEPS = int(os.environ.get("MAESTRO_RATE_STEPS", "300"))
BETAS = [float(beta) for beta in os.environ.get("MAESTRO_RATE_BETAS", "0.3,1,3,10,30").split(",")]


class Point(NamedTuple):
    """One β. The distortion of the bound itself is the squared error, here in dB of full scale."""

    beta: float
    kilobits_per_second: float
    squared_error_db: float
    multi_scale_spectral_distance: float
    si_sdr: float
    active_units: float


@torch.no_grad()
def measure(beta: float, model: torch.nn.Module, clips: torch.Tensor) -> Point:
    """Rate, and distortion of what is decoded from a draw of the posterior, which the rate pays for."""
    torch.manual_seed(1)
    spectral, si_sdr, units = (
        MultiScaleSpectralDistance(),
        ScaleInvariantSDR(),
        ActiveUnits(model.latent_size),
    )
    rates, errors = [], []
    for part in clips.split(16):
        result = model(part)
        spectral.update(result.output, part)
        si_sdr.update(result.output, part)
        units.update(result.posterior.mean)
        rates.append(result.elbo.kl)
        errors.append((result.output - part).square().mean(dim=(1, 2)))
    rate = kilobits_per_second(torch.cat(rates).mean().item() * model.sample_rate / clips.shape[-1])
    error = 10 * math.log10(torch.cat(errors).mean().item())
    scores = (metric.compute().item() for metric in (spectral, si_sdr, units))
    return Point(beta, rate, error, *scores)


def draw(points: list[Point], path: Path) -> None:
    """Both distances over the rate, each point with its β."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    fields = {"multi_scale_spectral_distance": "multi-scale spectral distance", "si_sdr": "SI-SDR (dB)"}
    rates = [point.kilobits_per_second for point in points]
    for axes, (field, label) in zip(figure.subplots(1, 2), fields.items(), strict=True):
        values = [getattr(point, field) for point in points]
        axes.plot(rates, values, "o-")
        for point, rate, value in zip(points, rates, values, strict=True):
            axes.annotate(
                f"β = {point.beta:g}", (rate, value), (6, 6), textcoords="offset points", fontsize=8
            )
        axes.margins(0.22, 0.15)
        axes.set_xlabel("rate (kbit/s)")
        axes.set_title(label, fontsize=10)
    figure.savefig(path, dpi=80)


def test_rate_falls_and_distortion_rises_with_beta(train_for, tmp_path, capsys):
    points = []
    for beta in BETAS:
        options = "--model.kl_weight.beta", beta, "--model.kl_weight.warmup_steps", 50
        run = train_for(*options, clock=StepClock(STEPS))
        run.data.setup("test")
        waveform = torch.cat([batch.to_batch().waveform for batch in run.data.test_dataloader()])
        points.append(measure(beta, run.model, cut_into_clips(waveform, run.model.clip_samples)))
        with capsys.disabled():
            values = points[-1]._asdict().items()
            print("  ".join(f"{name} {value:.2f}" for name, value in values), flush=True)
    folder = Path(os.environ.get("MAESTRO_RATE_OUTPUT", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    draw(points, folder / "rate_distortion.png")
    with (folder / "rate_distortion.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([Point._fields, *points])
    rates = [point.kilobits_per_second for point in points]
    assert rates == sorted(rates, reverse=True)
    for field, falls in (
        ("squared_error_db", False),
        ("multi_scale_spectral_distance", False),
        ("si_sdr", True),
    ):
        values = [getattr(point, field) for point in points]
        assert values == sorted(values, reverse=falls), field
