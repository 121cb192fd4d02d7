"""The room around an instrument: a learned impulse response."""

import torch
from torch import Tensor, nn

from lightning_modules.networks.key_curve import interpolation_weights
from lightning_modules.networks.piano_tone import mel_position


class Room(nn.Module):
    """Direct sound plus a reverberation that is noise, fading in each band at a rate of its own.

    Args:
        sample_rate: In Hz.
        channels: Audio channels C, each with a response of its own.
        seconds: Length of the reverberation.
        num_bands: Bands in which level and decay are learned.
    """

    noise: Tensor
    time: Tensor

    def __init__(self, sample_rate: int, channels: int = 1, seconds: float = 0.5, num_bands: int = 8) -> None:
        super().__init__()
        self.num_samples = round(seconds * sample_rate)
        generator = torch.Generator().manual_seed(1)
        spectrum = torch.fft.rfft(torch.randn(1, channels, self.num_samples, generator=generator))
        frequency = torch.linspace(0.0, sample_rate / 2.0, spectrum.shape[-1])
        weights = interpolation_weights(mel_position(frequency, sample_rate, num_bands), num_bands).T
        noise = torch.fft.irfft(spectrum * weights[:, None], self.num_samples)  # (Q, C, R)
        self.register_buffer("noise", noise, persistent=False)
        self.register_buffer("time", torch.arange(self.num_samples) / sample_rate, persistent=False)
        self.log_level = nn.Parameter(torch.full((num_bands, channels), -5.0))
        self.log_decay = nn.Parameter(torch.full((num_bands, 1), 6.0).log())
        self.taps = nn.Parameter(torch.zeros(channels, self.num_samples))

    def response(self) -> Tensor:
        """Reverberation (C, R), without the direct sound."""
        envelope = (self.log_level[..., None] - self.log_decay.exp()[..., None] * self.time).exp()
        return (self.noise * envelope).sum(0) + 0.02 * self.taps * (-6.0 * self.time).exp()

    def forward(self, waveform: Tensor) -> Tensor:
        """Reverberate: (B, C, T) -> (B, C, T); what rings on after the end is cut off."""
        size = waveform.shape[-1] + self.num_samples
        size += -size % 1024
        wet = torch.fft.rfft(waveform, size) * torch.fft.rfft(self.response(), size)
        return waveform + torch.fft.irfft(wet, size)[..., : waveform.shape[-1]]
