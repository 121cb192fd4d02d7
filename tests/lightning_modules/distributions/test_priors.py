import torch
from torch.distributions import Normal, kl_divergence

from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import StandardNormal


def posterior(batch: int = 2, size: int = 3, frames: int = 4) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, size, frames)
    return DiagonalGaussian(
        torch.randn(shape, generator=generator), torch.randn(shape, generator=generator) - 1
    )


def test_kl_equals_torch_distributions():
    q = posterior()
    expected = kl_divergence(Normal(q.mean, torch.exp(0.5 * q.log_variance)), Normal(0.0, 1.0))
    torch.testing.assert_close(StandardNormal(3)(q, q.mean), expected)


def test_kl_equals_its_monte_carlo_estimate():
    q = posterior(1, 2, 1)
    torch.manual_seed(1)
    many = DiagonalGaussian(q.mean.expand(400_000, 2, 1), q.log_variance.expand(400_000, 2, 1))
    latent = many.sample()
    estimate = (many.log_prob(latent) - Normal(0.0, 1.0).log_prob(latent)).mean(0)
    torch.testing.assert_close(StandardNormal(2)(q, q.mean)[0], estimate, atol=0.01, rtol=0)


def test_kl_of_the_prior_itself_is_zero():
    zeros = torch.zeros(2, 3, 4)
    assert StandardNormal(3)(DiagonalGaussian(zeros, zeros), zeros).abs().max() == 0.0


def test_samples_are_standard_normal_scaled_by_the_temperature():
    torch.manual_seed(0)
    latent = StandardNormal(8).sample(100, 500, temperature=0.5)
    assert latent.shape == (100, 8, 500)
    assert abs(latent.mean().item()) < 0.005
    assert abs(latent.std().item() - 0.5) < 0.005
