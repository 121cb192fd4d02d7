"""Noise that depends on seed and clip alone; truncation against the truncated distribution itself."""

import numpy as np
import pytest
import scipy.stats
import torch
from toy_models import CLIP, make_vae, make_wavegan

from lightning_modules.errors import OptionError
from lightning_modules.inference.sampling import (
    TruncatedNormalNoise,
    drawn_clips,
    truncate_normal,
)


@pytest.mark.parametrize("limit", [0.1, 1.0, 3.0])
def test_truncated_noise_has_the_truncated_distribution_and_keeps_ranks(limit):
    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    truncated = truncate_normal(noise, limit)
    exact = scipy.stats.truncnorm(-limit, limit)
    assert scipy.stats.kstest(truncated.numpy(), exact.cdf).pvalue > 0.01
    assert (truncated[noise.argsort()].diff() >= 0).all()
    order = np.array([-5.0, 0.0, 0.7])
    by_quantile = exact.ppf(scipy.stats.norm.cdf(order))
    np.testing.assert_allclose(truncate_normal(torch.from_numpy(order), limit), by_quantile, atol=1e-6)


def test_all_of_a_models_normal_noise_is_truncated():
    with TruncatedNormalNoise(0.5) as noise:
        drawn = torch.randn(1000), torch.randn_like(torch.zeros(1000)), torch.rand(1000)
    assert noise.num_draws == 2
    assert max(float(each.abs().max()) for each in drawn[:2]) <= 0.5 < float(drawn[2].max())
    assert float(torch.randn(1000).abs().max()) > 0.5


@pytest.mark.parametrize("make", [make_vae, make_wavegan])
def test_a_clip_depends_on_seed_and_number_alone(make):
    module = make()
    four, two = list(drawn_clips(module, 4, CLIP, seed=3)), list(drawn_clips(module, 2, CLIP, seed=3))
    for one, other in zip(four, two, strict=False):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not torch.equal(four[0], four[1])
    assert not torch.equal(four[0], next(drawn_clips(module, 1, CLIP, seed=4)))


def test_truncation_and_temperature_reach_the_latents():
    vae = make_vae()
    seen = []
    vae.decode_latent = lambda latent, num_samples: seen.append(latent) or torch.zeros(1, 1, num_samples)
    list(drawn_clips(vae, 3, 16 * 500, seed=0, temperature=2.0, truncation=0.5))
    assert 0.9 < max(float(latent.abs().max()) for latent in seen) <= 1.0
    with pytest.raises(
        OptionError, match=r"truncation is 0.5, but WaveGAN draws no normal noise(.|\n)*temperature"
    ):
        list(drawn_clips(make_wavegan(), 1, CLIP, seed=0, truncation=0.5))
