"""Metrics of a reconstruction against its original, averaged over clips."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.audio.spectrogram import MelSpectrogram, STFTMagnitude
from lightning_modules.metrics import functional
from lightning_modules.metrics.float64 import Float64Metric
from lightning_modules.numerics.precision import to_float64

BAND_EDGES_KHZ = ((0, 2), (2, 5), (5, 10), (10, 20))
"""Parts of the band whose scores stand in the table of a test; the last one of a rate ends at its half."""


class ClipMean(Float64Metric):
    """Mean over clips of a value computed clip by clip; sums in float64, so batch splits do not matter."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def values(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The formula: two batches (B, C, T) -> (B,)."""
        raise NotImplementedError

    def update(self, estimate: Tensor, target: Tensor) -> None:
        """Add clips: `estimate` and `target` are (B, C, T)."""
        self.total += to_float64(self.values(estimate, target)).sum()
        self.count += len(target)

    def compute(self) -> Tensor:
        """Mean over all clips added, float32 scalar."""
        return (self.total / self.count).float()


class LogMelDistance(ClipMean):
    """Mean absolute difference of log-mel spectrograms in dB; see `functional.log_mel_distance`.

    Args:
        sample_rate: Rate of the audio in Hz.
        fft_samples: STFT length in samples.
        hop_samples: STFT hop in samples.
        num_mels: Mel bands.
        low_hz: Bands with a centre below it do not count.
        high_hz: Nor those with a centre at or above it.
    """

    def __init__(
        self,
        sample_rate: int,
        fft_samples: int = 1024,
        hop_samples: int = 256,
        num_mels: int = 80,
        low_hz: float = 0.0,
        high_hz: float = math.inf,
    ) -> None:
        super().__init__()
        self.mel = MelSpectrogram(sample_rate, fft_samples, hop_samples, num_mels)
        frequency = torch.linspace(0.0, sample_rate / 2, fft_samples // 2 + 1)
        centre = self.mel.filters @ frequency  # of each band; a filter sums to 1
        self.bands = slice(int((centre < low_hz).sum()), int((centre < high_hz).sum()))

    def values(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `functional.log_mel_distance`."""
        return functional.log_mel_distance(estimate, target, self.mel, bands=self.bands)


def band_distances(sample_rate: int) -> dict[str, LogMelDistance]:
    """`LogMelDistance` of each part of the band, by name: where in the spectrum a model is good."""
    ranges = [(low, high) for low, high in BAND_EDGES_KHZ if 2000 * low < sample_rate]
    return {
        f"log_mel_distance_{low}_to_{high}_khz": LogMelDistance(
            sample_rate, low_hz=1000.0 * low, high_hz=1000.0 * high
        )
        for low, high in ranges
    }


class StereoLevelDistance(ClipMean):
    """How far level differences of left and right are off, in dB; see `functional.stereo_level_distance`.

    Args:
        sample_rate: Rate of the audio in Hz.
        by_power: Whether bands and frames count as much as their power in the target, and not alike.
    """

    def __init__(self, sample_rate: int, by_power: bool = False) -> None:
        super().__init__()
        self.by_power = by_power
        self.mel = MelSpectrogram(sample_rate)

    def values(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `functional.stereo_level_distance`."""
        return functional.stereo_level_distance(estimate, target, self.mel, self.by_power)


class StereoCorrelationDistance(ClipMean):
    """How far the correlation of left and right is off; see `functional.stereo_correlation_distance`."""

    def values(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `functional.stereo_correlation_distance`."""
        return functional.stereo_correlation_distance(estimate, target)


class MultiScaleSpectralDistance(ClipMean):
    """Spectral convergence plus log-magnitude distance; see `functional.multi_scale_spectral_distance`.

    Args:
        fft_samples: STFT lengths in samples; hops are a quarter of them.
    """

    def __init__(self, fft_samples: Sequence[int] = (2048, 1024, 512, 256, 128, 64)) -> None:
        super().__init__()
        self.scales = nn.ModuleList(STFTMagnitude(n, n // 4, floor=1e-5) for n in fft_samples)

    def values(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `functional.multi_scale_spectral_distance`."""
        return functional.multi_scale_spectral_distance(estimate, target, self.scales)


class ScaleInvariantSDR(ClipMean):
    """Scale-invariant signal-to-distortion ratio in dB; see `functional.si_sdr`."""

    def values(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `functional.si_sdr`."""
        return functional.si_sdr(estimate, target)


class ChromaSimilarity(ClipMean):
    """Similarity of the pitch classes that sound at the same time; see `functional.chroma_similarity`.

    Args:
        sample_rate: Rate of the audio in Hz.
        fft_samples: STFT length in samples; long, to tell semitones apart.
        hop_samples: STFT hop in samples.
    """

    filters: Tensor

    def __init__(self, sample_rate: int, fft_samples: int = 4096, hop_samples: int = 1024) -> None:
        super().__init__()
        from librosa.filters import chroma  # a second to import, and needed at test only

        self.stft = STFTMagnitude(fft_samples, hop_samples)
        filters = torch.from_numpy(chroma(sr=sample_rate, n_fft=fft_samples, tuning=0.0)).float()
        self.register_buffer("filters", filters, persistent=False)

    def values(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `functional.chroma_similarity`."""
        return functional.chroma_similarity(estimate, target, self.stft, self.filters)
