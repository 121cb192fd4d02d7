"""Critics that look at complex spectra: amplitudes and phases, at several resolutions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from lightning_modules.networks.heads import ScoreHead
from lightning_modules.networks.trunk import FeatureMaps, Trunk
from lightning_modules.numerics.precision import full_precision

DILATIONS = (1, 2, 4)
"""In time, of the layers that halve the number of bins."""
_SMALLEST_POWER = 1e-6
"""Of a bin, for the slope of the compression; a full-scale sine has some 100, the noise of recordings less
than this, and would have all the gradient without it."""


class SpectrogramCritic(nn.Module):
    """Two-dimensional convolutions over the real and imaginary parts of one STFT.

    Args:
        fft_samples: Transform and window length in samples; the hop is a quarter.
        model_size: Features H of every layer.
        channels: Audio channels C.
        compression: Exponent of the magnitudes; 1 leaves them as they are.
    """

    window: Tensor

    def __init__(self, fft_samples: int, model_size: int, channels: int, compression: float = 1.0) -> None:
        super().__init__()
        self.fft_samples = fft_samples
        self.compression = compression
        window = torch.hann_window(fft_samples)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        first = nn.Conv2d(2 * channels, model_size, (3, 9), padding=(1, 4))
        halving = [
            weight_norm(nn.Conv2d(model_size, model_size, (3, 9), (1, 2), (dilation, 4), (dilation, 1)))
            for dilation in DILATIONS
        ]
        last = weight_norm(nn.Conv2d(model_size, model_size, 3, padding=1))
        self.layers = nn.ModuleList([first, *halving, last])

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """(B, C, T) -> the maps of all layers, (B, H, N, F): frames N and bins F."""
        hidden = self.spectrum(waveform)
        maps = []
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), 0.2)
            maps.append(hidden)
        return maps

    def spectrum(self, waveform: Tensor) -> Tensor:
        """(B, C, T) -> (B, 2 C, N, F) float32: real parts, then imaginary ones."""
        with full_precision(waveform.device):
            spectrum = torch.stft(
                waveform.float().flatten(0, 1),
                self.fft_samples,
                self.fft_samples // 4,
                window=self.window,
                center=False,
                return_complex=True,
            )  # (B * C, F, N)
            parts = torch.view_as_real(spectrum).unflatten(0, waveform.shape[:2])  # (B, C, F, N, 2)
            if self.compression != 1.0:
                power = parts.square().sum(-1, keepdim=True) + _SMALLEST_POWER
                parts = parts * power ** ((self.compression - 1.0) / 2.0)
        return parts.permute(0, 4, 1, 3, 2).flatten(1, 2)


class SpectrogramTrunk(Trunk):
    """EnCodec's critics of complex spectra at several resolutions, less their score layers.

    Five resolutions of 32 features, as published, have 471,685 parameters with `PlaneScoreHead`. Maps have
    two axes of positions, frames and bins.
    Source: Défossez, Copet, Synnaeve, Adi 2022, "High Fidelity Neural Audio Compression", section 3.4;
    kernels of 3 x 9, and a first layer without weight normalisation, as in the official code.

    Args:
        fft_samples: Transform lengths in samples, one for each critic.
        model_size: Features of every layer; 32 as published.
        channels: Audio channels C.
        compression: Exponent of the magnitudes, phases as they are; 1 as published. Piano falls by 80 dB over
            the band: with 0.3, what lies 60 dB lower is an eighth and not a thousandth.
    """

    def __init__(
        self,
        fft_samples: Sequence[int] = (2048, 1024, 512, 256, 128),
        model_size: int = 32,
        channels: int = 1,
        compression: float = 1.0,
    ) -> None:
        super().__init__()
        self.fft_samples = list(fft_samples)
        self.model_size = model_size
        self.channels = channels
        self.compression = compression
        self.critics = nn.ModuleList(
            SpectrogramCritic(size, model_size, channels, compression) for size in fft_samples
        )
        self.hidden_sizes = [model_size] * len(self.fft_samples)
        self.hop_samples = self.fft_samples[0] // 4

    def forward(self, waveform: Tensor) -> FeatureMaps:
        """See `Trunk.forward`: maps (B, H, N, F); clips shorter than the longest window lie in silence."""
        missing = max(max(self.fft_samples) - waveform.shape[-1], 0)
        padded = functional.pad(waveform, (math.ceil(missing / 2), missing // 2))
        return [critic(padded) for critic in self.critics]


class PlaneScoreHead(ScoreHead):
    """A score at each frame and bin of the last maps of a `SpectrogramTrunk`.

    Args:
        hidden_sizes: Features H of each critic's last map.
        kernel_size: Frames and bins that a score sees; odd.
    """

    def __init__(self, hidden_sizes: Sequence[int], kernel_size: int = 3) -> None:
        super().__init__()
        self.hidden_sizes = list(hidden_sizes)
        self.kernel_size = kernel_size
        self.outputs = nn.ModuleList(
            weight_norm(nn.Conv2d(size, 1, kernel_size, padding=kernel_size // 2)) for size in hidden_sizes
        )

    def forward(self, maps: FeatureMaps) -> list[Tensor]:
        """See `ScoreHead.forward`: (B, N * F)."""
        return [
            output(critic[-1]).flatten(1).float() for output, critic in zip(self.outputs, maps, strict=True)
        ]
