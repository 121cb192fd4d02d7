"""How far generated audio as a whole is from real audio: Fréchet distance, and diversity."""

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_modules.spectrogram import MelSpectrogram, power_to_db


def frechet_distance(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor
) -> Tensor:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians.

    ‖m - m'‖² + tr C + tr C' - 2 tr (C^½ C' C^½)^½ (Dowson and Landau 1982); the matrix under the last root is
    symmetric, so its eigenvalues alone are needed, and rounding never makes anything complex.

    Args:
        mean: (F,).
        covariance: (F, F), symmetric, positive semidefinite.
        other_mean: (F,).
        other_covariance: (F, F).

    Returns:
        Non-negative float64 scalar, in squared units of the features.
    """
    mean, covariance, other_mean, other_covariance = (
        value.double() for value in (mean, covariance, other_mean, other_covariance)
    )
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    common = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp_min(0.0).sqrt().sum()
    distance = (
        (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2.0 * common
    )
    return distance.clamp_min(0.0)


def mean_pairwise_distance(points: Tensor) -> Tensor:
    """Mean over all pairs of distinct rows of (N, F) of the root mean squared difference; 0 for one row."""
    if len(points) < 2:
        return points.new_zeros(())
    return torch.nn.functional.pdist(points).mean() / points.shape[1] ** 0.5


class FrechetLogMel(Metric):
    """Fréchet distance, in dB², between the log-mel frames of generated and of real clips.

    Mean and covariance are accumulated in float64: batch splits do not matter. A frame is 80 numbers, so a
    few seconds of audio suffice; embeddings of a network that knows music would tell more. Without a floor
    the silent treble of a clean recording, which nobody hears, would outweigh all that sounds.

    Args:
        sample_rate: Rate of the audio in Hz.
        fft_samples: STFT length in samples.
        hop_samples: STFT hop in samples.
        num_mels: Mel bands M.
        floor_db: Level below which all counts as silence, in dB relative to a full-scale sine.
    """

    full_state_update = False
    higher_is_better = False
    count: Tensor
    total: Tensor
    outer: Tensor

    def __init__(
        self,
        sample_rate: int,
        fft_samples: int = 1024,
        hop_samples: int = 256,
        num_mels: int = 80,
        floor_db: float = -80.0,
    ) -> None:
        super().__init__()
        self.mel = MelSpectrogram(sample_rate, fft_samples, hop_samples, num_mels)
        self.floor_db = floor_db
        # row 0: generated, row 1: real
        for name, shape in (("count", (2,)), ("total", (2, num_mels)), ("outer", (2, num_mels, num_mels))):
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, generated: Tensor, real: Tensor) -> None:
        """Add clips: `generated` (B, C, T) and `real` (B', C, T')."""
        for row, waveform in enumerate((generated, real)):
            decibels = power_to_db(self.mel(waveform), self.floor_db)  # (B, C, M, N)
            frames = decibels.double().movedim(2, -1).flatten(0, -2)  # (B * C * N, M)
            self.count[row] += len(frames)
            self.total[row] += frames.sum(0)
            self.outer[row] += frames.T @ frames

    def compute(self) -> Tensor:
        """The distance, a float32 scalar."""
        mean = self.total / self.count[:, None]
        covariance = self.outer / self.count[:, None, None] - mean[:, :, None] * mean[:, None, :]
        return frechet_distance(mean[0], covariance[0], mean[1], covariance[1]).float()


class Diversity(Metric):
    """Mean distance between generated clips over that between real ones; near 0 if all sound alike.

    The distance of two clips is the root mean squared difference of their log-mel spectrograms. Real clips of
    music give 1 by definition; noise, whose every clip has the same spectrogram, gives little.

    Args:
        sample_rate: Rate of the audio in Hz.
        fft_samples: STFT length in samples.
        hop_samples: STFT hop in samples.
        num_mels: Mel bands.
        floor_db: Level below which all counts as silence, in dB relative to a full-scale sine.
    """

    full_state_update = False
    higher_is_better = True
    generated: list[Tensor]
    real: list[Tensor]

    def __init__(
        self,
        sample_rate: int,
        fft_samples: int = 1024,
        hop_samples: int = 256,
        num_mels: int = 40,
        floor_db: float = -80.0,
    ) -> None:
        super().__init__()
        self.mel = MelSpectrogram(sample_rate, fft_samples, hop_samples, num_mels)
        self.floor_db = floor_db
        self.add_state("generated", [], dist_reduce_fx="cat")
        self.add_state("real", [], dist_reduce_fx="cat")

    def update(self, generated: Tensor, real: Tensor) -> None:
        """Add clips of one length: `generated` (B, C, T) and `real` (B', C, T)."""
        for kept, waveform in ((self.generated, generated), (self.real, real)):
            kept.append(power_to_db(self.mel(waveform), self.floor_db).flatten(1))

    def compute(self) -> Tensor:
        """The ratio, a scalar."""
        distances = [
            mean_pairwise_distance(torch.cat(kept) if isinstance(kept, list) else kept)
            for kept in (self.generated, self.real)
        ]
        return distances[0] / distances[1]
