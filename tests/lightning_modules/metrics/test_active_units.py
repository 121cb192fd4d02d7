"""The number of latent dimensions in use."""

import pytest
import torch

from lightning_modules.metrics.active_units import ActiveUnits


def test_dimensions_whose_mean_varies_are_active():
    deviations = torch.tensor([1.0, 0.2, 0.05, 0.0]).view(1, 4, 1)
    generator = torch.Generator().manual_seed(0)
    means = 3.0 + deviations * torch.randn(50, 4, 20, generator=generator)
    units = ActiveUnits(4)
    units.update(means)
    variance = means.transpose(0, 1).flatten(1).var(1, correction=0)
    assert units.compute().item() == (variance > 0.01).sum().item() == 2
    sensitive = ActiveUnits(4, threshold=0.001)
    sensitive.update(means)
    assert sensitive.compute().item() == 3


def test_variance_is_over_all_clips_and_frames():
    """Each clip alone, and each frame alone, has a constant mean."""
    units = ActiveUnits(2)
    for value in (-1.0, 1.0):
        units.update(torch.tensor([[[value], [0.0]]]).expand(3, 2, 5))
    assert units.compute().item() == 1


def test_a_large_mean_does_not_hide_the_variance():
    """In float32, 1000² + 0.2² is 1000²: the sums are of float64."""
    units = ActiveUnits(1)
    values = 1000.0 + 0.2 * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    units.update(values)
    assert units.total_squared.dtype == torch.float64
    assert units.compute().item() == 1
    assert values.double().var(correction=0).item() == pytest.approx(0.04, rel=1e-3)
