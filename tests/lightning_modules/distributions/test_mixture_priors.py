import copy
import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from lightning_modules.distributions.mixture_priors import GaussianMixture, VampPrior
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.errors import OptionError


def posterior(batch: int = 2, size: int = 3, frames: int = 4) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, size, frames)
    return DiagonalGaussian(
        torch.randn(shape, generator=generator), torch.randn(shape, generator=generator) - 1
    )


def unit_component(size: int) -> GaussianMixture:
    return GaussianMixture(size, num_components=1, spread=0.0)


def spread_out(size: int = 3, components: int = 5) -> GaussianMixture:
    """A mixture whose weights, means and variances all differ."""
    torch.manual_seed(2)
    prior = GaussianMixture(size, components, spread=2.0)
    torch.nn.init.normal_(prior.logits)
    torch.nn.init.normal_(prior.log_variance, std=0.5)
    return prior


def as_torch_distribution(prior: GaussianMixture) -> MixtureSameFamily:
    components = Independent(Normal(prior.mean, (0.5 * prior.log_variance).exp()), 1)
    return MixtureSameFamily(Categorical(logits=prior.logits), components)


def test_one_unit_component_is_the_standard_normal():
    q = posterior()
    latent = q.sample()
    torch.testing.assert_close(unit_component(3)(q, latent), StandardNormal(3)(q, latent))
    torch.testing.assert_close(unit_component(3).log_prob(latent), StandardNormal(3).log_prob(latent))


def test_one_component_has_the_closed_form_of_torch_distributions():
    prior = spread_out(components=1)
    q = posterior()
    p = Normal(prior.mean[0][:, None], (0.5 * prior.log_variance[0]).exp()[:, None])
    expected = kl_divergence(Normal(q.mean, (0.5 * q.log_variance).exp()), p)
    torch.testing.assert_close(prior(q, q.mean), expected)


def test_log_density_equals_torch_distributions():
    prior = spread_out()
    latent = posterior().sample()
    expected = as_torch_distribution(prior).log_prob(latent.transpose(1, 2))
    torch.testing.assert_close(prior.log_prob(latent), expected)


def test_the_monte_carlo_kl_is_unbiased():
    prior = spread_out(size=1, components=3)
    q = DiagonalGaussian(torch.tensor([[[0.7]]]), torch.tensor([[[-0.5]]]))
    grid = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    log_q = Normal(0.7, math.exp(-0.25)).log_prob(grid)
    log_p = as_torch_distribution(prior).log_prob(grid[:, None].float()).double()
    expected = torch.trapezoid(log_q.exp() * (log_q - log_p), grid)
    torch.manual_seed(0)
    many = DiagonalGaussian(q.mean.expand(200_000, 1, 1), q.log_variance.expand(200_000, 1, 1))
    kl = prior(many, many.sample())
    assert kl.shape == (200_000, 1, 1)
    assert kl.mean().item() == pytest.approx(expected.item(), abs=0.01)


def test_samples_have_the_moments_of_the_mixture():
    prior = spread_out()
    torch.manual_seed(0)
    latent = prior.sample(200, 500)
    assert latent.shape == (200, 3, 500)
    expected = as_torch_distribution(prior)
    torch.testing.assert_close(latent.mean(dim=(0, 2)), expected.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(latent.var(dim=(0, 2)), expected.variance, atol=0.15, rtol=0.02)


def test_temperature_zero_leaves_the_means():
    prior = spread_out()
    latent = prior.sample(3, 4, temperature=0.0).transpose(1, 2).reshape(-1, 1, 3)
    assert (latent - prior.mean).abs().amax(2).min(1).values.max() == 0.0


class CountingEncoder(torch.nn.Module):
    """A posterior per frame of 4 samples: their mean, and twice their mean."""

    def encode(self, waveform: torch.Tensor) -> DiagonalGaussian:
        frames = waveform.unflatten(2, (-1, 4)).mean(3)
        return DiagonalGaussian(frames, 2 * frames)


def test_vamp_prior_is_the_mixture_of_the_posteriors_of_its_middle_frames():
    torch.manual_seed(0)
    prior = VampPrior(num_components=3, pseudo_samples=12, channels=2, level=0.1)
    torch.nn.init.normal_(prior.logits)
    prior.connect(CountingEncoder().encode)
    free = GaussianMixture(2, num_components=3)
    means = 0.1 * prior.pseudo_inputs[..., 4:8].mean(2)
    free.load_state_dict({"logits": prior.logits, "mean": means, "log_variance": 2 * means})
    latent = torch.randn(2, 2, 5)
    torch.testing.assert_close(prior.log_prob(latent), free.log_prob(latent))


def test_vamp_prior_without_an_encoder_says_so():
    with pytest.raises(OptionError, match="no encoder to make its components"):
        VampPrior(2, 8).log_prob(torch.zeros(1, 1, 1))


def test_a_copy_of_a_model_lends_its_own_encoder():
    owner = CountingEncoder()
    owner.prior = VampPrior(num_components=2, pseudo_samples=8)
    owner.prior.connect(owner.encode)
    twin = copy.deepcopy(owner)
    assert twin.prior._encode.__self__ is twin


def test_no_components():
    with pytest.raises(OptionError, match="num_components is 0"):
        GaussianMixture(3, 0)
