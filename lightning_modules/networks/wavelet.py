"""Wavelet packets, and an encoder and a decoder that work on their bands instead of samples."""

import math
from collections.abc import Sequence

import pywt
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError
from lightning_modules.networks.decoder import Decoder, StridedDecoder
from lightning_modules.networks.encoder import Encoder, StridedEncoder
from lightning_modules.networks.waveform_head import WaveformHeadCallable
from lightning_modules.numerics.precision import full_precision


class WaveletPackets(nn.Module):
    """Orthogonal wavelet packet transform of full depth: 2^levels bands of equal width, critically sampled.

    Clips are extended periodically, so that the transform of T samples is T numbers, an orthogonal map:
    energy is kept, `inverse` is exact, and a Gaussian error in the bands is the same error in the waveform.
    The cascade of filters and decimations is one convolution with their compositions.
    Source: Coifman & Wickerhauser 1992; bands are in the order of rising frequency (Wickerhauser 1994,
    section 7.3), which is that of the Gray code, as each high-pass turns the spectrum below it around.

    Args:
        levels: Depth of the tree.
        wavelet: An orthogonal wavelet of PyWavelets; longer filters (db8, sym10) part the bands better.

    Attributes:
        overlap: Samples by which neighbouring filters overlap, a multiple of the number of bands.

    Raises:
        OptionError: If PyWavelets has no orthogonal wavelet of this name.
    """

    filters: Tensor

    def __init__(self, levels: int = 4, wavelet: str = "db8") -> None:
        super().__init__()
        if levels < 1:
            raise OptionError(f"WaveletPackets: levels is {levels}", "give at least 1")
        self.levels = levels
        self.wavelet = wavelet
        self.num_bands = 2**levels
        filters = packet_filters(orthogonal_filters(wavelet), levels)
        missing = -filters.shape[1] % self.num_bands
        filters = functional.pad(filters, (missing // 2, missing - missing // 2))
        self.overlap = filters.shape[1] - self.num_bands
        # polyphase form: each filter tap by its place in the block of samples, and the number of the block
        self._exact = filters.unflatten(1, (-1, self.num_bands)).transpose(1, 2)
        self.register_buffer("filters", self._exact.float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Split into bands.

        Args:
            waveform: (B, C, T), T a multiple of 2^levels.

        Returns:
            (B, C * 2^levels, T / 2^levels), the bands of one channel beside each other, low to high.
        """
        return self.analyse(wrapped(waveform, self.overlap))

    def inverse(self, bands: Tensor) -> Tensor:
        """Put bands (B, C * 2^levels, N) together again: (B, C, N * 2^levels)."""
        # the transpose of the analysis is its inverse: what was wrapped is added where it came from
        return folded(self.synthesise(bands), self.overlap)

    def _filters_for(self, signal: Tensor) -> Tensor:
        """In its type; float64 ones are no buffer, for a device may have none."""
        if signal.dtype == torch.float64:
            return self._exact.to(signal.device)
        return self.filters.to(signal.dtype)

    def analyse(self, waveform: Tensor) -> Tensor:
        """Bands (B, C * 2^levels, N) of a waveform (B, C, N * 2^levels + overlap). In full precision."""
        with full_precision(waveform.device):
            blocks = waveform.flatten(0, 1).unflatten(1, (-1, self.num_bands)).transpose(1, 2)
            bands = functional.conv1d(blocks, self._filters_for(blocks))
        return bands.unflatten(0, waveform.shape[:2]).flatten(1, 2)

    def synthesise(self, bands: Tensor) -> Tensor:
        """The transpose of `analyse`."""
        signals = bands.unflatten(1, (-1, self.num_bands))
        with full_precision(bands.device):
            transposed = self._filters_for(bands).transpose(0, 1).flip(2)
            blocks = functional.conv1d(
                signals.flatten(0, 1), transposed, padding=self.overlap // self.num_bands
            )
        return blocks.transpose(1, 2).flatten(1).unflatten(0, signals.shape[:2])


def packet_filters(pair: Tensor, levels: int) -> Tensor:
    """Filters of all bands, low to high: what a cascade of decimating filters comes to.

    Args:
        pair: (2, K) low-pass and high-pass.
        levels: Depth.

    Returns:
        (2^levels, (K - 1) * (2^levels - 1) + 1).
    """
    filters = torch.ones(1, 1, dtype=pair.dtype)
    for level in range(levels):
        # behind a decimation by 2^level the taps are as many samples apart
        spread = pair.new_zeros(2, (pair.shape[1] - 1) * 2**level + 1)
        spread[:, :: 2**level] = pair
        filters = functional.conv1d(
            filters.unsqueeze(1), spread.flip(1).unsqueeze(1), padding=spread.shape[1] - 1
        ).flatten(0, 1)
    order = torch.arange(2**levels)
    return filters[order ^ (order >> 1)]


def orthogonal_filters(wavelet: str) -> Tensor:
    """Low-pass and high-pass analysis filter of a wavelet, (2, K) float64.

    Raises:
        OptionError: If PyWavelets has no orthogonal wavelet of this name.
    """
    known = pywt.wavelist(kind="discrete")
    if wavelet not in known or not pywt.Wavelet(wavelet).orthogonal:
        raise OptionError(
            f"wavelet is {wavelet!r}, which is no orthogonal wavelet of PyWavelets",
            "give haar, db2 … db38, sym2 … sym20 or coif1 … coif17",
        )
    filters = pywt.Wavelet(wavelet)
    return torch.tensor([filters.rec_lo, filters.rec_hi], dtype=torch.float64)


def wrapped(signal: Tensor, extra: int) -> Tensor:
    """(..., T) continued periodically by `extra` samples, of which there may be more than T."""
    length = signal.shape[-1]
    return signal[..., torch.arange(length + extra, device=signal.device) % length]


def folded(signal: Tensor, extra: int) -> Tensor:
    """The transpose of `wrapped`: (..., T + extra) to (..., T), the continuation added to the beginning."""
    length = signal.shape[-1] - extra
    index = torch.arange(length + extra, device=signal.device) % length
    return signal.new_zeros(*signal.shape[:-1], length).index_add(-1, index, signal)


class WaveletEncoder(Encoder):
    """Strided convolutions over the bands of a wavelet packet transform; the clip lies in silence.

    Args:
        channels: Audio channels C.
        levels: Depth of the transform, which makes 2^levels bands of each channel.
        wavelet: As in `WaveletPackets`.
        widths: Features after each stage of convolutions; the last is H.
        strides: Striding of each stage; their product times 2^levels is the hop. By default they follow
            from `hop_samples`, as equal as powers of two can be, the larger first.
        hop_samples: Samples per latent frame. By default it follows from `strides`, and is 256 without these.
        num_units: Residual units of each stage, after its convolution.

    Raises:
        OptionError: If widths, strides and hop do not fit each other.
    """

    def __init__(
        self,
        channels: int = 1,
        levels: int = 4,
        wavelet: str = "db8",
        widths: Sequence[int] = (192, 384),
        strides: Sequence[int] | None = None,
        hop_samples: int | None = None,
        num_units: int = 0,
    ) -> None:
        super().__init__()
        packets = WaveletPackets(levels, wavelet)
        self.channels = channels
        self.levels = levels
        self.wavelet = wavelet
        self.widths = list(widths)
        self.strides = band_strides("WaveletEncoder", levels, len(self.widths), strides, hop_samples)
        self.num_units = num_units
        self.encoder = StridedEncoder(channels * packets.num_bands, self.widths, self.strides, num_units)
        self.packets = packets
        self.hop_samples = self.encoder.hop_samples * packets.num_bands
        self.hidden_size = self.encoder.hidden_size

    def forward(self, waveform: Tensor) -> Tensor:
        """See `Encoder.forward`."""
        margin = self.packets.overlap // 2
        return self.encoder(self.packets.analyse(functional.pad(waveform.float(), (margin, margin))))


class WaveletDecoder(Decoder):
    """Transposed convolutions to wavelet packet bands; the part of the signal outside the clip is dropped.

    Args:
        latent_size: Latent dimensions Z per frame.
        channels: Audio channels C.
        levels: Depth of the transform, which makes a channel of 2^levels bands.
        wavelet: As in `WaveletPackets`.
        widths: Features before each stage.
        strides: Upsampling of each stage, the last one the fully connected layer's; otherwise as in
            `WaveletEncoder`.
        hop_samples: As in `WaveletEncoder`.
        num_units: Residual units of each stage, after its transposed convolution.
        waveform_head: Makes the last stage, which gives the bands; None for a `FullyConnectedHead`.

    Raises:
        OptionError: If widths, strides and hop do not fit each other.
    """

    def __init__(
        self,
        latent_size: int,
        channels: int = 1,
        levels: int = 4,
        wavelet: str = "db8",
        widths: Sequence[int] = (384, 192),
        strides: Sequence[int] | None = None,
        hop_samples: int | None = None,
        num_units: int = 0,
        waveform_head: WaveformHeadCallable | None = None,
    ) -> None:
        super().__init__()
        packets = WaveletPackets(levels, wavelet)
        self.latent_size = latent_size
        self.channels = channels
        self.levels = levels
        self.wavelet = wavelet
        self.widths = list(widths)
        self.strides = band_strides("WaveletDecoder", levels, len(self.widths), strides, hop_samples)
        self.num_units = num_units
        self.waveform_head = waveform_head
        self.decoder = StridedDecoder(
            latent_size, self.widths, self.strides, channels * packets.num_bands, num_units, waveform_head
        )
        self.packets = packets
        self.hop_samples = self.decoder.hop_samples * packets.num_bands

    def forward(self, latent: Tensor) -> Tensor:
        """See `Decoder.forward`."""
        margin = self.packets.overlap // 2
        return self.packets.synthesise(self.decoder(latent).float())[..., margin : -margin or None]


def band_strides(
    name: str, levels: int, num_stages: int, strides: Sequence[int] | None, hop_samples: int | None
) -> list[int]:
    """Strides of the stages between bands and latent frames.

    Args:
        name: Class, for errors.
        levels: Depth of the packets.
        num_stages: Number of strides.
        strides: Given ones, or None for those that follow from `hop_samples`.
        hop_samples: Samples per latent frame; None for what the strides give, or for 256 without these.

    Raises:
        OptionError: If strides and hop contradict each other, or no strides of powers of two give the hop.
    """
    if strides is not None:
        given = 2**levels * math.prod(strides)
        if hop_samples not in (None, given):
            raise OptionError(
                f"{name}: hop_samples is {hop_samples}, but {2**levels} bands and strides={list(strides)} "
                f"make {given}",
                "leave one of them out",
            )
        return list(strides)
    hop_samples = 256 if hop_samples is None else hop_samples
    power = hop_samples.bit_length() - 1 - levels
    if num_stages < 1 or power < 0 or 2 ** (levels + power) != hop_samples:
        raise OptionError(
            f"{name}: hop_samples is {hop_samples}, which {2**levels} bands and {num_stages} stages whose "
            "strides are powers of two cannot make",
            f"give a power of two from {2**levels} on, or strides in its place",
        )
    share, rest = divmod(power, num_stages)
    return [2 ** (share + (stage < rest)) for stage in range(num_stages)]
