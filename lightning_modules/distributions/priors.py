"""Priors p(z), which the posterior is held to and samples are drawn from: the role, and the plainest one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lightning_modules.distributions.posterior import LOG_2PI, DiagonalGaussian


class Prior(nn.Module, ABC):
    """Density over latent sequences z (B, Z, L)."""

    def connect(self, encode: Callable[[Tensor], DiagonalGaussian]) -> None:
        """Take note of the model's own encoder, for priors that are made of posteriors.

        Args:
            encode: Waveform (B, C, T) to posterior (B, Z, L). A function, so that the encoder's parameters
                are not registered a second time.
        """

    @abstractmethod
    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density in nats, frame by frame, each given the frames before it.

        Args:
            latent: (B, Z, L).

        Returns:
            (B, L) float32; the sum over frames is log p(z).
        """

    @abstractmethod
    def sample(self, num_clips: int, num_frames: int, temperature: float = 1.0) -> Tensor:
        """Draw latents.

        Args:
            num_clips: Number of sequences N.
            num_frames: Latent frames L of each.
            temperature: Factor on the standard deviation.

        Returns:
            (N, Z, L) on the prior's device.
        """

    def forward(self, posterior: DiagonalGaussian, latent: Tensor) -> Tensor:
        """KL(q(z|x) ‖ p(z)) in nats, split as finely as the prior factorises.

        Where there is no closed form: log q(z|x) - log p(z) at the one draw given, which is unbiased.

        Args:
            posterior: q(z|x) with parameters (B, Z, L).
            latent: (B, Z, L), a draw from it, for priors without a closed form.

        Returns:
            (B, Z, L) where the prior factorises over latent dimensions, else (B, 1, L); the sum over the last
            two axes is the clip's KL. Float32.
        """
        log_posterior = posterior.log_prob(latent).float().sum(1)  # (B, L)
        return (log_posterior - self.log_prob(latent)).unsqueeze(1)


@runtime_checkable
class HasPrior(Protocol):
    """A model whose latents have a posterior, and a prior that another density can replace.

    Attributes:
        clip_samples: Length of the clips it is trained on, in samples.
    """

    clip_samples: int

    def draw_posterior(self, waveform: Tensor) -> Tensor:
        """Draw latents (B, Z, L) from the posterior of `waveform` (B, C, T)."""

    def latent_prior(self) -> Prior:
        """The density that `sample` draws latents from."""

    def replace_prior(self, prior: Prior) -> None:
        """Put another density of the same latents in its place."""


class StandardNormal(Prior):
    """p(z) = N(0, I), independent over dimensions and frames.

    Args:
        latent_size: Latent dimensions Z per frame.
    """

    _device_probe: Tensor

    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size
        # without a tensor of its own a module does not know which device it was moved to
        self.register_buffer("_device_probe", torch.empty(0), persistent=False)

    def forward(self, posterior: DiagonalGaussian, latent: Tensor) -> Tensor:
        """Closed form of Kingma & Welling 2014, appendix B; `latent` is not used."""
        mean, log_variance = posterior.mean.float(), posterior.log_variance.float()
        return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)  # (B, Z, L)

    def log_prob(self, latent: Tensor) -> Tensor:
        """See `Prior.log_prob`."""
        return -0.5 * (latent.float().square() + LOG_2PI).sum(1)

    def sample(self, num_clips: int, num_frames: int, temperature: float = 1.0) -> Tensor:
        """See `Prior.sample`."""
        shape = (num_clips, self.latent_size, num_frames)
        return temperature * torch.randn(shape, device=self._device_probe.device)
