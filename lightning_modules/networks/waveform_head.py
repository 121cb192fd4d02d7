"""Waveform heads: the last, fully connected layer of a decoder."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_modules.errors import OptionError
from lightning_modules.networks.blocks import overlap_add
from lightning_modules.numerics.precision import full_precision


class WaveformHead(nn.Module, ABC):
    """A decoder's last, fully connected layer: the features of each frame become waveform samples.

    Attributes:
        hidden_size: Features H it reads.
        hop_samples: Samples per frame.
    """

    hidden_size: int
    hop_samples: int

    @abstractmethod
    def forward(self, hidden: Tensor) -> Tensor:
        """Turn features into audio.

        Args:
            hidden: (B, L, H).

        Returns:
            (B, C, L * hop_samples).
        """


class FullyConnectedHead(WaveformHead):
    """One linear layer gives the samples of each frame; frames of `overlap` hops are added.

    Args:
        hidden_size: Features H.
        hop_samples: Samples per frame.
        channels: Audio channels C.
        overlap: Frame length in hops.
    """

    def __init__(self, hidden_size: int, hop_samples: int, channels: int = 1, overlap: int = 2) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.hop_samples = hop_samples
        self.channels = channels
        self.overlap = overlap
        self.output = nn.Linear(hidden_size, channels * overlap * hop_samples)
        # start near silence: audio is small, and the likelihood punishes loud noise first
        nn.init.normal_(self.output.weight, std=0.01 / math.sqrt(hidden_size))
        nn.init.zeros_(self.output.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """See `WaveformHead.forward`. Samples in float32 under any autocast: in bfloat16 they would hiss."""
        with full_precision(hidden.device):
            frames = self.output(hidden.to(self.output.weight.dtype)).unflatten(
                -1, (self.channels, -1)
            )  # (B, L, C, r * hop)
        return overlap_add(frames.transpose(1, 2), self.hop_samples)


class InverseSTFTHead(WaveformHead):
    """One linear layer gives log-magnitude and phase of each frame's spectrum; a fixed inverse STFT follows.

    The spectrum of piano falls by some 80 dB over the band. In log-magnitudes all of it is within easy reach
    of one linear layer, where waveform samples would have to be right to a ten-thousandth.
    Source: Siuzdak 2024, "Vocos", section 3.2.

    Args:
        hidden_size: Features H.
        hop_samples: Samples per frame.
        channels: Audio channels C.
        overlap: Window length in hops, at least 3 (squared Hann windows then add to a constant).
        largest_log_magnitude: Bound of the log-magnitude; exp of it is the amplitude of one sinusoid.
    """

    window: Tensor
    basis: Tensor

    def __init__(
        self,
        hidden_size: int,
        hop_samples: int,
        channels: int = 1,
        overlap: int = 4,
        largest_log_magnitude: float = 3.0,
    ) -> None:
        super().__init__()
        if overlap < 3:
            raise OptionError(f"InverseSTFTHead needs overlap >= 3 hops, got {overlap}", "use 4")
        self.hidden_size = hidden_size
        self.hop_samples = hop_samples
        self.channels = channels
        self.overlap = overlap
        self.largest_log_magnitude = largest_log_magnitude
        self.fft_samples = overlap * hop_samples
        num_bins = self.fft_samples // 2 + 1
        self.output = nn.Linear(hidden_size, channels * 2 * num_bins)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)
        with torch.no_grad():  # start at exp(-2 - ...) per bin: quiet noise, about -45 dBFS
            self.output.bias.view(channels, 2, num_bins)[:, 0] = -5.0
        window = torch.hann_window(self.fft_samples)
        envelope = window.square().sum() / hop_samples  # what the overlapping squared windows add up to
        # a bin of magnitude 1 is a sinusoid of amplitude 1 under the analysis window
        scale = window.sum() / 2.0
        self.register_buffer("window", window * scale / envelope, persistent=False)
        # the inverse transform of each bin's real and imaginary part, for graphs that know no complex numbers
        unit = torch.eye(num_bins)
        basis = torch.cat(
            [torch.fft.irfft(unit, self.fft_samples), torch.fft.irfft(1j * unit, self.fft_samples)]
        )
        self.register_buffer("basis", basis, persistent=False)  # (2 F, fft_samples)

    def forward(self, hidden: Tensor) -> Tensor:
        """See `WaveformHead.forward`. Float32 from the spectrum on: phases need it, and so does the FFT."""
        spectrum = self.output(hidden).float().unflatten(-1, (self.channels, 2, -1))  # (B, L, C, 2, F)
        log_magnitude, phase = spectrum.unbind(-2)
        magnitude = torch.exp(log_magnitude.clamp_max(self.largest_log_magnitude))
        frames = self.inverse_transform(magnitude, phase) * self.window
        return overlap_add(frames.transpose(1, 2), self.hop_samples)

    def inverse_transform(self, magnitude: Tensor, phase: Tensor) -> Tensor:
        """(..., F) -> (..., fft_samples); in an export a matrix product, since ONNX has no such FFT."""
        if torch.compiler.is_exporting():
            parts = torch.cat([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=-1)
            return parts @ self.basis
        return torch.fft.irfft(torch.polar(magnitude, phase), n=self.fft_samples)


WaveformHeadCallable = Callable[[int, int, int], WaveformHead]
"""Makes a head from the `hidden_size`, `hop_samples` and `channels` that a decoder has for it."""
