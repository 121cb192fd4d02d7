"""Generators: a latent, or the features of a signal, to a waveform."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError
from lightning_modules.networks.strided_convolution import StridedTransposedConvolution
from lightning_modules.numerics.precision import full_precision

FIRST_FRAMES = 16
"""Frames that the dense layer of WaveGAN gives, whatever the clip length."""
STRIDE = 4


class LatentGenerator(nn.Module, ABC):
    """Network from a latent vector to a clip.

    Attributes:
        latent_size: Latent dimensions Z.
        clip_samples: Length T of the clips it makes, in samples.
        channels: Audio channels C.
    """

    latent_size: int
    clip_samples: int
    channels: int

    @abstractmethod
    def forward(self, latent: Tensor) -> Tensor:
        """Synthesise.

        Args:
            latent: (B, Z).

        Returns:
            (B, C, T) float32 in [-1, 1].
        """


class FeatureGenerator(nn.Module, ABC):
    """Network from the features of a signal to the signal: a vocoder.

    Attributes:
        feature_size: Features F it reads per frame.
        hop_samples: Samples it makes per frame.
        channels: Audio channels C.
    """

    feature_size: int
    hop_samples: int
    channels: int

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Synthesise.

        Args:
            features: (B, F, N).

        Returns:
            (B, C, N * hop_samples) float32 in [-1, 1].
        """


def strides_for(clip_samples: int) -> list[int]:
    """Strides of the layers between 16 frames and a clip: all 4, and 2 at the audio side for twice a length.

    Args:
        clip_samples: 16 * 4^k or 32 * 4^k, with k >= 1.

    Returns:
        Strides in the generator's order.

    Raises:
        OptionError: If no such layers give that length; the text names the next ones that exist.
    """
    strides: list[int] = []
    length = FIRST_FRAMES
    while length * STRIDE <= clip_samples:
        strides.append(STRIDE)
        length *= STRIDE
    if length * 2 == clip_samples:
        return [*strides, 2]
    if not strides or length != clip_samples:
        possible = sorted(FIRST_FRAMES * STRIDE**k * factor for k in range(1, 12) for factor in (1, 2))
        below = [samples for samples in possible if samples < clip_samples][-2:]
        above = [samples for samples in possible if samples > clip_samples][:2]
        raise OptionError(
            f"clip_samples is {clip_samples}, which WaveGAN's layers cannot give: 16 frames grow fourfold "
            "per layer, in the last one fourfold or twofold",
            f"set clip_samples (data.init_args.clip_samples) to one of {[*below, *above]}",
        )
    return strides


def strides_for_hop(hop_samples: int) -> list[int]:
    """Strides of the layers between frames and samples.

    Args:
        hop_samples: Samples per frame: 4^k or 2 * 4^k, k >= 1.

    Raises:
        OptionError: If no such layers give that hop; the text names those that exist.
    """
    try:
        return strides_for(FIRST_FRAMES * hop_samples)
    except OptionError as error:
        raise OptionError(
            f"hop_samples is {hop_samples}, which layers of stride 4 (and 2 at the end) cannot give",
            "set hop_samples to one of 4, 8, 16, 32, 64, 128, 256, 512, 1024",
        ) from error


class TransposedStack(nn.Module):
    """WaveGAN's transposed convolutions: ReLU before each, channels halved by each, tanh at the end.

    Args:
        strides: Stride of each layer.
        model_size: Channels d before the last layer.
        channels: Audio channels C.
        kernel_size: Taps.
    """

    def __init__(self, strides: list[int], model_size: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        sizes = [model_size * 2**power for power in reversed(range(len(strides)))]
        self.in_channels = sizes[0]
        self.layers = nn.ModuleList(
            StridedTransposedConvolution(fan_in, fan_out, kernel_size, stride)
            for fan_in, fan_out, stride in zip(sizes, [*sizes[1:], channels], strides, strict=True)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, L, H) -> (B, C, T) in [-1, 1]."""
        *inner, last = self.layers
        for layer in inner:
            hidden = layer(functional.relu(hidden))
        # samples of 8 bits, which is what bfloat16 has, would be noise
        with full_precision(hidden.device):
            return torch.tanh(last(functional.relu(hidden.float()))).transpose(1, 2)


class WaveGANGenerator(LatentGenerator):
    """The published generator: dense layer to 16 frames, then transposed convolutions of stride 4.

    No batch normalisation. 19,065,345 parameters for 16,384 samples and d = 64.
    Source: Donahue, McAuley, Puckette 2019, "Adversarial Audio Synthesis", table 3 and official code.

    Args:
        clip_samples: Length T of the clips: 16,384, 65,536 and any other 16 * 4^k; 32 * 4^k (8,192, 32,768)
            with a last layer of stride 2.
        model_size: Width d; the layers have d to 2^(k - 1) d channels.
        latent_size: Latent dimensions Z.
        channels: Audio channels C.
        kernel_size: Taps of each layer.

    Raises:
        OptionError: If the layers cannot give `clip_samples`.
    """

    def __init__(
        self,
        clip_samples: int,
        model_size: int = 64,
        latent_size: int = 100,
        channels: int = 1,
        kernel_size: int = 25,
    ) -> None:
        super().__init__()
        self.clip_samples = clip_samples
        self.model_size = model_size
        self.latent_size = latent_size
        self.channels = channels
        self.kernel_size = kernel_size
        self.stack = TransposedStack(strides_for(clip_samples), model_size, channels, kernel_size)
        self.dense = nn.Linear(latent_size, FIRST_FRAMES * self.stack.in_channels)
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, latent: Tensor) -> Tensor:
        """See `LatentGenerator.forward`."""
        return self.stack(self.dense(latent).unflatten(1, (FIRST_FRAMES, -1)))  # (B, 16, H) -> (B, C, T)


class WaveGANVocoder(FeatureGenerator):
    """WaveGAN's transposed convolutions on the features of a signal instead of a dense layer on a latent.

    Args:
        feature_size: Features F per frame.
        hop_samples: Samples per frame: 4^k or 2 * 4^k.
        model_size: Width d; the layers have d to 2^(k - 1) d channels.
        channels: Audio channels C.
        kernel_size: Taps of each transposed convolution.
        input_kernel_size: Frames that the layer before them sees; odd.

    Raises:
        OptionError: If the layers cannot give `hop_samples`.
    """

    def __init__(
        self,
        feature_size: int = 80,
        hop_samples: int = 256,
        model_size: int = 64,
        channels: int = 1,
        kernel_size: int = 25,
        input_kernel_size: int = 7,
    ) -> None:
        super().__init__()
        self.feature_size = feature_size
        self.hop_samples = hop_samples
        self.model_size = model_size
        self.channels = channels
        self.kernel_size = kernel_size
        self.input_kernel_size = input_kernel_size
        strides = strides_for_hop(hop_samples)
        self.stack = TransposedStack(strides, model_size, channels, kernel_size)
        self.input = nn.Conv1d(
            feature_size, self.stack.in_channels, input_kernel_size, padding=input_kernel_size // 2
        )

    def forward(self, features: Tensor) -> Tensor:
        """See `FeatureGenerator.forward`."""
        return self.stack(self.input(features).transpose(1, 2))  # (B, N, H) -> (B, C, T)
