import numpy as np
import pytest
import torch

from lightning_modules.losses.feature_mapping import (
    FeatureStatistics,
    PairedFeatureDistance,
    SlicedFeatureDistance,
    feature_matching,
    frame_pairs,
    frame_statistics,
    quantile_distance,
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


def test_quantile_distance_is_that_of_the_best_pairing():
    one, other = torch.tensor([[3.0, 0.0], [1.0, 5.0]]), torch.tensor([[0.0, 5.0], [2.0, 1.0]])
    # first column {1, 3} and {0, 2}: 1 and 1; second {0, 5} and {1, 5}: 1 and 0
    assert quantile_distance(torch.stack([one, other])).item() == pytest.approx((1 + 1 + 1 + 0) / 4)


def test_pairs_of_frames():
    value = torch.arange(12.0).view(1, 2, 6)  # features 0..5 and 6..11
    assert frame_pairs(value, 4).tolist() == [[[0, 6, 4, 10], [1, 7, 5, 11]]]
    assert torch.equal(frame_pairs(value, 0), value.transpose(1, 2))


def test_sliced_distance_of_shifted_clips_is_the_shift_on_every_line():
    real = features(4, 0)
    assert SlicedFeatureDistance(8, 2)(real[[2, 0, 3, 1]], real).item() == pytest.approx(0, abs=1e-10)
    torch.manual_seed(0)
    directions = torch.randn(6, 500)
    shifts = 0.5 * directions.sum(0) / directions.norm(dim=0)
    torch.manual_seed(0)
    distance = SlicedFeatureDistance(500, 2)(real + 0.5, real).item()
    assert distance == pytest.approx(0.25 + shifts.square().mean().item(), rel=1e-4)


def test_order_in_time_is_told_by_pairs_of_frames_alone():
    steady = torch.tensor([1.0, 1, 1, 1, -1, -1, -1, -1]).view(2, 1, 4)
    changing = torch.tensor([1.0, -1, 1, -1, 1, -1, 1, -1]).view(2, 1, 4)
    assert SlicedFeatureDistance(64, 0)(changing, steady).item() == pytest.approx(0, abs=1e-10)
    assert SlicedFeatureDistance(64, 1)(changing, steady).item() > 0.1


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


@pytest.mark.parametrize("options", [{"num_projections": 0}, {"context": -1}])
def test_projections_that_cannot_be(options):
    with pytest.raises(ValueError, match=r"SlicedFeatureDistance: num_projections is .* and context"):
        SlicedFeatureDistance(**options)


def test_a_negative_weight():
    with pytest.raises(ValueError, match="covariance_weight is -1"):
        FeatureStatistics(-1)
