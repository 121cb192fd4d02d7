"""Rival vocoders: the generators of MelGAN and HiFi-GAN, to be injected where WaveGAN's goes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from lightning_modules.errors import OptionError
from lightning_modules.networks.generator import FeatureGenerator
from lightning_modules.numerics.precision import full_precision


def same_convolution(channels: int, kernel_size: int, dilation: int) -> nn.Conv1d:
    """Weight-normalised convolution that keeps channels and length, zero-padded."""
    padding = dilation * (kernel_size - 1) // 2
    return weight_norm(nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=padding))


class MelGANResidual(nn.Module):
    """Dilated convolution of three taps and a pointwise one, beside a pointwise shortcut.

    Args:
        channels: Channels H.
        dilation: Of the first convolution.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.dilated = weight_norm(nn.Conv1d(channels, channels, 3, dilation=dilation))
        self.pointwise = weight_norm(nn.Conv1d(channels, channels, 1))
        self.shortcut = weight_norm(nn.Conv1d(channels, channels, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, H, L) -> (B, H, L); reflected at the edges, or zero-padded if L is too short for it."""
        mode = "reflect" if hidden.shape[-1] > self.dilation else "constant"
        branch = functional.pad(functional.leaky_relu(hidden, 0.2), (self.dilation,) * 2, mode=mode)
        branch = functional.leaky_relu(self.dilated(branch), 0.2)
        return self.shortcut(hidden) + self.pointwise(branch)


class HiFiGANResidual(nn.Module):
    """Residual convolutions of one kernel size, each followed by an undilated one or not.

    Args:
        channels: Channels H.
        kernel_size: Taps; odd.
        dilations: Of each convolution.
        paired: Whether an undilated convolution follows each (published type 1; type 2 has none).
    """

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int], paired: bool) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(same_convolution(channels, kernel_size, d) for d in dilations)
        self.undilated = nn.ModuleList(
            same_convolution(channels, kernel_size, 1) if paired else nn.Identity() for _ in dilations
        )
        self.paired = paired

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, H, L) -> (B, H, L)."""
        for dilated, undilated in zip(self.dilated, self.undilated, strict=True):
            branch = dilated(functional.leaky_relu(hidden, 0.1))
            if self.paired:
                branch = undilated(functional.leaky_relu(branch, 0.1))
            hidden = hidden + branch
        return hidden


class UpsamplingVocoder(FeatureGenerator):
    """The common part of MelGAN and HiFi-GAN: transposed convolutions, each followed by residual blocks.

    A subclass fills `residuals` with one module for each of `sizes`, (B, H, L) -> (B, H, L).

    Args:
        feature_size: Features F per frame.
        strides: Of each transposed convolution; the product is the hop.
        kernel_sizes: Of each transposed convolution; each minus its stride must be even.
        hidden_size: Channels before the first of them, halved by each.
        channels: Audio channels C.
        slope: Of LeakyReLU before each transposed convolution.
    """

    def __init__(
        self,
        feature_size: int,
        strides: Sequence[int],
        kernel_sizes: Sequence[int],
        hidden_size: int,
        channels: int,
        slope: float,
    ) -> None:
        super().__init__()
        if len(strides) != len(kernel_sizes) or hidden_size % 2 ** len(strides):
            raise OptionError(
                f"{type(self).__name__} has strides={list(strides)}, kernel_sizes={list(kernel_sizes)} and "
                f"hidden_size={hidden_size}",
                "give a kernel size for each stride, and a hidden_size that can be halved as often",
            )
        self.feature_size = feature_size
        self.strides = list(strides)
        self.kernel_sizes = list(kernel_sizes)
        self.hidden_size = hidden_size
        self.channels = channels
        self.slope = slope
        self.hop_samples = 1
        self.input = weight_norm(nn.Conv1d(feature_size, hidden_size, 7, padding=3))
        self.upsampling, self.residuals = nn.ModuleList(), nn.ModuleList()  # the latter: the subclass's part
        self.sizes: list[int] = []
        for number, (stride, kernel) in enumerate(zip(strides, kernel_sizes, strict=True)):
            fan_in = hidden_size // 2**number
            padding = (kernel - stride) // 2
            layer = nn.ConvTranspose1d(fan_in, fan_in // 2, kernel, stride, padding)
            self.upsampling.append(weight_norm(layer))
            self.sizes.append(fan_in // 2)
            self.hop_samples *= stride
        self.output = weight_norm(nn.Conv1d(hidden_size // 2 ** len(strides), channels, 7, padding=3))

    def forward(self, features: Tensor) -> Tensor:
        """See `FeatureGenerator.forward`."""
        hidden = self.input(features)  # (B, H, N)
        for upsampling, residual in zip(self.upsampling, self.residuals, strict=True):
            hidden = residual(upsampling(functional.leaky_relu(hidden, self.slope)))
        # samples of 8 bits, which is what bfloat16 has, would be noise
        with full_precision(hidden.device):
            return torch.tanh(self.output(functional.leaky_relu(hidden.float(), self.slope)))


class MelGANGenerator(UpsamplingVocoder):
    """MelGAN's generator; 4,260,257 parameters in the published size, weight normalisation removed.

    Source: Kumar et al. 2019, "MelGAN", appendix A. The first and the last convolution are padded with zeros.

    Args:
        feature_size: Features F per frame.
        hidden_size: Channels before the first transposed convolution.
        strides: Of the transposed convolutions, whose kernels have twice as many taps.
        channels: Audio channels C.
    """

    DILATIONS = (1, 3, 9)

    def __init__(
        self,
        feature_size: int = 80,
        hidden_size: int = 512,
        strides: Sequence[int] = (8, 8, 2, 2),
        channels: int = 1,
    ) -> None:
        super().__init__(
            feature_size, strides, [2 * stride for stride in strides], hidden_size, channels, slope=0.2
        )
        for size in self.sizes:
            self.residuals.append(nn.Sequential(*(MelGANResidual(size, d) for d in self.DILATIONS)))


class Mean(nn.ModuleList):
    """Mean of what several modules make of the same input."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Any shape that the modules take; theirs."""
        return torch.stack([module(hidden) for module in self]).mean(0)


class HiFiGANGenerator(UpsamplingVocoder):
    """HiFi-GAN's generator; V1 by default.

    | | hidden_size | strides | kernel_sizes | residual_kernels | dilations | paired | parameters |
    |-|-|-|-|-|-|-|-|
    | V1 | 512 | 8 8 2 2 | 16 16 4 4 | 3 7 11 | 1 3 5 for each | yes | 13,926,017 |
    | V2 | 128 | 8 8 2 2 | 16 16 4 4 | 3 7 11 | 1 3 5 for each | yes | 925,985 |
    | V3 | 256 | 8 8 4 | 16 16 8 | 3 5 7 | 1 2, 2 6, 3 12 | no | 1,462,273 |

    Source: Kong, Kim, Bae 2020, "HiFi-GAN", section 2.2, appendix A.1 and official code; weight normalisation
    removed for the count.

    Args:
        feature_size: Features F per frame.
        hidden_size: Channels before the first transposed convolution.
        strides: Of the transposed convolutions.
        kernel_sizes: Their taps.
        residual_kernels: Taps of the residual blocks, whose mean is taken.
        dilations: Of the convolutions of each residual block.
        paired: Whether an undilated convolution follows each dilated one.
        channels: Audio channels C.
    """

    def __init__(
        self,
        feature_size: int = 80,
        hidden_size: int = 512,
        strides: Sequence[int] = (8, 8, 2, 2),
        kernel_sizes: Sequence[int] = (16, 16, 4, 4),
        residual_kernels: Sequence[int] = (3, 7, 11),
        dilations: Sequence[Sequence[int]] = ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        paired: bool = True,
        channels: int = 1,
    ) -> None:
        if len(dilations) != len(residual_kernels):
            raise OptionError(
                f"HiFiGANGenerator has residual_kernels={list(residual_kernels)} and "
                f"dilations={[list(each) for each in dilations]}",
                "give a list of dilations for each of residual_kernels",
            )
        super().__init__(feature_size, strides, kernel_sizes, hidden_size, channels, slope=0.1)
        self.residual_kernels = list(residual_kernels)
        self.dilations = [list(each) for each in dilations]
        self.paired = paired
        self.residuals.extend(
            Mean(
                HiFiGANResidual(size, *each, paired) for each in zip(residual_kernels, dilations, strict=True)
            )
            for size in self.sizes
        )
