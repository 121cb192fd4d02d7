import math

import pytest
import torch
from torch.distributions import Normal

from lightning_modules.distributions.likelihoods import GaussianLikelihood


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
