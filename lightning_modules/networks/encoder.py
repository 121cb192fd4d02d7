"""Encoders: waveform to one feature vector per latent frame."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from lightning_modules.errors import OptionError
from lightning_modules.networks.blocks import ConvNeXtBlock
from lightning_modules.networks.residual_unit import residual_units

AUDIO_SCALE = 10.0
"""Brings music, whose root mean square is about 0.1 of full scale, to the unit scale networks start at."""


class Encoder(nn.Module, ABC):
    """Deep convolutional network with pooling or striding.

    Attributes:
        channels: Audio channels C it reads.
        hop_samples: Samples per latent frame.
        hidden_size: Features H it returns per frame.
    """

    channels: int
    hop_samples: int
    hidden_size: int

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Encode clips.

        Args:
            waveform: (B, C, T), T a multiple of `hop_samples`.

        Returns:
            (B, H, L), L = T / hop_samples frames.
        """


class ConvNeXtEncoder(Encoder):
    """Strided convolutions down to the frame rate, then ConvNeXt blocks there.

    The strided layers are linear filterbanks: with no nonlinearity between waveform and frames, the phase and
    the level of a partial, which the waveform likelihood needs, arrive unharmed.

    Args:
        channels: Audio channels C.
        hidden_size: Features H.
        strides: Striding of each downsampling layer; the product is the hop.
        stem_channels: Features after each downsampling layer but the last.
        num_blocks: ConvNeXt blocks at the frame rate.
        kernel_size: Frames seen by each block; odd.

    Raises:
        OptionError: If there is not one `stem_channels` fewer than `strides`.
    """

    def __init__(
        self,
        channels: int = 1,
        hidden_size: int = 256,
        strides: Sequence[int] = (16, 16),
        stem_channels: Sequence[int] = (64,),
        num_blocks: int = 4,
        kernel_size: int = 7,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.hidden_size = hidden_size
        self.strides = list(strides)
        self.stem_channels = list(stem_channels)
        self.num_blocks = num_blocks
        self.kernel_size = kernel_size
        if len(self.stem_channels) != len(self.strides) - 1:
            raise OptionError(
                f"ConvNeXtEncoder: {len(self.strides)} strides need {len(self.strides) - 1} stem_channels, "
                f"got strides={self.strides}, stem_channels={self.stem_channels}",
                "give one width for each stride but the last, whose width is hidden_size",
            )
        self.hop_samples = 1
        widths = [channels, *stem_channels, hidden_size]
        layers: list[nn.Module] = []
        for (fan_in, fan_out), stride in zip(itertools.pairwise(widths), strides, strict=True):
            # kernel of three strides: neighbouring frames overlap by two thirds
            layers.append(nn.Conv1d(fan_in, fan_out, 3 * stride, stride, padding=stride))
            self.hop_samples *= stride
        self.downsample = nn.Sequential(*layers)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(hidden_size, kernel_size) for _ in range(num_blocks)))

    def forward(self, waveform: Tensor) -> Tensor:
        """See `Encoder.forward`."""
        return self.blocks(self.downsample(AUDIO_SCALE * waveform))


class StridedEncoder(Encoder):
    """Strided convolutions, each followed by residual units and a Snake.

    Args:
        channels: Audio channels C.
        widths: Features after each stage; the last is H.
        strides: Striding of each stage; the product is the hop. Convolutions have kernels of two strides.
        num_units: Residual units of each stage, after its convolution.

    Raises:
        OptionError: If there is not one width for each stride, or a stride is odd and more than 1.
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (96, 192, 384),
        strides: Sequence[int] = (16, 4, 4),
        num_units: int = 0,
    ) -> None:
        super().__init__()
        check_stages("StridedEncoder", widths, strides)
        self.channels = channels
        self.widths = list(widths)
        self.strides = list(strides)
        self.num_units = num_units
        self.hidden_size = self.widths[-1]
        self.hop_samples = math.prod(strides)
        layers: list[nn.Module] = []
        for (fan_in, fan_out), stride in zip(itertools.pairwise([channels, *widths]), strides, strict=True):
            layers.append(nn.Conv1d(fan_in, fan_out, 2 * stride, stride, padding=stride // 2))
            layers.extend(residual_units(fan_out, num_units))
        self.layers = nn.Sequential(*layers)

    def forward(self, waveform: Tensor) -> Tensor:
        """See `Encoder.forward`."""
        return self.layers(AUDIO_SCALE * waveform)


def check_stages(name: str, widths: Sequence[int], strides: Sequence[int]) -> None:
    """Raise an OptionError unless each stage has a width, and an even stride (or none)."""
    if not strides or len(widths) != len(strides) or any(one % 2 and one > 1 for one in strides):
        raise OptionError(
            f"{name}: got widths={list(widths)} and strides={list(strides)} of its stages",
            "give one width for each stride, and even strides",
        )
