"""Mixtures of diagonal Gaussians, against torch.distributions."""

import torch
from torch import distributions

from lightning_modules.distributions.mixture import DiagonalMixture, static_mixture
from lightning_modules.distributions.posterior import DiagonalGaussian

B, K, Z, L = 2, 3, 4, 5


def mixture(components: int = K) -> DiagonalMixture:
    torch.manual_seed(0)
    log_weights = torch.randn(B, components, L).log_softmax(1)
    return DiagonalMixture(
        log_weights, torch.randn(B, components, Z, L), 0.5 * torch.randn(B, components, Z, L)
    )


def reference(mixed: DiagonalMixture) -> distributions.MixtureSameFamily:
    """With batch shape (B, L) and events (Z,)."""
    normal = distributions.Normal(
        mixed.mean.permute(0, 3, 1, 2), (mixed.log_variance / 2).exp().permute(0, 3, 1, 2)
    )
    weights = distributions.Categorical(logits=mixed.log_weights.transpose(1, 2))
    return distributions.MixtureSameFamily(weights, distributions.Independent(normal, 1))


def test_log_density_is_that_of_torch():
    mixed, latent = mixture(), torch.randn(B, Z, L)
    torch.testing.assert_close(mixed.log_prob(latent), reference(mixed).log_prob(latent.transpose(1, 2)))


def test_draws_have_the_mixtures_moments():
    mixed = static_mixture(
        torch.tensor([0.0, 1.0]), torch.tensor([[-2.0], [1.0]]), torch.tensor([[0.0], [-1.0]])
    )
    torch.manual_seed(1)
    draws = mixed.expand(200, 500).sample()
    assert draws.shape == (200, 1, 500)
    weights = torch.tensor([0.0, 1.0]).softmax(0)
    mean = weights @ torch.tensor([-2.0, 1.0])
    variance = weights @ (torch.tensor([4.0, 1.0]) + torch.tensor([0.0, -1.0]).exp()) - mean**2
    torch.testing.assert_close(draws.mean(), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(draws.var(), variance, atol=0.03, rtol=0)


def test_at_temperature_zero_draws_are_means_of_components():
    mixed = mixture()
    draws = mixed.sample(temperature=0.0)
    distance = (draws.unsqueeze(1) - mixed.mean).abs().amax(2)  # (B, K, L)
    assert (distance.amin(1) == 0).all()


def test_divergence_of_one_component_is_the_closed_form():
    mixed = mixture(components=1)
    posterior = DiagonalGaussian(torch.randn(B, Z, L), torch.randn(B, Z, L))
    own = distributions.Normal(posterior.mean, (posterior.log_variance / 2).exp())
    other = distributions.Normal(mixed.mean[:, 0], (mixed.log_variance[:, 0] / 2).exp())
    torch.testing.assert_close(mixed.divergence_of(posterior), distributions.kl_divergence(own, other))


def test_a_static_mixture_is_normalised_and_the_same_everywhere():
    mixed = static_mixture(torch.randn(K), torch.randn(K, Z), torch.randn(K, Z))
    torch.testing.assert_close(mixed.log_weights.exp().sum(1), torch.ones(1, 1))
    latent = torch.randn(B, Z, L)
    torch.testing.assert_close(mixed.expand(B, L).log_prob(latent), mixed.log_prob(latent))
