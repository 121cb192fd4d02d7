"""Distance of generated audio as a whole from real audio: Fréchet distance, and diversity."""

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_modules.audio.spectrogram import MelSpectrogram, power_to_db
from lightning_modules.metrics.distances import (
    frechet_distance,
    mean_pairwise_distance,
    moments_of_sums,
)
from lightning_modules.metrics.embeddings import Embedding
from lightning_modules.metrics.float64 import Float64Metric
from lightning_modules.numerics.precision import to_float64


class FrechetLogMel(Float64Metric):
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
            frames = to_float64(decibels).movedim(2, -1).flatten(0, -2)  # (B * C * N, M)
            self.count[row] += len(frames)
            self.total[row] += frames.sum(0)
            self.outer[row] += frames.T @ frames

    def compute(self) -> Tensor:
        """The distance, a float32 scalar."""
        fitted = [moments_of_sums(self.count[row], self.total[row], self.outer[row]) for row in (0, 1)]
        return frechet_distance(*fitted[0], *fitted[1]).float()


class EmbeddedClips(Metric):
    """Keeps the vectors of all clips of an epoch, from all devices.

    Args:
        embedding: Which vectors.
        sample_rate: Rate of the audio in Hz.
    """

    full_state_update = False
    vectors: list[Tensor]

    def __init__(self, embedding: Embedding, sample_rate: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.sample_rate = sample_rate
        self.add_state("vectors", [], dist_reduce_fx="cat")

    def update(self, waveform: Tensor) -> None:
        """Add clips (B, C, T) of one length."""
        self.vectors.append(self.embedding(waveform, self.sample_rate))

    def compute(self) -> Tensor:
        """(N, E, F) float32."""
        return torch.cat(self.vectors) if isinstance(self.vectors, list) else self.vectors


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
