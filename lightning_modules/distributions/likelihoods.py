"""Likelihoods p(x|z): how probable a waveform is, given what the decoder expects."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_modules.distributions.posterior import LOG_2PI
from lightning_modules.errors import OptionError


class Likelihood(nn.Module, ABC):
    """Density of a waveform around the decoder's output."""

    @abstractmethod
    def forward(self, waveform: Tensor, mean: Tensor) -> Tensor:
        """Log likelihood of each clip.

        Args:
            waveform: (B, C, T), the clip x.
            mean: (B, C, T), the decoder's output.

        Returns:
            (B,) float32: log p(x|z) in nats, summed over channels and samples.
        """


class GaussianLikelihood(Likelihood):
    """N(mean, σ²) with one learned variance for all samples.

    The best variance is the mean squared error, so the decoder's error sets by itself how many nats a latent
    is worth, and β = 1 is the true ELBO (σ-VAE: Rybkin, Daniilidis, Levine 2021). The parameter is a tenth of
    ln σ²: Adam moves any parameter by about the learning rate a step, and ln σ² has nats to go where weights
    have hundredths. While σ is too large, the decoder may ignore the waveform's phase.

    Args:
        initial_deviation: Standard deviation σ before training, in waveform units (1 = full scale).
        smallest_deviation: Lower bound of σ. The default, 2^-13, is four steps of 16-bit audio.
    """

    def __init__(self, initial_deviation: float = 0.02, smallest_deviation: float = 2.0**-13) -> None:
        super().__init__()
        if not 0.0 < smallest_deviation <= initial_deviation:
            raise OptionError(
                f"GaussianLikelihood needs 0 < smallest_deviation <= initial_deviation, "
                f"got smallest_deviation={smallest_deviation}, initial_deviation={initial_deviation}",
                "raise initial_deviation or lower smallest_deviation",
            )
        self.initial_deviation = initial_deviation
        self.smallest_deviation = smallest_deviation
        self.tenth_of_log_variance = nn.Parameter(torch.tensor(0.2 * math.log(initial_deviation)))

    def bounded_log_variance(self) -> Tensor:
        """Return ln σ², scalar, not below the bound."""
        log_variance = 10.0 * self.tenth_of_log_variance.float()
        return log_variance.clamp_min(2.0 * math.log(self.smallest_deviation))

    def forward(self, waveform: Tensor, mean: Tensor) -> Tensor:
        """See `Likelihood.forward`. Float32 under any autocast: squares of small errors underflow in half."""
        with torch.autocast(waveform.device.type, enabled=False):
            log_variance = self.bounded_log_variance()
            squared_error = (waveform.float() - mean.float()).square().flatten(1)  # (B, C*T)
            constant = squared_error.shape[1] * (log_variance + LOG_2PI)
            return -0.5 * (squared_error.sum(1) * torch.exp(-log_variance) + constant)
