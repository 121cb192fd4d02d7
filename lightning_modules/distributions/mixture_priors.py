"""Priors that are one mixture for all latent frames: free components, or posteriors of pseudo-inputs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_modules.distributions.mixture import DiagonalMixture, static_mixture
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import Prior
from lightning_modules.errors import OptionError


class MixturePrior(Prior):
    """p(z) = Σ_k w_k N(mean_k, diag variance_k), independent over frames."""

    def mixture(self) -> DiagonalMixture:
        """The mixture, with B = L = 1."""
        raise NotImplementedError

    def forward(self, posterior: DiagonalGaussian, latent: Tensor) -> Tensor:
        """Closed form for one component, else Monte Carlo; see `Prior.forward`."""
        mixture = self.mixture()
        if mixture.mean.shape[1] == 1:
            return mixture.divergence_of(posterior)
        return super().forward(posterior, latent)

    def log_prob(self, latent: Tensor) -> Tensor:
        """See `Prior.log_prob`."""
        return self.mixture().log_prob(latent)

    def sample(self, num_clips: int, num_frames: int, temperature: float = 1.0) -> Tensor:
        """See `Prior.sample`; `temperature` scales the deviation within a component."""
        return self.mixture().expand(num_clips, num_frames).sample(temperature)


class GaussianMixture(MixturePrior):
    """Free weights, means and variances, learned with the VAE or fitted to its latents afterwards.

    Args:
        latent_size: Latent dimensions Z per frame.
        num_components: Components K.
        spread: Standard deviation of the initial means; each component starts at unit variance.
    """

    def __init__(self, latent_size: int, num_components: int = 32, spread: float = 0.5) -> None:
        super().__init__()
        if num_components < 1:
            raise OptionError(f"GaussianMixture: num_components is {num_components}", "give at least 1")
        self.latent_size = latent_size
        self.num_components = num_components
        self.spread = spread
        # a single weight is 1 whatever its logit is
        self.logits = nn.Parameter(torch.zeros(num_components), requires_grad=num_components > 1)
        self.mean = nn.Parameter(spread * torch.randn(num_components, latent_size))
        self.log_variance = nn.Parameter(torch.zeros(num_components, latent_size))

    def mixture(self) -> DiagonalMixture:
        """See `MixturePrior.mixture`."""
        return static_mixture(self.logits, self.mean, self.log_variance)


class VampPrior(MixturePrior):
    """The mixture of the posteriors of learned pseudo-inputs (Tomczak & Welling 2018, eq. 9).

    Each pseudo-input is a short waveform; the posterior of its middle frame is one component. The prior thus
    moves with the encoder, and holds none of its parameters: the VAE lends it `encode`.

    Args:
        num_components: Pseudo-inputs K.
        pseudo_samples: Length of each in samples: what the encoder sees around one latent frame.
        channels: Audio channels C.
        level: Standard deviation of the pseudo-inputs at the start, in waveform units. What is learned is
            kept at unit scale, and the optimiser's steps are scaled with it.
    """

    def __init__(
        self, num_components: int = 64, pseudo_samples: int = 2304, channels: int = 1, level: float = 0.1
    ) -> None:
        super().__init__()
        self.num_components = num_components
        self.pseudo_samples = pseudo_samples
        self.channels = channels
        self.level = level
        self.logits = nn.Parameter(torch.zeros(num_components), requires_grad=num_components > 1)
        self.pseudo_inputs = nn.Parameter(torch.randn(num_components, channels, pseudo_samples))
        self._encode: Callable[[Tensor], DiagonalGaussian] | None = None

    def connect(self, encode: Callable[[Tensor], DiagonalGaussian]) -> None:
        """See `Prior.connect`."""
        self._encode = encode

    def mixture(self) -> DiagonalMixture:
        """See `MixturePrior.mixture`."""
        if self._encode is None:
            raise OptionError(
                "VampPrior has no encoder to make its components with",
                "give it to a VAE, which lends its own, or call connect(encode)",
            )
        posterior = self._encode(self.level * self.pseudo_inputs)  # (K, Z, frames)
        middle = posterior.mean.shape[2] // 2
        return static_mixture(self.logits, posterior.mean[..., middle], posterior.log_variance[..., middle])
