"""The distance between log-mel spectrograms, as a differentiable loss."""

from torch import Tensor

from lightning_modules.audio.spectrogram import MelSpectrogram
from lightning_modules.losses.spectral import SpectralLoss


class LogMelLoss(SpectralLoss):
    """Mean absolute difference of log-mel magnitudes, in nepers.

    HiFi-GAN's reconstruction loss, there with a weight of 45 (Kong, Kim, Bae 2020, eq. 3).

    Args:
        sample_rate: Rate of the audio in Hz.
        fft_samples: Transform length in samples.
        hop_samples: Distance between frames in samples.
        num_mels: Mel bands.
        floor: Smallest magnitude (a full-scale sine is 1) that the logarithm distinguishes.
    """

    def __init__(
        self,
        sample_rate: int,
        fft_samples: int = 1024,
        hop_samples: int = 256,
        num_mels: int = 80,
        floor: float = 1e-5,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.fft_samples = fft_samples
        self.hop_samples = hop_samples
        self.num_mels = num_mels
        self.floor = floor
        self.mel = MelSpectrogram(sample_rate, fft_samples, hop_samples, num_mels)

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """See `SpectralLoss.forward`; mean over clips, bands and frames."""
        levels = [self.mel(waveform).clamp_min(self.floor**2).log() / 2.0 for waveform in (estimate, target)]
        return (levels[0] - levels[1]).abs().mean()
