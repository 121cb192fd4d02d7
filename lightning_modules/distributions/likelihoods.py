"""Likelihoods p(x|z): how probable a waveform is, given what the decoder expects."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.distributions.posterior import LOG_2PI
from lightning_modules.errors import OptionError
from lightning_modules.numerics.log_parameter import log_of, log_parameter
from lightning_modules.numerics.precision import has_float64


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
    is worth, and β = 1 is the true ELBO (σ-VAE: Rybkin, Daniilidis, Levine 2021). While σ is too large, the
    decoder may ignore the waveform's phase.

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
        self.tenth_of_log_variance = log_parameter(2.0 * math.log(initial_deviation))

    def bounded_log_variance(self) -> Tensor:
        """Return ln σ², scalar, not below the bound."""
        return _bounded(self.tenth_of_log_variance, self.smallest_deviation)

    def forward(self, waveform: Tensor, mean: Tensor) -> Tensor:
        """See `Likelihood.forward`. Float32 under any autocast: squares of small errors underflow in half."""
        with torch.autocast(waveform.device.type, enabled=False):
            log_variance = self.bounded_log_variance()
            squared_error = (waveform.float() - mean.float()).square().flatten(1)  # (B, C*T)
            constant = squared_error.shape[1] * (log_variance + LOG_2PI)
            return -0.5 * (squared_error.sum(1) * torch.exp(-log_variance) + constant)


class LevelGaussianLikelihood(Likelihood):
    """N(mean, σ²) whose variance follows the level of the mean: a share of its power around, and a floor.

    Piano swings by 60 dB between a fortissimo and what is left of it seconds later. One variance for both is
    that of the loud: then quiet passages may be wrong by as much as they are loud, and no nats are spent on
    them. Here an error counts by its ratio to the sound that it lies in. The mean is a function of z, so this
    is a density of x given z like any other, and share and floor are learned with it, as in σ-VAE.

    Args:
        block_samples: Samples that share a variance. It is that of the power over five blocks around.
        initial_share: Variance over that power before training; the square of an error's ratio to the sound.
        initial_deviation: Square root of the floor before training, in waveform units (1 = full scale).
        smallest_deviation: Lower bound of it. The default, 2^-14, is two steps of 16-bit audio.
    """

    def __init__(
        self,
        block_samples: int = 128,
        initial_share: float = 0.1,
        initial_deviation: float = 0.01,
        smallest_deviation: float = 2.0**-14,
    ) -> None:
        super().__init__()
        if block_samples < 1 or initial_share <= 0.0 or not 0.0 < smallest_deviation <= initial_deviation:
            raise OptionError(
                "LevelGaussianLikelihood needs block_samples > 0, initial_share > 0 and "
                f"0 < smallest_deviation <= initial_deviation, got block_samples={block_samples}, "
                f"initial_share={initial_share}, smallest_deviation={smallest_deviation}, "
                f"initial_deviation={initial_deviation}",
                "the defaults suit 16 kHz",
            )
        self.block_samples = block_samples
        self.initial_share = initial_share
        self.initial_deviation = initial_deviation
        self.smallest_deviation = smallest_deviation
        self.tenth_of_log_share = log_parameter(math.log(initial_share))
        self.tenth_of_log_variance = log_parameter(2.0 * math.log(initial_deviation))

    def log_variance(self, mean: Tensor) -> Tensor:
        """Return ln σ² of each sample, (B, 1, T), of an output (B, C, T): all channels have the same."""
        power = mean.float().square().mean(1, keepdim=True)  # (B, 1, T)
        blocks = functional.avg_pool1d(power, self.block_samples, ceil_mode=True)
        around = functional.avg_pool1d(blocks, 5, stride=1, padding=2, count_include_pad=False)
        share = log_of(self.tenth_of_log_share.float()).exp()
        floor = _bounded(self.tenth_of_log_variance, self.smallest_deviation)
        log_variance = torch.log(share * around + floor.exp())
        return log_variance.repeat_interleave(self.block_samples, dim=2)[..., : mean.shape[-1]]

    def forward(self, waveform: Tensor, mean: Tensor) -> Tensor:
        """See `Likelihood.forward`. Float32 under any autocast."""
        with torch.autocast(waveform.device.type, enabled=False):
            log_variance = self.log_variance(mean)
            squared_error = (waveform.float() - mean.float()).square()
            density = squared_error * torch.exp(-log_variance) + log_variance + LOG_2PI
            return -0.5 * density.flatten(1).sum(1)


class BandGaussianLikelihood(Likelihood):
    """A Gaussian with one learned variance for each frequency band: piano falls by 80 dB over the spectrum.

    The error is cut into blocks, and an orthonormal cosine transform (DCT-II) takes each block to its bands.
    An orthonormal map changes no density, so this is an exact density of the waveform: for equal variances
    `GaussianLikelihood`. What remains of a block at the end is transformed alone, and its fewer, wider bands
    have the variances of those they lie in.

    Args:
        num_bands: Bands, and samples of a block.
        initial_deviation: Standard deviation of every band before training, in waveform units.
        smallest_deviation: Lower bound of them. Bands above the partials of a clean recording hold less than
            a step of 16-bit audio, so it is lower than that of one variance for all.
    """

    def __init__(
        self, num_bands: int = 64, initial_deviation: float = 0.02, smallest_deviation: float = 2.0**-14
    ) -> None:
        super().__init__()
        if num_bands < 1 or not 0.0 < smallest_deviation <= initial_deviation:
            raise OptionError(
                "BandGaussianLikelihood needs num_bands > 0 and 0 < smallest_deviation <= initial_deviation, "
                f"got num_bands={num_bands}, smallest_deviation={smallest_deviation}, "
                f"initial_deviation={initial_deviation}",
                "raise initial_deviation or lower smallest_deviation",
            )
        self.num_bands = num_bands
        self.initial_deviation = initial_deviation
        self.smallest_deviation = smallest_deviation
        self.tenth_of_log_variance = log_parameter(2.0 * math.log(initial_deviation), num_bands)

    def bounded_log_variance(self) -> Tensor:
        """Return ln σ² of each band, low to high, (num_bands,), not below the bound."""
        return _bounded(self.tenth_of_log_variance, self.smallest_deviation)

    def forward(self, waveform: Tensor, mean: Tensor) -> Tensor:
        """See `Likelihood.forward`. Float32 under any autocast."""
        with torch.autocast(waveform.device.type, enabled=False):
            error = waveform.float() - mean.float()
            whole = error.shape[-1] // self.num_bands * self.num_bands
            parts = [self._log_density(part) for part in (error[..., :whole], error[..., whole:])]
            return parts[0] + parts[1]

    def _log_density(self, error: Tensor) -> Tensor:
        """Log density (B,) of errors (B, C, T): whole blocks, or one block shorter than that."""
        if error.shape[-1] == 0:
            return error.new_zeros(len(error))
        size = min(self.num_bands, error.shape[-1])
        band = torch.arange(size, device=error.device) * self.num_bands // size
        log_variance = self.bounded_log_variance()[band]
        transform = cosine_transform(size, error.device)
        coefficients = functional.linear(error.unflatten(-1, (-1, size)), transform)
        squared = coefficients.square() * torch.exp(-log_variance)
        return -0.5 * (squared + log_variance + LOG_2PI).flatten(1).sum(1)


def _bounded(tenth_of_log_variance: Tensor, smallest_deviation: float) -> Tensor:
    """Return ln σ² of learned variances, not below that of the smallest deviation."""
    return log_of(tenth_of_log_variance.float()).clamp_min(2.0 * math.log(smallest_deviation))


def cosine_transform(size: int, device: torch.device | None = None) -> Tensor:
    """Orthonormal DCT-II matrix, (size, size): rows are frequencies, low to high."""
    exact = device is None or has_float64(device)
    index = torch.arange(size, dtype=torch.float64 if exact else torch.float32, device=device)
    matrix = torch.cos(math.pi / size * (index + 0.5) * index[:, None]) * math.sqrt(2.0 / size)
    matrix[0] *= math.sqrt(0.5)
    return matrix.float()
