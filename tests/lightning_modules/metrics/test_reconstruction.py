import pytest
import torch

from lightning_modules.metrics import functional
from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.reconstruction import (
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
