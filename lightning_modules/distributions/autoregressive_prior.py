"""A prior with a memory: each latent frame given those before it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.distributions.mixture import DiagonalMixture
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import Prior
from lightning_modules.errors import OptionError
from lightning_modules.networks.causal import CausalNetwork

SMALLEST_LOG_VARIANCE = -10.0


class AutoregressivePrior(Prior):
    """p(z) = Π_l p(z_l | z_<l), each factor a mixture of diagonal Gaussians that a causal network gives.

    The log density of a given sequence is one parallel pass; a sample is drawn frame by frame, and the
    network keeps what it needs of the past. It starts near the standard normal.

    Args:
        latent_size: Latent dimensions Z per frame.
        num_components: Components K of each factor; with one, the KL of each frame given a draw of those
            before is in closed form.
        hidden_size: Features of the network.
        kernel_size: Frames each of its blocks reads.
        dilations: Distance between them, block by block; the network sees 1 + (kernel_size - 1) * sum frames.
    """

    def __init__(
        self,
        latent_size: int,
        num_components: int = 8,
        hidden_size: int = 256,
        kernel_size: int = 3,
        dilations: Sequence[int] = (1, 2, 4, 8, 16),
    ) -> None:
        super().__init__()
        if num_components < 1:
            raise OptionError(f"AutoregressivePrior: num_components is {num_components}", "give at least 1")
        self.latent_size = latent_size
        self.num_components = num_components
        self.hidden_size = hidden_size
        self.kernel_size = kernel_size
        self.dilations = list(dilations)
        output_size = num_components * (1 + 2 * latent_size)
        self.network = CausalNetwork(latent_size, output_size, hidden_size, kernel_size, self.dilations)
        self.start = nn.Parameter(torch.zeros(latent_size))
        if num_components > 1:  # else all would stay alike
            with torch.no_grad():
                nn.init.normal_(self.network.output.bias[: num_components * latent_size], std=0.3)  # type: ignore[index]

    def conditional(
        self, previous: Tensor, past: Sequence[Tensor] | None = None
    ) -> tuple[DiagonalMixture, list[Tensor]]:
        """p(z_l | z_<l) for every l.

        Args:
            previous: (B, Z, L): z_{l-1} at l, the learned start at the first frame.
            past: State of the network before these frames; None at the start.

        Returns:
            The mixtures, and the network's state after these frames.
        """
        output, state = self.network(previous, past)
        num, size = self.num_components, self.latent_size
        mean, log_variance, logits = output.float().split([num * size, num * size, num], dim=1)
        # a soft bound: a component on a single frame of the data would have no smallest variance
        log_variance = SMALLEST_LOG_VARIANCE + functional.softplus(log_variance - SMALLEST_LOG_VARIANCE)
        mixture = DiagonalMixture(
            logits.log_softmax(1), mean.unflatten(1, (num, size)), log_variance.unflatten(1, (num, size))
        )
        return mixture, state

    def given_before(self, latent: Tensor) -> DiagonalMixture:
        """p(z_l | z_<l) for every frame of `latent` (B, Z, L), in one pass."""
        start = self.start[None, :, None].expand(len(latent), -1, 1)
        return self.conditional(torch.cat([start, latent.float()[..., :-1]], dim=2))[0]

    def forward(self, posterior: DiagonalGaussian, latent: Tensor) -> Tensor:
        """KL given one draw of the frames before: closed form for one component; see `Prior.forward`."""
        if self.num_components == 1:
            return self.given_before(latent).divergence_of(posterior)
        return super().forward(posterior, latent)

    def log_prob(self, latent: Tensor) -> Tensor:
        """See `Prior.log_prob`."""
        return self.given_before(latent).log_prob(latent)

    @torch.no_grad()
    def sample(self, num_clips: int, num_frames: int, temperature: float = 1.0) -> Tensor:
        """See `Prior.sample`; `temperature` scales the deviation within a component."""
        frame = self.start[None, :, None].expand(num_clips, -1, 1)
        past, frames = None, []
        for _ in range(num_frames):
            mixture, past = self.conditional(frame, past)
            frame = mixture.sample(temperature)
            frames.append(frame)
        return torch.cat(frames, dim=2)
