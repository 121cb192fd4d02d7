"""The evidence lower bound and its parts."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.distributions.likelihoods import Likelihood
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import Prior


class ELBO(NamedTuple):
    """ELBO = E_q[log p(x|z)] - KL(q(z|x) ‖ p(z)), clip by clip.

    Attributes:
        log_likelihood: (B,) log p(x|z) in nats for one draw of z.
        kl: (B,) KL in nats.
    """

    log_likelihood: Tensor
    kl: Tensor

    @property
    def value(self) -> Tensor:
        """(B,) the bound itself, in nats: weights and free bits never touch it."""
        return self.log_likelihood - self.kl


def free_bits(kl: Tensor, free_nats: float) -> Tensor:
    """KL of a batch where each latent dimension is charged for at least `free_nats` per frame.

    A dimension below the allowance gives no gradient, so nothing is gained by switching it off
    (Kingma et al. 2016, "Improved Variational Inference with Inverse Autoregressive Flow", eq. 15).

    Args:
        kl: (B, Z or 1, L) nats, as `Prior.forward` returns it.
        free_nats: Allowance in nats per dimension and latent frame; 0 leaves the KL as it is.

    Returns:
        Scalar, mean over clips, sum over dimensions and frames, in nats.
    """
    per_dimension = kl.mean(dim=(0, 2)).clamp_min(free_nats) if free_nats > 0 else kl.mean(dim=(0, 2))
    return per_dimension.sum() * kl.shape[2]


def importance_weighted_bound(
    waveform: Tensor,
    posterior: DiagonalGaussian,
    decode: Callable[[Tensor, int], Tensor],
    prior: Prior,
    likelihood: Likelihood,
    num_draws: int,
) -> Tensor:
    """E[log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x)], which rises with K from the ELBO to log p(x).

    Source: Burda, Grosse, Salakhutdinov 2016, "Importance Weighted Autoencoders", eq. 8.

    Args:
        waveform: (B, C, T), the clips x.
        posterior: q(z|x).
        decode: Latents (B, Z, L) and the length T to the mean of p(x|z), (B, C, T).
        prior: p(z).
        likelihood: p(x|z).
        num_draws: Draws K of z for each clip.

    Returns:
        (B,) in nats.
    """
    log_weights = []
    for _ in range(num_draws):
        latent = posterior.sample()
        log_likelihood = likelihood(waveform, decode(latent, waveform.shape[-1]))
        log_posterior = posterior.log_prob(latent).sum(dim=(1, 2))
        log_weights.append(log_likelihood + prior.log_prob(latent).sum(1) - log_posterior)
    return torch.logsumexp(torch.stack(log_weights), dim=0) - math.log(num_draws)
