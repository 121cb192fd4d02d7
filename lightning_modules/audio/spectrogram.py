"""STFT and log-mel front ends, shared by losses, metrics and figures.

The mel filters are torchaudio's. `torch.stft` is used directly: the scale, the floor, and the form without
complex numbers for ONNX are this project's own.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.numerics.precision import full_precision


class STFTMagnitude(nn.Module):
    """Magnitude of the short-time Fourier transform, scaled so that a full-scale sine peaks at 1.

    The Hann window spans the whole transform and frames are centred, with reflected (for clips shorter than
    half a window: zero) padding. Float32 under any autocast: half precision cannot hold the range.

    Args:
        fft_samples: Transform and window length in samples.
        hop_samples: Distance between frames in samples.
        floor: Smallest magnitude; keeps logarithms and gradients bounded in silence.
    """

    window: Tensor

    def __init__(self, fft_samples: int, hop_samples: int, floor: float = 1e-6) -> None:
        super().__init__()
        self.fft_samples = fft_samples
        self.hop_samples = hop_samples
        self.floor = floor
        window = torch.hann_window(fft_samples)
        self.register_buffer("window", window * (2.0 / window.sum()), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform each clip.

        Args:
            waveform: (..., T).

        Returns:
            (..., F, N) float32, F = fft_samples // 2 + 1 bins, N = T // hop_samples + 1 frames.
        """
        with full_precision(waveform.device):
            flat = waveform.float().reshape(-1, waveform.shape[-1])  # (B, T)
            pad_mode = "reflect" if flat.shape[-1] > self.fft_samples // 2 else "constant"
            if torch.compiler.is_exporting():
                power = self.power_without_complex_numbers(flat, pad_mode)
            else:
                spectrum = torch.stft(
                    flat,
                    self.fft_samples,
                    self.hop_samples,
                    window=self.window,
                    pad_mode=pad_mode,
                    return_complex=True,
                )  # (B, F, N)
                # from the two real parts: cheaper than complex abs, and its gradient is finite at zero
                power = torch.view_as_real(spectrum).square().sum(-1)
            magnitude = power.clamp_min(self.floor**2).sqrt()
        return magnitude.view(*waveform.shape[:-1], *magnitude.shape[-2:])

    def power_without_complex_numbers(self, flat: Tensor, pad_mode: str) -> Tensor:
        """The same (B, T) -> (B, F, N) by one convolution: ONNX files have no complex numbers."""
        sample = torch.arange(self.fft_samples, device=flat.device)
        frequency = torch.arange(self.fft_samples // 2 + 1, device=flat.device)[:, None]
        # whole turns taken off in whole numbers: a float32 angle of thousands of turns is off by 1e-4
        angle = (frequency * sample % self.fft_samples) * (2.0 * math.pi / self.fft_samples)
        waves = torch.cat([torch.cos(angle), torch.sin(angle)]) * self.window  # (2 F, fft_samples)
        padding = self.fft_samples // 2
        padded = functional.pad(flat[:, None], (padding, padding), mode=pad_mode)
        parts = functional.conv1d(padded, waves[:, None], stride=self.hop_samples)  # (B, 2 F, N)
        return parts.unflatten(1, (2, -1)).square().sum(1)


class MelSpectrogram(nn.Module):
    """Power in mel bands (Slaney's scale and area normalisation, as librosa's default).

    Args:
        sample_rate: Rate of the audio in Hz.
        fft_samples: Transform length in samples.
        hop_samples: Distance between frames in samples.
        num_mels: Number of bands M.
    """

    filters: Tensor

    def __init__(
        self, sample_rate: int, fft_samples: int = 1024, hop_samples: int = 256, num_mels: int = 80
    ) -> None:
        super().__init__()
        # torchaudio takes half a second to import, and only mel spectrograms need it
        from torchaudio.functional import melscale_fbanks

        self.sample_rate = sample_rate
        self.num_mels = num_mels
        self.stft = STFTMagnitude(fft_samples, hop_samples)
        filters = melscale_fbanks(
            fft_samples // 2 + 1, 0.0, sample_rate / 2, num_mels, sample_rate, norm=None, mel_scale="slaney"
        )  # (F, M)
        # unit sum per band rather than unit area per Hz: a band's value is then the mean power of its bins
        self.register_buffer("filters", (filters / filters.sum(0).clamp_min(1e-9)).T, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Mean power of each band.

        Args:
            waveform: (..., T).

        Returns:
            (..., M, N) float32, 1 for a full-scale sine that fills its band.
        """
        power = self.stft(waveform).square()  # (..., F, N)
        with full_precision(waveform.device):
            return self.filters @ power


def power_to_db(power: Tensor, floor_db: float = -100.0) -> Tensor:
    """Decibels of a power relative to 1, never below `floor_db`. Any shape."""
    return 10.0 * torch.log10(power.clamp_min(10.0 ** (floor_db / 10.0)))
