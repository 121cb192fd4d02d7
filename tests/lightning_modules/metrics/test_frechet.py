import numpy as np
import pytest
import scipy.linalg
import torch

from lightning_modules.audio.spectrogram import MelSpectrogram
from lightning_modules.metrics.distances import frechet_distance, mean_pairwise_distance
from lightning_modules.metrics.frechet import Diversity, FrechetLogMel


def random_covariance(seed: int, size: int = 6, rank: int = 6) -> torch.Tensor:
    factor = torch.randn(size, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return factor @ factor.T


def test_by_the_matrix_square_root_of_scipy():
    means = torch.randn(2, 6, dtype=torch.float64)
    one, other = random_covariance(0), random_covariance(1)
    root = scipy.linalg.sqrtm(one.numpy() @ other.numpy())
    expected = (means[0] - means[1]).square().sum().item() + np.trace(one + other - 2 * root.real)
    assert frechet_distance(means[0], one, means[1], other).item() == pytest.approx(expected, rel=1e-9)


def test_in_one_dimension():
    distance = frechet_distance(*(torch.tensor(x) for x in ([1.0], [[4.0]], [3.0], [[9.0]])))
    assert distance.item() == pytest.approx((1 - 3) ** 2 + (2 - 3) ** 2)


@pytest.mark.parametrize("rank", [6, 2])
def test_equal_gaussians_and_singular_covariances(rank):
    covariance, mean = random_covariance(0, rank=rank), torch.randn(6, dtype=torch.float64)
    assert frechet_distance(mean, covariance, mean, covariance).item() == pytest.approx(0.0, abs=1e-6)
    moved = frechet_distance(mean + 1, covariance, mean, covariance).item()
    assert moved == pytest.approx(6.0, abs=1e-5)


def noise(clips: int, seed: int, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(clips, 1, 8192, generator=torch.Generator().manual_seed(seed))


def test_log_mel_frames_whatever_the_batches():
    generated, real = noise(4, 0), noise(6, 1, 0.01)
    whole, parts = FrechetLogMel(16000, num_mels=20), FrechetLogMel(16000, num_mels=20)
    whole.update(generated, real)
    for first in (0, 2):
        parts.update(generated[first : first + 2], real[3 * first // 2 : 3 * first // 2 + 3])
    assert parts.compute().item() == pytest.approx(whole.compute().item(), rel=1e-6)
    mel = MelSpectrogram(16000, 1024, 256, 20)
    frames = [10 * mel(x).log10().movedim(2, -1).reshape(-1, 20).double().numpy() for x in (generated, real)]
    means = [f.mean(0) for f in frames]
    covariances = [np.cov(f.T) for f in frames]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert whole.compute().item() == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(20 * 20**2, rel=0.05)  # 20 bands, 20 dB apart
    assert whole.outer.dtype == torch.float64


def test_pairwise_distance_by_hand():
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
    expected = (5 + 2 + 13**0.5) / 3 / 2**0.5
    assert mean_pairwise_distance(points).item() == pytest.approx(expected)
    assert mean_pairwise_distance(points[:1]).item() == 0.0


def test_diversity_is_relative_to_real_clips():
    time = torch.arange(8192) / 16000
    pitches = torch.tensor([200.0, 400.0, 800.0, 1600.0]).view(4, 1, 1)
    tones = 0.3 * torch.sin(2 * torch.pi * pitches * time)
    metric = Diversity(16000)
    metric.update(tones, tones)
    assert metric.compute().item() == pytest.approx(1.0)
    metric.reset()
    metric.update(tones[:1].expand(4, -1, -1), tones)
    assert metric.compute().item() == pytest.approx(0.0, abs=1e-4)
    metric.reset()
    metric.update(noise(4, 0), tones)
    assert metric.compute().item() < 0.3
