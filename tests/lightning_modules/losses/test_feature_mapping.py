import numpy as np
import pytest
import torch

from lightning_modules.losses.feature_mapping import (
    FeatureStatistics,
    PairedFeatureDistance,
    feature_matching,
    frame_statistics,
)


def features(clips: int, seed: int) -> torch.Tensor:
    return torch.randn(clips, 3, 7, generator=torch.Generator().manual_seed(seed))


def test_statistics_are_those_of_numpy():
    value = features(4, 0)
    frames = value.permute(0, 2, 1).reshape(-1, 3).numpy()
    mean, covariance = frame_statistics(value)
    np.testing.assert_allclose(mean, frames.mean(0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(frames.T, bias=True), atol=1e-6)


def test_statistics_distance_by_numpy():
    one, other = features(4, 0), 2 * features(5, 1) + 1
    frames = [value.permute(0, 2, 1).reshape(-1, 3).numpy() for value in (one, other)]
    means = np.square(frames[0].mean(0) - frames[1].mean(0)).sum() / 3
    covariances = np.square(np.cov(frames[0].T, bias=True) - np.cov(frames[1].T, bias=True)).sum() / 3
    assert FeatureStatistics(0.5)(one, other).item() == pytest.approx(means + 0.5 * covariances, rel=1e-5)
    assert FeatureStatistics(0.0)(one, other).item() == pytest.approx(means, rel=1e-5)


def test_clips_all_alike_are_told_by_covariances_alone():
    real = torch.cat([torch.ones(2, 3, 7), -torch.ones(2, 3, 7)])
    collapsed = torch.zeros(4, 3, 7)
    assert FeatureStatistics(0.0)(collapsed, real).item() == 0.0
    assert FeatureStatistics(1.0)(collapsed, real).item() == pytest.approx(3.0)  # 9 entries of 1, over F = 3


def test_paired_distance():
    real = features(2, 0)
    assert PairedFeatureDistance()(real, real).item() == 0.0
    assert PairedFeatureDistance()(real + 0.5, real).item() == pytest.approx(0.5, rel=1e-5)


def test_feature_matching_sums_the_means_of_all_maps():
    generated = [[torch.zeros(2, 3, 4), torch.zeros(2, 2)], [torch.ones(1, 1, requires_grad=True)]]
    real = [[torch.full((2, 3, 4), 2.0), torch.full((2, 2), -3.0)], [torch.zeros(1, 1, requires_grad=True)]]
    loss = feature_matching(generated, real)
    assert loss.item() == 2 + 3 + 1
    loss.backward()
    assert generated[1][0].grad is not None and real[1][0].grad is None


def test_a_negative_weight():
    with pytest.raises(ValueError, match="covariance_weight is -1"):
        FeatureStatistics(-1)
