"""Features of a signal: the input of a conditional generator, and the target of the converter F."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_modules.audio.spectrogram import MelSpectrogram, power_to_db
from lightning_modules.errors import OptionError
from lightning_modules.networks.encoder import AUDIO_SCALE
from lightning_modules.networks.generator import strides_for_hop
from lightning_modules.networks.leaky_relu import LeakyReLU
from lightning_modules.networks.strided_convolution import StridedConvolution


class FeatureEncoder(nn.Module, ABC):
    """Waveform to one feature vector per frame.

    Attributes:
        channels: Audio channels C it reads.
        feature_size: Features F per frame.
        hop_samples: Samples per frame.
        sample_rate: Rate in Hz that the features presume; None if they presume none.
    """

    channels: int
    feature_size: int
    hop_samples: int
    sample_rate: int | None

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Describe clips.

        Args:
            waveform: (B, C, T), T a multiple of `hop_samples`.

        Returns:
            (B, F, T / hop_samples) float32 of about unit scale.
        """


class LogMelFeatures(FeatureEncoder):
    """Log-mel spectrogram, -100 to 0 dB brought to -1 to 1; the bands of all channels side by side.

    Args:
        sample_rate: Rate of the audio in Hz.
        hop_samples: Samples per frame.
        fft_samples: Window length in samples.
        feature_size: Features F: F / C mel bands of each channel.
        channels: Audio channels C.

    Raises:
        OptionError: If the features cannot be shared out evenly.
    """

    FLOOR_DB = -100.0

    def __init__(
        self,
        sample_rate: int,
        hop_samples: int = 256,
        fft_samples: int = 1024,
        feature_size: int = 80,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.hop_samples = hop_samples
        self.fft_samples = fft_samples
        self.feature_size = feature_size
        self.channels = channels
        if feature_size % channels:
            raise OptionError(
                f"LogMelFeatures: feature_size is {feature_size}, which {channels} channels cannot share",
                f"give a multiple of {channels}",
            )
        self.mel = MelSpectrogram(sample_rate, fft_samples, hop_samples, feature_size // channels)

    def forward(self, waveform: Tensor) -> Tensor:
        """See `FeatureEncoder.forward`; frame n is centred on the first sample of its hop."""
        decibels = power_to_db(self.mel(waveform), self.FLOOR_DB)[..., :-1]  # (B, C, M, N)
        return 1.0 + decibels.flatten(1, 2) * (2.0 / -self.FLOOR_DB)


class ConvolutionalFeatures(FeatureEncoder):
    """Learned convolutions, the mirror image of `WaveGANVocoder`; trained with the generator.

    Args:
        feature_size: Features F per frame, each bounded to [-1, 1].
        hop_samples: Samples per frame: 4^k or 2 * 4^k.
        model_size: Channels after the first layer, doubled by each that follows.
        channels: Audio channels C.
        kernel_size: Taps of each layer.
    """

    def __init__(
        self,
        feature_size: int = 16,
        hop_samples: int = 256,
        model_size: int = 16,
        channels: int = 1,
        kernel_size: int = 25,
    ) -> None:
        super().__init__()
        self.feature_size = feature_size
        self.hop_samples = hop_samples
        self.model_size = model_size
        self.channels = channels
        self.kernel_size = kernel_size
        self.sample_rate = None
        strides = strides_for_hop(hop_samples)[::-1]
        sizes = [channels, *(model_size * 2**power for power in range(len(strides)))]
        self.layers = nn.ModuleList(
            StridedConvolution(fan_in, fan_out, kernel_size, stride)
            for fan_in, fan_out, stride in zip(sizes, sizes[1:], strides, strict=False)
        )
        self.activation = LeakyReLU()
        self.output = nn.Linear(sizes[-1], feature_size)

    def forward(self, waveform: Tensor) -> Tensor:
        """See `FeatureEncoder.forward`."""
        hidden = AUDIO_SCALE * waveform.transpose(1, 2)  # (B, T, C)
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
        return torch.tanh(self.output(hidden).float()).transpose(1, 2)  # (B, F, N)
