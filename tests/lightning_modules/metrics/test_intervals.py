"""Intervals against theory, and on sets whose true distance is known."""

import pytest
import torch

from lightning_modules.metrics.distances import frechet_distance, moments
from lightning_modules.metrics.intervals import bootstrap_distance, bootstrap_mean, split_half_floor


def difference_of_means(clips: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return (clips.mean() - others.mean()).abs()


def frechet(clips: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return frechet_distance(*moments(clips.flatten(0, 1)), *moments(others.flatten(0, 1)))


def draw(count: int, seed: int, size: int = 4) -> torch.Tensor:
    return torch.randn(count, 2, size, generator=torch.Generator().manual_seed(seed))


def test_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = 5.0 + 2.0 * torch.randn(400, generator=torch.Generator().manual_seed(0))
    value, low, high = bootstrap_mean(values, replicates=4000)
    half = 1.96 * values.std().item() / 20
    assert value == pytest.approx(values.double().mean().item())
    assert low == pytest.approx(value - half, abs=0.03)
    assert high == pytest.approx(value + half, abs=0.03)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        values = torch.randn(50, generator=torch.Generator().manual_seed(seed))
        _, low, high = bootstrap_mean(values, replicates=200)
        covered += low < 0.0 < high
    assert 0.88 < covered / 200 < 0.98


def test_a_single_clip_has_no_width_and_the_same_seed_gives_the_same():
    assert bootstrap_mean(torch.tensor([3.0])) == (3.0, 3.0, 3.0)
    values = draw(20, 0)
    assert bootstrap_distance(frechet, values, draw(20, 1)) == bootstrap_distance(
        frechet, values, draw(20, 1)
    )


def test_interval_of_a_distance_holds_the_value_and_narrows_with_clips():
    few, many = (
        bootstrap_distance(frechet, draw(count, 0), draw(count, 1) + 1.0, replicates=100)
        for count in (25, 400)
    )
    for value, low, high in (few, many):
        assert low < value < high
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert many.low < 4.0 < many.high  # four dimensions, one apart in each


def test_paired_clips_are_drawn_together():
    clips = draw(30, 0, size=1)
    shifted = clips + 0.5
    paired = bootstrap_distance(difference_of_means, shifted, clips, paired=True)
    loose = bootstrap_distance(difference_of_means, shifted, clips, paired=False)
    assert paired.high - paired.low < 1e-6
    assert loose.high - loose.low > 0.1


def test_the_floor_of_one_distribution_is_small_and_shows_two():
    clips = draw(200, 0)
    mixed = torch.cat([clips[:100], clips[100:] + 3.0])
    assert split_half_floor(frechet, clips).value < 0.1
    value, low, high = split_half_floor(frechet, mixed)
    assert low < value < high < frechet(mixed[:100], mixed[100:])
