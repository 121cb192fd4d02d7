"""Convolutional encoder and decoder that work at several rates between samples and latent frames."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.errors import OptionError
from lightning_modules.networks.decoder import Decoder, WaveformHead
from lightning_modules.networks.encoder import AUDIO_SCALE, Encoder


class Snake(nn.Module):
    """x + sin²(αx) / α with one α per feature, learned: a nonlinearity that is periodic as sound is.

    Source: Ziyin, Hartwig, Ueda 2020, "Neural Networks Fail to Learn Periodic Functions", eq. 3.

    Args:
        hidden_size: Features H.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.log_frequency = nn.Parameter(torch.zeros(hidden_size, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply to (B, H, L)."""
        # sin² u = (1 - cos 2u) / 2: fewer passes over the signal than with a square and a quotient
        frequency = 2.0 * self.log_frequency.exp()
        period = frequency.reciprocal()
        return torch.addcmul(hidden + period, torch.cos(frequency * hidden), -period)


class ResidualUnit(nn.Module):
    """A dilated convolution and one at each frame between Snakes, beside the identity.

    Args:
        hidden_size: Features H.
        dilation: Distance between the seven frames of the convolution.
    """

    def __init__(self, hidden_size: int, dilation: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            Snake(hidden_size),
            nn.Conv1d(hidden_size, hidden_size, 7, dilation=dilation, padding=3 * dilation),
            Snake(hidden_size),
            nn.Conv1d(hidden_size, hidden_size, 1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Refine (B, H, L) to (B, H, L)."""
        return hidden + self.branch(hidden)


def residual_units(hidden_size: int, num_units: int) -> list[nn.Module]:
    """`num_units` units, their dilations 1, 3, 9, …; and the nonlinearity that ends a stage."""
    units: list[nn.Module] = [ResidualUnit(hidden_size, 3**number) for number in range(num_units)]
    return [*units, Snake(hidden_size)]


class MultirateEncoder(Encoder):
    """Stage by stage, strided convolution, then residual units: with none, plain strided convolutions.

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
        widths: Sequence[int] = (48, 96, 192, 256),
        strides: Sequence[int] = (8, 4, 4, 2),
        num_units: int = 0,
    ) -> None:
        super().__init__()
        check_stages("MultirateEncoder", widths, strides)
        self.channels = channels
        self.widths = list(widths)
        self.strides = list(strides)
        self.num_units = num_units
        self.hidden_size = self.widths[-1]
        self.hop_samples = 1
        layers: list[nn.Module] = []
        for (fan_in, fan_out), stride in zip(
            itertools.pairwise([channels, *widths]), self.strides, strict=True
        ):
            layers.append(nn.Conv1d(fan_in, fan_out, 2 * stride, stride, padding=stride // 2))
            layers.extend(residual_units(fan_out, num_units))
            self.hop_samples *= stride
        self.layers = nn.Sequential(*layers)

    def forward(self, waveform: Tensor) -> Tensor:
        """See `Encoder.forward`."""
        return self.layers(AUDIO_SCALE * waveform)


class MultirateDecoder(Decoder):
    """The mirror image: transposed convolutions with residual units, then a fully connected head.

    Args:
        latent_size: Latent dimensions Z per frame.
        head: Last layer; reads the features of the last stage.
        widths: Features before each stage and, last, of the head: one more than strides.
        strides: Upsampling of each stage; their product times the head's hop is the hop.
        num_units: Residual units of each stage, after its transposed convolution.

    Raises:
        OptionError: If the numbers of widths and strides, or the last width and the head's, do not fit.
    """

    def __init__(
        self,
        latent_size: int,
        head: WaveformHead,
        widths: Sequence[int] = (256, 192, 96),
        strides: Sequence[int] = (2, 4),
        num_units: int = 0,
    ) -> None:
        super().__init__()
        check_stages("MultirateDecoder", widths[1:], strides)
        if widths[-1] != head.hidden_size:
            raise OptionError(
                f"MultirateDecoder: the last of widths is {widths[-1]} but head.hidden_size is "
                f"{head.hidden_size}",
                "make them equal",
            )
        self.latent_size = latent_size
        self.head = head
        self.widths = list(widths)
        self.strides = list(strides)
        self.num_units = num_units
        self.hop_samples = head.hop_samples
        layers: list[nn.Module] = [
            nn.Conv1d(latent_size, widths[0], 7, padding=3),
            *residual_units(widths[0], num_units),
        ]
        for (fan_in, fan_out), stride in zip(itertools.pairwise(self.widths), self.strides, strict=True):
            layers.append(nn.ConvTranspose1d(fan_in, fan_out, 2 * stride, stride, padding=stride // 2))
            layers.extend(residual_units(fan_out, num_units))
            self.hop_samples *= stride
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        """See `Decoder.forward`."""
        return self.head(self.layers(latent).transpose(1, 2))


def check_stages(name: str, widths: Sequence[int], strides: Sequence[int]) -> None:
    """Raise an OptionError unless each stage has a width, and an even stride (or none)."""
    if not strides or len(widths) != len(strides) or any(one % 2 and one > 1 for one in strides):
        raise OptionError(
            f"{name}: got widths={list(widths)} and strides={list(strides)} of its stages",
            "give one width for each stride, and even strides",
        )
