"""Filtered noise of hammers and keys, and of the room."""

import torch
from torch import Tensor, nn

from lightning_modules.networks.key_curve import NUM_KEYS, KeyCurve, interpolation_weights
from lightning_modules.networks.piano_tone import STANDARD_VELOCITY, mel_position


class NoteNoise(nn.Module):
    """Levels of noise in bands: each note adds bursts that fade at a few rates, the room adds a floor.

    The noise itself is a fixed table that repeats, read by the position in the performance: whatever the
    blocks, the same performance gets the same noise.

    Args:
        sample_rate: In Hz.
        channels: Audio channels C.
        num_bands: Bands Q.
        table_samples: Samples after which the noise repeats.
    """

    table: Tensor

    def __init__(
        self, sample_rate: int, channels: int = 1, num_bands: int = 12, table_samples: int = 1 << 17
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.num_bands = num_bands
        self.register_buffer(
            "table", band_noise(sample_rate, channels, num_bands, table_samples), persistent=False
        )
        rates = torch.tensor([80.0, 20.0])
        self.log_rate = nn.Parameter(rates.log())
        start = torch.tensor([-6.0, -8.0])[:, None].expand(2, num_bands)
        self.level = KeyCurve(start.expand(NUM_KEYS, 2, num_bands), 6)
        self.force = nn.Parameter(torch.ones(2, num_bands))
        self.floor = nn.Parameter(torch.full((num_bands,), -10.0))

    def burst_power(self, key: Tensor, velocity: Tensor) -> Tensor:
        """Power of each note's bursts at its onset.

        Args:
            key: (B, M) int64, from 0 for A0.
            velocity: (B, M) 1 to 127.

        Returns:
            (B, M, 2, Q) for both rates.
        """
        log_force = (velocity / STANDARD_VELOCITY).log()[..., None, None]
        return (2.0 * (self.level()[key] + self.force * log_force)).exp()

    def fading(self, since: Tensor) -> Tensor:
        """Share of a burst's power that is left, (N, M, 2, J), so many seconds (N, M, J) after the onset."""
        return (-2.0 * self.log_rate.exp()[:, None] * since[:, :, None].clamp_min(0.0)).exp()

    def forward(self, power: Tensor, start: Tensor, hop_samples: int) -> Tensor:
        """Noise of given power, and the room's floor.

        Args:
            power: (B, J + 1, Q) at hops.
            start: (B,) int64 position of the first sample in the performance.
            hop_samples: Hop in samples.

        Returns:
            (B, C, J * hop_samples).
        """
        amplitude = (power + (2.0 * self.floor).exp()).sqrt()
        ends = torch.stack([amplitude[:, :-1], amplitude[:, 1:]], -1)  # (B, J, Q, 2)
        num_clips, num_hops = ends.shape[:2]
        position = torch.arange(num_hops * hop_samples, device=start.device) + start[:, None]
        noise = self.table[position % len(self.table)]  # (B, T, C, Q)
        noise = noise.view(num_clips, num_hops, -1, self.num_bands)  # (B, J, hop * C, Q)
        mixed = (noise @ ends).view(num_clips, num_hops, hop_samples, -1, 2)  # (B, J, hop, C, 2)
        share = torch.arange(hop_samples, device=mixed.device)[:, None] / hop_samples
        waveform = mixed[..., 0] * (1.0 - share) + mixed[..., 1] * share
        return waveform.flatten(1, 2).transpose(1, 2)


def band_noise(sample_rate: int, channels: int, num_bands: int, num_samples: int) -> Tensor:
    """(num_samples, C, Q) periodic Gaussian noise of unit power, each band a triangle on the mel scale."""
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.fft.rfft(torch.randn(1, channels, num_samples, generator=generator))
    frequency = torch.linspace(0.0, sample_rate / 2.0, spectrum.shape[-1])
    weights = interpolation_weights(mel_position(frequency, sample_rate, num_bands), num_bands).T.sqrt()
    weights[:, 0] = 0.0
    noise = torch.fft.irfft(spectrum * weights[:, None], num_samples)
    return (noise / noise.square().mean((1, 2), keepdim=True).sqrt()).permute(2, 1, 0).contiguous()
