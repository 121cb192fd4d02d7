"""Decoders: latent frames to the residual that the coarse generator misses."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from lightning_modules.networks.blocks import ConvNeXtBlock
from lightning_modules.networks.encoder import check_stages
from lightning_modules.networks.residual_unit import residual_units
from lightning_modules.networks.waveform_head import FullyConnectedHead, InverseSTFTHead, WaveformHeadCallable


class Decoder(nn.Module, ABC):
    """Deep convolutional network from latent frames to a waveform.

    Attributes:
        latent_size: Latent dimensions it reads per frame.
        hop_samples: Samples it makes per frame.
    """

    latent_size: int
    hop_samples: int

    @abstractmethod
    def forward(self, latent: Tensor) -> Tensor:
        """Synthesise.

        Args:
            latent: (B, Z, L).

        Returns:
            (B, C, L * hop_samples).
        """


class ConvNeXtDecoder(Decoder):
    """ConvNeXt blocks at the frame rate, then a fully connected head.

    Args:
        latent_size: Latent dimensions Z per frame.
        hidden_size: Width H of the network.
        hop_samples: Samples per frame.
        channels: Audio channels C.
        num_blocks: ConvNeXt blocks.
        kernel_size: Frames seen by the first layer and by each block; odd.
        waveform_head: Makes the last layer; None for an `InverseSTFTHead`.
    """

    def __init__(
        self,
        latent_size: int,
        hidden_size: int = 256,
        hop_samples: int = 256,
        channels: int = 1,
        num_blocks: int = 4,
        kernel_size: int = 7,
        waveform_head: WaveformHeadCallable | None = None,
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.hidden_size = hidden_size
        self.hop_samples = hop_samples
        self.channels = channels
        self.num_blocks = num_blocks
        self.kernel_size = kernel_size
        self.waveform_head = waveform_head
        self.head = (waveform_head or InverseSTFTHead)(hidden_size, hop_samples, channels)
        self.input = nn.Conv1d(latent_size, hidden_size, kernel_size, padding=kernel_size // 2)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(hidden_size, kernel_size) for _ in range(num_blocks)))
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, latent: Tensor) -> Tensor:
        """See `Decoder.forward`."""
        hidden = self.blocks(self.input(latent))  # (B, H, L)
        return self.head(self.norm(hidden.transpose(1, 2)))


class StridedDecoder(Decoder):
    """The mirror image of `StridedEncoder`: transposed convolutions, then a fully connected head.

    Args:
        latent_size: Latent dimensions Z per frame.
        widths: Features before each stage.
        strides: Upsampling of each stage, the last one the head's; the product is the hop.
        channels: Audio channels C.
        num_units: Residual units of each stage, after its transposed convolution.
        waveform_head: Makes the last stage; None for a `FullyConnectedHead`.

    Raises:
        OptionError: If there is not one width for each stride, or a stride is odd and more than 1.
    """

    def __init__(
        self,
        latent_size: int,
        widths: Sequence[int] = (384, 192),
        strides: Sequence[int] = (4, 64),
        channels: int = 1,
        num_units: int = 0,
        waveform_head: WaveformHeadCallable | None = None,
    ) -> None:
        super().__init__()
        check_stages("StridedDecoder", widths, strides)
        self.latent_size = latent_size
        self.widths = list(widths)
        self.strides = list(strides)
        self.channels = channels
        self.num_units = num_units
        self.waveform_head = waveform_head
        self.hop_samples = math.prod(strides)
        self.head = (waveform_head or FullyConnectedHead)(self.widths[-1], self.strides[-1], channels)
        layers: list[nn.Module] = [
            nn.Conv1d(latent_size, widths[0], 7, padding=3),
            *residual_units(widths[0], num_units),
        ]
        for (fan_in, fan_out), stride in zip(itertools.pairwise(widths), strides, strict=False):
            layers.append(nn.ConvTranspose1d(fan_in, fan_out, 2 * stride, stride, padding=stride // 2))
            layers.extend(residual_units(fan_out, num_units))
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        """See `Decoder.forward`."""
        return self.head(self.layers(latent).transpose(1, 2))
