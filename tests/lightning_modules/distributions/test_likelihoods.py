import math

import pytest
import torch
from torch.distributions import Normal

from lightning_modules.distributions.likelihoods import (
    BandGaussianLikelihood,
    GaussianLikelihood,
    LevelGaussianLikelihood,
)


def test_log_likelihood_equals_torch_distributions():
    torch.manual_seed(0)
    waveform, mean = 0.1 * torch.randn(2, 3, 2, 100)
    expected = Normal(mean, 0.05).log_prob(waveform).sum(dim=(1, 2))
    torch.testing.assert_close(GaussianLikelihood(0.05)(waveform, mean), expected)


def test_learned_variance_ends_at_the_mean_squared_error():
    torch.manual_seed(0)
    waveform = 0.003 * torch.randn(4, 1, 5000)
    likelihood = GaussianLikelihood(0.05)
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        (-likelihood(waveform, torch.zeros_like(waveform)).mean()).backward()
        optimizer.step()
    learned = likelihood.bounded_log_variance().exp().item()
    assert learned == pytest.approx(waveform.square().mean().item(), rel=0.02)


def test_variance_stays_above_its_bound():
    likelihood = GaussianLikelihood(0.01, smallest_deviation=0.005)
    with torch.no_grad():
        likelihood.tenth_of_log_variance.fill_(-100.0)
    assert likelihood.bounded_log_variance().item() == pytest.approx(2 * math.log(0.005))


def test_deviations_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"smallest_deviation=0.1, initial_deviation=0.05"):
        GaussianLikelihood(0.05, smallest_deviation=0.1)


@pytest.mark.parametrize("samples", [3, 16, 50])
def test_equal_bands_are_one_variance_for_all(samples):
    torch.manual_seed(0)
    waveform, mean = 0.1 * torch.randn(2, 3, 2, samples)
    likelihood = BandGaussianLikelihood(16, initial_deviation=0.05)
    torch.testing.assert_close(likelihood(waveform, mean), GaussianLikelihood(0.05)(waveform, mean))


def test_band_likelihood_equals_a_multivariate_normal():
    dct = pytest.importorskip("scipy.fft").dct
    torch.manual_seed(0)
    likelihood = BandGaussianLikelihood(8)
    torch.nn.init.normal_(likelihood.tenth_of_log_variance, mean=-0.5, std=0.1)
    matrix = torch.from_numpy(dct(torch.eye(8, dtype=torch.float64).numpy(), norm="ortho", axis=0))
    variance = torch.exp(10 * likelihood.tenth_of_log_variance.detach().double())
    block = torch.distributions.MultivariateNormal(torch.zeros(8).double(), matrix.T * variance @ matrix)
    waveform = 0.1 * torch.randn(3, 2, 24)
    expected = block.log_prob(waveform.double().unflatten(2, (3, 8))).sum(dim=(1, 2))
    got = likelihood(waveform, torch.zeros_like(waveform))
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-3)


def test_each_band_learns_its_own_error():
    """A loud error at low frequencies, a quiet one at high: worth more than one variance for both."""
    torch.manual_seed(0)
    low = torch.nn.functional.interpolate(0.05 * torch.randn(4, 1, 500), scale_factor=8, mode="linear")
    error = low + 0.001 * torch.randn_like(low)
    values = {}
    for likelihood in (BandGaussianLikelihood(8), GaussianLikelihood()):
        optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            (-likelihood(error, torch.zeros_like(error)).mean()).backward()
            optimizer.step()
        values[type(likelihood)] = likelihood(error, torch.zeros_like(error)).mean().item()
    assert values[BandGaussianLikelihood] > values[GaussianLikelihood] + 0.5 * error[0].numel()


def test_bands_that_make_no_sense():
    with pytest.raises(ValueError, match="got num_bands=0"):
        BandGaussianLikelihood(0)


@pytest.mark.parametrize("samples", [3, 40, 50])
def test_level_likelihood_is_a_normal_of_the_power_around(samples):
    torch.manual_seed(0)
    waveform, mean = 0.1 * torch.randn(2, 3, 2, samples)
    likelihood = LevelGaussianLikelihood(8, initial_share=0.3, initial_deviation=0.02)
    variance = torch.empty(3, 1, samples, dtype=torch.float64)
    power = mean.double().square().mean(1)
    for start in range(0, samples, 8):  # by hand: mean over the blocks of the mean of each block
        blocks = [
            power[:, max(0, place) :][:, :8] for place in range(start - 16, start + 17, 8) if place >= 0
        ]
        around = torch.stack([block.mean(1) for block in blocks if block.shape[1]], 1).mean(1)
        variance[:, 0, start : start + 8] = (0.3 * around + 0.02**2)[:, None]
    expected = Normal(mean.double(), variance.sqrt()).log_prob(waveform.double()).sum(dim=(1, 2))
    torch.testing.assert_close(likelihood(waveform, mean).double(), expected, rtol=1e-5, atol=1e-3)


def test_level_likelihood_learns_share_and_floor():
    """Errors of a tenth of the sound in loud and quiet clips alike, and of 0.001 in silence."""
    torch.manual_seed(0)
    mean = torch.tensor([0.3, 0.03, 0.0])[:, None, None] * torch.randn(3, 1, 4000)
    level = (0.01 * mean.square().mean((1, 2), keepdim=True) + 1e-6).sqrt()
    waveform = mean + level * torch.randn_like(mean)
    likelihood = LevelGaussianLikelihood(400)
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.01)
    for _ in range(400):
        optimizer.zero_grad()
        (-likelihood(waveform, mean).mean()).backward()
        optimizer.step()
    assert (10 * likelihood.tenth_of_log_share).exp().item() == pytest.approx(0.01, rel=0.1)
    assert (10 * likelihood.tenth_of_log_variance).exp().item() == pytest.approx(1e-6, rel=0.1)


def test_level_likelihood_of_silence_is_bounded():
    silence = torch.zeros(1, 1, 100)
    likelihood = LevelGaussianLikelihood(smallest_deviation=0.01)
    with torch.no_grad():
        likelihood.tenth_of_log_variance.fill_(-100.0)
    expected = Normal(silence, 0.01).log_prob(silence).sum(dim=(1, 2))
    torch.testing.assert_close(likelihood(silence, silence), expected)


def test_levels_that_make_no_sense():
    with pytest.raises(ValueError, match="got block_samples=0"):
        LevelGaussianLikelihood(0)
