"""Wavelet packets around a network: it reads and writes bands instead of samples."""

import pywt
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError
from lightning_modules.networks.decoder import Decoder
from lightning_modules.networks.encoder import Encoder
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
        self.register_buffer(
            "filters", filters.unflatten(1, (-1, self.num_bands)).transpose(1, 2), persistent=False
        )

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

    def analyse(self, waveform: Tensor) -> Tensor:
        """Bands (B, C * 2^levels, N) of a waveform (B, C, N * 2^levels + overlap). In full precision."""
        with full_precision(waveform.device):
            blocks = waveform.flatten(0, 1).unflatten(1, (-1, self.num_bands)).transpose(1, 2)
            bands = functional.conv1d(blocks, self.filters.to(blocks.dtype))
        return bands.unflatten(0, waveform.shape[:2]).flatten(1, 2)

    def synthesise(self, bands: Tensor) -> Tensor:
        """The transpose of `analyse`."""
        signals = bands.unflatten(1, (-1, self.num_bands))
        with full_precision(bands.device):
            transposed = self.filters.transpose(0, 1).flip(2).to(bands.dtype)
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
    """An encoder of wavelet-packet bands. Band values are about their own samples; around a clip is silence.

    Args:
        encoder: Reads the bands as its channels: C * 2^levels of them.
        packets: The transform.

    Raises:
        OptionError: If the encoder's channels are no multiple of the bands.
    """

    def __init__(self, encoder: Encoder, packets: WaveletPackets) -> None:
        super().__init__()
        self.encoder = encoder
        self.packets = packets
        check_bands("encoder.channels", encoder.channels, packets)
        self.channels = encoder.channels // packets.num_bands
        self.hop_samples = encoder.hop_samples * packets.num_bands
        self.hidden_size = encoder.hidden_size

    def forward(self, waveform: Tensor) -> Tensor:
        """See `Encoder.forward`."""
        margin = self.packets.overlap // 2
        return self.encoder(self.packets.analyse(functional.pad(waveform.float(), (margin, margin))))


class WaveletDecoder(Decoder):
    """A decoder to wavelet-packet bands. What would fall outside the clip is dropped.

    Args:
        decoder: Makes the bands as its channels: C * 2^levels of them.
        packets: The transform.
    """

    def __init__(self, decoder: Decoder, packets: WaveletPackets) -> None:
        super().__init__()
        self.decoder = decoder
        self.packets = packets
        self.latent_size = decoder.latent_size
        self.hop_samples = decoder.hop_samples * packets.num_bands

    def forward(self, latent: Tensor) -> Tensor:
        """See `Decoder.forward`."""
        bands = self.decoder(latent).float()
        check_bands("the decoder's channels", bands.shape[1], self.packets)
        margin = self.packets.overlap // 2
        return self.packets.synthesise(bands)[..., margin : -margin or None]


def check_bands(name: str, channels: int, packets: WaveletPackets) -> None:
    """Raise an OptionError unless `channels` is a multiple of the bands."""
    if channels % packets.num_bands != 0:
        raise OptionError(
            f"{name} is {channels}, but {packets.levels} levels of wavelet packets make {packets.num_bands} "
            "bands of each audio channel",
            f"give {packets.num_bands} times the audio channels",
        )
