"""Trunks W: waveforms to the features that the heads D and F read."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from lightning_modules.networks.generator import FIRST_FRAMES, strides_for
from lightning_modules.networks.leaky_relu import LeakyReLU
from lightning_modules.networks.phase_shuffle import PhaseShuffle
from lightning_modules.networks.strided_convolution import StridedConvolution

FeatureMaps = list[list[Tensor]]
"""Of each critic in a trunk, the feature map after each of its layers, (N, H, L), or (N, H, L, F) of spectra.

N is B or a multiple of it (periods fold into it), clips first: map n belongs to clip n // (N / B)."""


class Trunk(nn.Module, ABC):
    """One critic or several, less their score layers.

    Attributes:
        channels: Audio channels C it reads.
        clip_samples: Length T of the clips it was built for; None for any.
        hidden_sizes: Features H of the last map of each critic.
        hop_samples: Samples per frame of the first critic's last map.
    """

    channels: int
    clip_samples: int | None = None
    hidden_sizes: list[int]
    hop_samples: int

    @abstractmethod
    def forward(self, waveform: Tensor) -> FeatureMaps:
        """Give the feature maps of clips.

        Args:
            waveform: (B, C, T).

        Returns:
            The maps of each critic, from its first layer to its last.
        """


def trunk_size(clip_samples: int, model_size: int) -> int:
    """Features of the last map of a `WaveGANTrunk`: 16 d for 16,384 samples.

    Raises:
        OptionError: If `clip_samples` is not a length that WaveGAN's layers have.
    """
    return model_size * 2 ** (len(strides_for(clip_samples)) - 1)


class WaveGANTrunk(Trunk):
    """The published critic less its score layer: convolutions of stride 4, LeakyReLU, phase shuffle.

    Phase shuffle follows layers 0 to 3, as published. With the score layer of `DenseScoreHead` it has
    17,427,969 parameters for 16,384 samples and d = 64.
    Source: Donahue, McAuley, Puckette 2019, "Adversarial Audio Synthesis", table 4 and official code.

    Args:
        clip_samples: Length T of the clips, as in `WaveGANGenerator`.
        model_size: Width d; the layers have d to 2^(k - 1) d channels.
        channels: Audio channels C.
        kernel_size: Taps of each layer.
        phase_shuffle: Largest shift in frames; 0 for none.
        shuffle_per_clip: Draw a shift for each clip rather than for each pass.
        slope: Of LeakyReLU on negative values.

    Raises:
        OptionError: If `clip_samples` is not a length that WaveGAN's layers have.
    """

    SHUFFLED_LAYERS = 4

    def __init__(
        self,
        clip_samples: int,
        model_size: int = 64,
        channels: int = 1,
        kernel_size: int = 25,
        phase_shuffle: int = 2,
        shuffle_per_clip: bool = False,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.clip_samples = clip_samples
        self.model_size = model_size
        self.channels = channels
        self.kernel_size = kernel_size
        self.phase_shuffle = phase_shuffle
        self.shuffle_per_clip = shuffle_per_clip
        self.slope = slope
        strides = strides_for(clip_samples)
        sizes = [model_size * 2**power for power in range(len(strides))]
        self.hidden_sizes = sizes[-1:]
        self.hop_samples = clip_samples // FIRST_FRAMES
        self.layers = nn.ModuleList(
            StridedConvolution(fan_in, fan_out, kernel_size, stride)
            for fan_in, fan_out, stride in zip([channels, *sizes], sizes, strides, strict=False)
        )
        self.activation = LeakyReLU(slope)
        self.shuffle = PhaseShuffle(phase_shuffle, shuffle_per_clip)

    def forward(self, waveform: Tensor) -> FeatureMaps:
        """See `Trunk.forward`; T must be a multiple of `hop_samples`."""
        hidden, maps = waveform.transpose(1, 2), []  # (B, T, C)
        for number, layer in enumerate(self.layers):
            hidden = self.activation(layer(hidden))  # (B, L, H)
            maps.append(hidden.transpose(1, 2))
            if number < min(self.SHUFFLED_LAYERS, len(self.layers) - 1):
                hidden = self.shuffle(hidden)
        return [maps]


class ConvolutionalCritic(nn.Module):
    """Weight-normalised convolutions with LeakyReLU.

    Args:
        plan: Of each layer (in_channels, out_channels, kernel_size, stride, groups).
        slope: Of LeakyReLU on negative values.
    """

    def __init__(self, plan: Sequence[tuple[int, int, int, int, int]], slope: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv1d(fan_in, fan_out, kernel, stride, (kernel - 1) // 2, groups=groups))
            for fan_in, fan_out, kernel, stride, groups in plan
        )
        self.slope = slope

    def forward(self, signal: Tensor) -> list[Tensor]:
        """(N, C, T) -> the maps of all layers, (N, H, L)."""
        maps = []
        for layer in self.layers:
            signal = functional.leaky_relu(layer(signal), self.slope)
            maps.append(signal)
        return maps


class MultiScaleTrunk(Trunk):
    """Critics of one plan on the waveform and on its averages over ever longer windows.

    Args:
        plan: Layers of each critic: (out_channels, kernel_size, stride, groups).
        num_scales: Critics.
        channels: Audio channels C.
        slope: Of LeakyReLU on negative values.
        pool_padding: Samples that the averages (windows of 4, stride 2) reach beyond the edges.
    """

    def __init__(
        self,
        plan: Sequence[tuple[int, int, int, int]],
        num_scales: int = 3,
        channels: int = 1,
        slope: float = 0.2,
        pool_padding: int = 1,
    ) -> None:
        super().__init__()
        self.plan = list(plan)
        self.num_scales = num_scales
        self.channels = channels
        self.slope = slope
        self.pool_padding = pool_padding
        sizes = [channels, *(layer[0] for layer in plan)]
        layers = [(fan_in, *layer) for fan_in, layer in zip(sizes, plan, strict=False)]
        self.critics = nn.ModuleList(ConvolutionalCritic(layers, slope) for _ in range(num_scales))
        self.hidden_sizes = [sizes[-1]] * num_scales
        self.hop_samples = 1
        for _, _, stride, _ in self.plan:
            self.hop_samples *= stride

    def forward(self, waveform: Tensor) -> FeatureMaps:
        """See `Trunk.forward`."""
        maps = []
        for number, critic in enumerate(self.critics):
            if number > 0:
                waveform = functional.avg_pool1d(waveform, 4, 2, self.pool_padding, count_include_pad=False)
            maps.append(critic(waveform))
        return maps


def melgan_plan(model_size: int = 16, limit: int = 1024) -> list[tuple[int, int, int, int]]:
    """Layers of MelGAN's critics (Kumar et al. 2019, appendix A): four grouped layers of stride 4.

    Args:
        model_size: Channels after the first layer; 16 as published.
        limit: Most channels; 1024 as published.
    """
    sizes = [min(model_size * 4**power, limit) for power in range(5)]
    grouped = [(fan_out, 41, 4, max(1, fan_in // 4)) for fan_in, fan_out in itertools.pairwise(sizes)]
    return [(sizes[0], 15, 1, 1), *grouped, (sizes[-1], 5, 1, 1)]


class MelGANTrunk(MultiScaleTrunk):
    """MelGAN's three critics less their score layers.

    16,913,859 parameters with the score layers, published size (Kumar et al. 2019, "MelGAN", appendix A).

    Args:
        model_size: Channels after the first layer; 16 as published, a multiple of 4.
        limit: Most channels; 1024 as published.
        channels: Audio channels C.
    """

    def __init__(self, model_size: int = 16, limit: int = 1024, channels: int = 1) -> None:
        super().__init__(melgan_plan(model_size, limit), 3, channels, slope=0.2)
        self.model_size = model_size
        self.limit = limit


class PeriodTrunk(Trunk):
    """HiFi-GAN's multi-period critics less their score layers: each sees every p-th sample.

    The phases of a period are convolved alike and apart, so they join the clips in the batch. 41,092,165
    parameters with the score layers, published size (Kong, Kim, Bae 2020, "HiFi-GAN", section 2.3).

    Args:
        periods: p of each critic.
        model_size: Channels after the first layer; 32 as published.
        limit: Most channels; 1024 as published.
        channels: Audio channels C.
    """

    def __init__(
        self,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        model_size: int = 32,
        limit: int = 1024,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.periods = list(periods)
        self.model_size = model_size
        self.limit = limit
        self.channels = channels
        sizes = [channels, *(min(model_size * factor, limit) for factor in (1, 4, 16, 32, 32))]
        strides = (3, 3, 3, 3, 1)
        plan = [
            (fan_in, fan_out, 5, stride, 1)
            for fan_in, fan_out, stride in zip(sizes, sizes[1:], strides, strict=False)
        ]
        self.critics = nn.ModuleList(ConvolutionalCritic(plan, slope=0.1) for _ in self.periods)
        self.hidden_sizes = [sizes[-1]] * len(self.periods)
        self.hop_samples = 81 * self.periods[0]

    def forward(self, waveform: Tensor) -> FeatureMaps:
        """See `Trunk.forward`."""
        maps = []
        for period, critic in zip(self.periods, self.critics, strict=True):
            padding = -waveform.shape[-1] % period
            padded = functional.pad(waveform, (0, padding), mode="reflect") if padding else waveform
            phases = padded.unflatten(2, (-1, period)).permute(0, 3, 1, 2).flatten(0, 1)  # (B * p, C, T / p)
            maps.append(critic(phases))
        return maps


class HiFiGANTrunk(Trunk):
    """HiFi-GAN's critics: three scales and five periods, less their score layers.

    29,610,627 and 41,092,165 parameters with the score layers, published size. All layers are
    weight-normalised (the published code uses spectral normalisation in the first scale).
    Source: Kong, Kim, Bae 2020, "HiFi-GAN", section 2.3 and official code.

    Args:
        scale_size: Channels of the scales' first layers; 128 as published.
        period_size: Channels of the periods' first layers; 32 as published.
        limit: Most channels; 1024 as published.
        channels: Audio channels C.
    """

    def __init__(
        self, scale_size: int = 128, period_size: int = 32, limit: int = 1024, channels: int = 1
    ) -> None:
        super().__init__()
        self.scale_size = scale_size
        self.period_size = period_size
        self.limit = limit
        self.channels = channels
        sizes = [min(scale_size * factor, limit) for factor in (1, 1, 2, 4, 8, 8, 8)]
        kernels, strides, groups = (15, *[41] * 5, 5), (1, 2, 2, 4, 4, 1, 1), (1, 4, 16, 16, 16, 16, 1)
        plan = list(zip(sizes, kernels, strides, groups, strict=True))
        self.scales = MultiScaleTrunk(plan, 3, channels, slope=0.1, pool_padding=2)
        self.periods = PeriodTrunk(model_size=period_size, limit=limit, channels=channels)
        self.hidden_sizes = self.scales.hidden_sizes + self.periods.hidden_sizes
        self.hop_samples = self.scales.hop_samples

    def forward(self, waveform: Tensor) -> FeatureMaps:
        """See `Trunk.forward`: the scales, then the periods."""
        return self.scales(waveform) + self.periods(waveform)
