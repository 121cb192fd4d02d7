import pytest
import torch

from lightning_modules.metrics import functional
from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.reconstruction import (
    ChromaSimilarity,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)


@pytest.mark.parametrize("metric", [LogMelDistance(16000), MultiScaleSpectralDistance(), ScaleInvariantSDR()])
def test_the_mean_over_clips_does_not_depend_on_how_they_are_batched(metric):
    torch.manual_seed(0)
    target = 0.1 * torch.randn(5, 1, 8000)
    estimate = target + torch.linspace(0.01, 0.5, 5).view(5, 1, 1) * torch.randn(5, 1, 8000)
    metric.reset()
    metric.update(estimate, target)
    whole = metric.compute()
    metric.reset()
    for part in (slice(0, 1), slice(1, 5)):
        metric.update(estimate[part], target[part])
    torch.testing.assert_close(metric.compute(), whole)
    torch.testing.assert_close(whole, metric.values(estimate, target).mean(), rtol=1e-5, atol=1e-6)
    assert metric.total.dtype == torch.float64


def test_si_sdr_metric_uses_the_formula():
    metric = ScaleInvariantSDR()
    torch.manual_seed(0)
    estimate, target = torch.randn(2, 3, 1, 100)
    metric.update(estimate, target)
    torch.testing.assert_close(metric.compute(), functional.si_sdr(estimate, target).mean())


def test_active_units_by_hand():
    # variances over the four frames: 0 (constant), 0.005, 1.25; the threshold is 0.01
    means = torch.tensor([[[3.0] * 4, [0.0, 0.0, 0.1414, 0.1414], [0.0, 1.0, 2.0, 3.0]]])
    metric = ActiveUnits(3)
    metric.update(means[..., :2])
    metric.update(means[..., 2:])
    assert metric.compute().item() == 1.0


def chord(*frequencies: float, gain: float = 1.0, seconds: float = 1.0) -> torch.Tensor:
    time = torch.arange(round(16_000 * seconds)) / 16_000
    return gain * sum(0.1 * torch.sin(2 * torch.pi * f * time) for f in frequencies).view(1, 1, -1)


def test_chroma_similarity_hears_pitch_classes_and_not_level_or_octave():
    metric = ChromaSimilarity(16_000)
    target = chord(261.63, 329.63)  # C, E
    for estimate, low, high in (
        (target, 0.9999, 1.0001),
        (chord(261.63, 329.63, gain=0.1), 0.999, 1.001),
        (chord(523.25, 659.26), 0.9, 1.0),  # an octave higher
        (chord(277.18, 349.23), 0.0, 0.5),  # a semitone higher
        (0 * target, 0.0, 0.75),
    ):
        assert low <= metric.values(estimate, target).item() <= high
    assert metric.values(target, 0 * target).item() == 1.0  # nothing to be similar to


def test_chroma_similarity_counts_only_frames_that_sound():
    target = torch.cat([chord(261.63), torch.zeros(1, 1, 160_000)], -1)
    estimate = torch.cat([chord(261.63), chord(311.0, seconds=10.0)], -1)
    assert ChromaSimilarity(16_000).values(estimate, target).item() > 0.8
