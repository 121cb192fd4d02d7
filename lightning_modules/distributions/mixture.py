"""Mixtures of diagonal Gaussians over latent frames: what the learned priors are made of."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.distributions.posterior import LOG_2PI, DiagonalGaussian


class DiagonalMixture(NamedTuple):
    """Σ_k w_k N(mean_k, diag exp(log_variance_k)) for each latent frame; axes of size 1 broadcast.

    Attributes:
        log_weights: (B, K, L), normalised over K.
        mean: (B, K, Z, L).
        log_variance: (B, K, Z, L).
    """

    log_weights: Tensor
    mean: Tensor
    log_variance: Tensor

    def log_prob(self, latent: Tensor) -> Tensor:
        """Log density of `latent` (B, Z, L) in nats, frame by frame: (B, L)."""
        difference = latent.float().unsqueeze(1) - self.mean  # (B, K, Z, L)
        squared = difference.square() * torch.exp(-self.log_variance)
        log_components = -0.5 * (squared + self.log_variance + LOG_2PI).sum(2)  # (B, K, L)
        return torch.logsumexp(self.log_weights + log_components, dim=1)

    def sample(self, temperature: float = 1.0) -> Tensor:
        """One draw for each frame, (B, Z, L), the deviation within a component times `temperature`."""
        # the largest of log weights plus Gumbel noise is a draw of the component
        noise = -torch.empty_like(self.log_weights).exponential_().log()
        chosen = (self.log_weights + noise).argmax(1)[:, None, None, :]  # (B, 1, 1, L)
        index = chosen.expand(-1, -1, self.mean.shape[2], -1)
        mean = self.mean.gather(1, index).squeeze(1)
        log_variance = self.log_variance.gather(1, index).squeeze(1)
        return mean + temperature * torch.exp(0.5 * log_variance) * torch.randn_like(mean)

    def expand(self, num_clips: int, num_frames: int) -> "DiagonalMixture":
        """The same mixture for each of (B, L) frames; only axes of size 1 can grow."""
        shape = (num_clips, -1, -1, num_frames)
        return DiagonalMixture(
            self.log_weights.expand(num_clips, -1, num_frames),
            self.mean.expand(shape),
            self.log_variance.expand(shape),
        )

    def divergence_of(self, posterior: DiagonalGaussian) -> Tensor:
        """KL(q ‖ p) of a mixture of one component, in closed form, element by element: (B, Z, L) nats."""
        mean, log_variance = self.mean[:, 0], self.log_variance[:, 0]
        own_mean, own_log_variance = posterior.mean.float(), posterior.log_variance.float()
        squared = (own_mean - mean).square() + own_log_variance.exp()
        return 0.5 * (squared * torch.exp(-log_variance) - 1.0 + log_variance - own_log_variance)


def static_mixture(logits: Tensor, mean: Tensor, log_variance: Tensor) -> DiagonalMixture:
    """One mixture for all frames, from logits (K,), mean (K, Z) and log_variance (K, Z)."""
    log_weights = logits.float().log_softmax(0)[None, :, None]
    means, log_variances = (value.float()[None, :, :, None] for value in (mean, log_variance))
    return DiagonalMixture(log_weights, means, log_variances)
