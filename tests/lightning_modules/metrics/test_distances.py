"""Distances of sets against closed forms, torchmetrics and sums by hand."""

import math

import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from lightning_modules.metrics.distances import (
    frechet_distance,
    kernel_distance,
    moments,
    moments_of_sums,
    nearest_distances,
)


class Rows(nn.Module):
    """Features of torchmetrics' metric: an 'image' is a vector already."""

    num_features = 8

    def forward(self, image):
        return image


def gaussian(
    count: int, size: int = 8, seed: int = 0, scale: float = 1.0, shift: float = 0.0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=generator)
    return scale * (torch.randn(count, size, generator=generator) @ mixing) + shift


def frechet(one: torch.Tensor, other: torch.Tensor) -> float:
    return frechet_distance(*moments(one), *moments(other)).item()


def test_frechet_of_commuting_gaussians_is_the_closed_form():
    # covariances with the same axes: squared differences of means and of standard deviations add up
    deviations, others = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 2.0, 0.0])
    axes = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    one, other = (axes @ torch.diag(d.double() ** 2) @ axes.T for d in (deviations, others))
    mean, other_mean = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0.0, 2.0, -1.0])
    expected = 1 + 4 + (1 - 3) ** 2 + 0 + 0.5**2
    assert frechet_distance(mean, one, other_mean, other).item() == pytest.approx(expected, abs=1e-6)


def test_frechet_as_torchmetrics():
    one, other = gaussian(300, shift=0.3), gaussian(200, seed=1, scale=1.5)
    reference = FrechetInceptionDistance(feature=Rows())
    reference.update(one, real=False)
    reference.update(other, real=True)
    assert frechet(one, other) == pytest.approx(reference.compute().item(), rel=1e-4)


def test_frechet_of_a_set_to_itself_is_zero():
    points = gaussian(100)
    assert frechet(points, points.flip(0)) == pytest.approx(0.0, abs=1e-4)
    few = gaussian(5)  # singular covariance
    assert frechet(few, few) == pytest.approx(0.0, abs=1e-4)


def test_moments_of_sums_are_the_moments():
    points = gaussian(50).double()
    summed = moments_of_sums(torch.tensor(50.0).double(), points.sum(0), points.T @ points)
    for value, expected in zip(summed, (points.mean(0), points.T.cov()), strict=True):
        torch.testing.assert_close(value, expected)
    torch.testing.assert_close(moments(points).covariance, points.T.cov())


def test_kernel_distance_by_hand():
    # distances within `other`: 1, so the kernel is exp(-d^2)
    points, other = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0]])
    across = (1 + math.exp(-1) + math.exp(-4) + math.exp(-1)) / 4
    expected = math.exp(-4) + math.exp(-1) - 2 * across
    assert kernel_distance(points, other).item() == pytest.approx(expected, abs=1e-12)


def test_kernel_distance_is_unbiased_whatever_the_number_of_clips():
    values = torch.stack(
        [kernel_distance(gaussian(12, seed=2 * s), gaussian(12, seed=2 * s)) for s in range(3)]
    )
    assert values.max() < 0.0  # a set and itself: only the diagonal is missing
    base = gaussian(2400)
    draws = [kernel_distance(base[i : i + 12], base[i + 12 : i + 24]) for i in range(0, 2400, 24)]
    mean, error = torch.stack(draws).mean().item(), torch.stack(draws).std().item() / 10
    assert abs(mean) < 3 * error
    assert kernel_distance(base[:1000] + 100.0, base[1000:]).item() > 0.7
    assert frechet(base[:12], base[12:24]) > 10 * frechet(base[:1200], base[1200:])  # which is biased


def test_nearest_distance_of_a_copy_is_zero():
    known = gaussian(50)
    points = torch.stack([known[7], known[3] + 0.01])
    found = nearest_distances(points, known)
    assert found[0].item() == 0.0
    assert found[1].item() == pytest.approx(0.01, rel=1e-4)
