"""F of the notes: waveform -> for each key and frame, whether a note begins, whether one sounds, how hard.

It has a front end of its own: semitones of the lower half of the keyboard need filters of some 2,000 samples,
which the critics' trunk of strided convolutions over 25 samples would have to learn first.
"""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.audio.spectrogram import STFTMagnitude
from lightning_modules.networks.trunk import FeatureMaps
from lightning_modules.numerics.precision import full_precision

LOWEST_PITCH = 21
NUM_KEYS = 88
BANDS_PER_SEMITONE = 3
BANDS_PER_OCTAVE = 12 * BANDS_PER_SEMITONE
HARMONICS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
"""Multiples of a fundamental whose levels are laid beside each other; half of it tells octaves apart."""
FAINTEST_LEVEL = 3000.0
"""Levels are logarithms of 1 + this times the magnitude: what lies 70 dB below full scale is near 0."""
FIRST_LOGITS = (-4.0, -3.0, 0.0)
"""Of onsets, sounding notes and velocities before training: of 88 keys, few begin or sound."""


class NoteLogits(NamedTuple):
    """A transcriber's logits for each key K = 88 (A0 to C8) and frame; sigmoids turn them into probabilities.

    Attributes:
        onset: (B, K, N), high where a note begins.
        sounding: (B, K, N), high while a string sounds, by its key or by a pedal.
        velocity: (B, K, N), the sigmoid is velocity / 127; means something at onsets only.
    """

    onset: Tensor
    sounding: Tensor
    velocity: Tensor


class NoteConverter(nn.Module, ABC):
    """F of the notes: what a waveform sounds like -> which notes are played.

    Attributes:
        sample_rate: Of the audio, in Hz.
        hop_samples: Distance between frames in samples; frame n is about sample n * hop_samples.
        reads_trunk: Whether it needs the trunk's maps.
    """

    sample_rate: int
    hop_samples: int
    reads_trunk: bool

    @abstractmethod
    def forward(self, waveform: Tensor, maps: FeatureMaps | None = None) -> NoteLogits:
        """Say which notes begin and sound.

        Args:
            waveform: (B, C, T) in [-1, 1].
            maps: The trunk's of the same clips; may be None where `reads_trunk` is false.

        Returns:
            (B, K, N) each.
        """


class LogFrequencySpectrogram(nn.Module):
    """Levels in thirds of a semitone, through a long and a short window: which key, and when.

    Args:
        sample_rate: In Hz.
        hop_samples: Distance between frames in samples.
        window_seconds: Lengths of the windows; one output channel each.
    """

    def __init__(self, sample_rate: int, hop_samples: int, window_seconds: tuple[float, ...]) -> None:
        super().__init__()
        lengths = [2 * round(seconds * sample_rate / 2) for seconds in window_seconds]
        self.transforms = nn.ModuleList(STFTMagnitude(length, hop_samples) for length in lengths)
        # from an octave below the lowest key to three above the highest
        steps = torch.arange(-BANDS_PER_OCTAVE, NUM_KEYS * BANDS_PER_SEMITONE + 3 * BANDS_PER_OCTAVE)
        centres = 440.0 * 2.0 ** ((LOWEST_PITCH - 69) / 12 + steps / BANDS_PER_OCTAVE)  # Hz
        self.context_samples = max(lengths) // 2
        for index, length in enumerate(lengths):
            self.register_buffer(f"bands{index}", triangles(centres, sample_rate, length), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, T) -> (B, windows, bands, N) float32, 0 in silence and about 1 at full scale."""
        levels = []
        for index, transform in enumerate(self.transforms):
            magnitude = transform(waveform)  # (B, F, N)
            with full_precision(waveform.device):
                bands = self.get_buffer(f"bands{index}") @ magnitude
                # smooth down to silence, so that gradients pass
                levels.append(torch.log1p(FAINTEST_LEVEL * bands) / math.log1p(FAINTEST_LEVEL))
        return torch.stack(levels, dim=1)


def triangles(centres: Tensor, sample_rate: int, fft_samples: int) -> Tensor:
    """(bands, F): triangles of a third of a semitone to each side, at least one bin wide; sums are 1.

    A band above half the sample rate is all zero.
    """
    bin_hertz = sample_rate / fft_samples
    frequency = torch.arange(fft_samples // 2 + 1) * bin_hertz
    width = (centres * (2.0 ** (1.0 / BANDS_PER_OCTAVE) - 1.0)).clamp_min(bin_hertz)
    weights = (1.0 - (frequency - centres[:, None]).abs() / width[:, None]).clamp_min(0.0)
    return weights / weights.sum(1, keepdim=True).clamp_min(1e-9)


def harmonic_stack(levels: Tensor) -> Tensor:
    """At each key's bands, the levels of its harmonics: (B, W, bands, N) -> (B, W * harmonics, 3 K, N)."""
    size = NUM_KEYS * BANDS_PER_SEMITONE
    starts = [BANDS_PER_OCTAVE + round(BANDS_PER_OCTAVE * math.log2(harmonic)) for harmonic in HARMONICS]
    return torch.cat([levels[:, :, start : start + size] for start in starts], dim=1)


class Transcriber(NoteConverter):
    """Convolutions over keys and frames of a spectrogram whose harmonics lie beside each other.

    Nearly all of what tells notes apart is the same for all keys, so that it learns from few of them. The
    thresholds from probabilities to notes are kept with the weights.

    Args:
        sample_rate: Of the audio, in Hz.
        width: Channels H.
        dilations: Distances in frames of the taps of each residual convolution.
        hop_seconds: About how far frames are apart.
        window_seconds: Lengths of the spectrogram's windows.

    Attributes:
        hop_samples: Distance between frames in samples; frame n is centred on sample n * hop_samples.
        context_frames: How many frames to each side an output depends on.
        onset_threshold: Scalar; the least probability of an onset that counts as a note.
        sounding_threshold: Scalar; a note ends where the probability that it sounds falls below.
    """

    onset_threshold: Tensor
    sounding_threshold: Tensor
    reads_trunk = False

    def __init__(
        self,
        sample_rate: int,
        width: int = 24,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        hop_seconds: float = 0.016,
        window_seconds: tuple[float, ...] = (0.128, 0.032),
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.width = width
        self.dilations = dilations
        self.hop_seconds = hop_seconds
        self.window_seconds = window_seconds
        self.hop_samples = round(hop_seconds * sample_rate)
        self.spectrogram = LogFrequencySpectrogram(sample_rate, self.hop_samples, window_seconds)
        self.first = nn.Conv2d(
            len(window_seconds) * len(HARMONICS),
            width,
            (5, 3),
            stride=(BANDS_PER_SEMITONE, 1),
            padding=(2, 1),
        )
        self.key = nn.Parameter(torch.zeros(width, NUM_KEYS, 1))
        self.blocks = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=(1, dilation), dilation=(1, dilation))
            for dilation in dilations
        )
        self.heads = nn.Conv2d(width, len(NoteLogits._fields), 1)
        with torch.no_grad():
            cast(Tensor, self.heads.bias).copy_(torch.tensor(FIRST_LOGITS))
        window_frames = -(-self.spectrogram.context_samples // self.hop_samples)
        self.context_frames = window_frames + 1 + sum(dilations)
        self.register_buffer("onset_threshold", torch.tensor(0.3))
        self.register_buffer("sounding_threshold", torch.tensor(0.4))

    def forward(self, waveform: Tensor, maps: FeatureMaps | None = None) -> NoteLogits:
        """See `NoteConverter.forward`; N = T // hop_samples + 1, and channels are averaged."""
        levels = self.spectrogram(waveform.float().mean(1))
        hidden = functional.relu(self.first(harmonic_stack(levels)) + self.key)  # (B, H, K, N)
        for block in self.blocks:
            hidden = hidden + functional.relu(block(hidden))
        return NoteLogits(*self.heads(hidden).float().unbind(1))

    def set_thresholds(self, onset: float, sounding: float) -> None:
        """Keep thresholds, in the checkpoint too."""
        self.onset_threshold.fill_(onset)
        self.sounding_threshold.fill_(sounding)
