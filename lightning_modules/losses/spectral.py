"""Distances between spectra, as differentiable losses.

Written here, for torchaudio has no multi-resolution STFT loss, and those of other libraries do not take the
spectral convergence over the batch of all processes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.audio.spectrogram import STFTMagnitude
from lightning_modules.errors import OptionError
from lightning_modules.numerics.processes import share, total


class SpectralLoss(nn.Module, ABC):
    """Distance between two waveforms that looks at their spectra."""

    @abstractmethod
    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Compare two batches of clips.

        Args:
            estimate: (B, C, T).
            target: (B, C, T).

        Returns:
            Scalar, mean over the batch, non-negative, 0 for equal waveforms. Dimensionless.
        """


class MultiResolutionSTFTLoss(SpectralLoss):
    """Spectral convergence plus log-magnitude distance, averaged over STFT resolutions.

    For each resolution ‖Y - X‖_F / ‖X‖_F (over the batch) plus mean |ln Y - ln X|
    (Yamamoto, Song, Kim 2020, "Parallel WaveGAN", eqs. 4 to 6).

    Args:
        fft_samples: Transform lengths in samples, one per resolution.
        overlap: Frames that cover each sample; the hop is the transform length over this.
        floor: Smallest magnitude (a full-scale sine is 1) that the logarithm distinguishes.
    """

    def __init__(
        self, fft_samples: Sequence[int] = (2048, 1024, 512, 256, 128), overlap: int = 4, floor: float = 1e-5
    ) -> None:
        super().__init__()
        if not fft_samples or min(fft_samples) < overlap or overlap < 1:
            raise OptionError(
                "MultiResolutionSTFTLoss needs at least one transform length, and 1 <= overlap <= each; "
                f"got fft_samples={list(fft_samples)}, overlap={overlap}",
                "4 frames over each sample are usual",
            )
        self.fft_samples = list(fft_samples)
        self.overlap = overlap
        self.floor = floor
        self.transforms = nn.ModuleList(STFTMagnitude(n, n // overlap, floor) for n in self.fft_samples)

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `SpectralLoss.forward`; mean over resolutions."""
        distances = [
            spectral_distance(transform(estimate), transform(target)) for transform in self.transforms
        ]
        return torch.stack(distances).mean()


def spectral_distance(estimate: Tensor, target: Tensor) -> Tensor:
    """Spectral convergence plus mean absolute log ratio of two magnitude spectra (equal shapes): scalar."""
    convergence = norm(estimate - target) / norm(target)
    return convergence + (estimate.log() - target.log()).abs().mean()


def norm(value: Tensor) -> Tensor:
    """Frobenius norm over the batch: in distributed training, over the batches of all processes."""
    own = torch.linalg.vector_norm(value)
    return own if share() == (1, 0) else total(own.square()).sqrt()
