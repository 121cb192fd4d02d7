"""The approximate posterior q(z|x)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.numerics.processes import normal_noise

LOG_2PI = math.log(2.0 * math.pi)


class DiagonalGaussian(NamedTuple):
    """q(z|x) = N(mean, diag exp(log_variance)).

    Attributes:
        mean: (B, Z, L).
        log_variance: (B, Z, L).
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        """Reparameterised draw z = mean + exp(log_variance / 2) * noise (Kingma & Welling 2014, eq. 10)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * normal_noise(self.mean)

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density of `latent` (B, Z, L), element by element, in nats: (B, Z, L)."""
        squared = (latent - self.mean).square() * torch.exp(-self.log_variance)
        return -0.5 * (squared + self.log_variance + LOG_2PI)
