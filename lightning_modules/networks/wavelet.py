"""Wavelet packets around a network: it reads and writes bands instead of samples."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError
from lightning_modules.networks.decoder import Decoder
from lightning_modules.networks.encoder import Encoder


class WaveletPackets(nn.Module):
    """Orthogonal wavelet packet transform of full depth: 2^levels bands of equal width, critically sampled.

    Clips are extended periodically, so that the transform of T samples is T numbers, an orthogonal map:
    energy is kept, `inverse` is exact, and a Gaussian error in the bands is the same error in the waveform.
    Source: Coifman & Wickerhauser 1992; bands are in the order of rising frequency (Wickerhauser 1994,
    section 7.3), which is that of the Gray code, as each high-pass turns the spectrum below it around.

    Args:
        levels: Depth of the tree.
        wavelet: An orthogonal wavelet of PyWavelets; longer filters (db8, sym10) part the bands better.

    Raises:
        OptionError: If PyWavelets is not installed, or has no orthogonal wavelet of this name.
    """

    filters: Tensor
    order: Tensor

    def __init__(self, levels: int = 4, wavelet: str = "db8") -> None:
        super().__init__()
        if levels < 1:
            raise OptionError(f"WaveletPackets: levels is {levels}", "give at least 1")
        self.levels = levels
        self.wavelet = wavelet
        self.num_bands = 2**levels
        self.register_buffer("filters", orthogonal_filters(wavelet), persistent=False)  # (2, 1, K)
        order = torch.arange(self.num_bands)
        self.register_buffer("order", order ^ (order >> 1), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Split into bands.

        Args:
            waveform: (B, C, T), T a multiple of 2^levels.

        Returns:
            (B, C * 2^levels, T / 2^levels), the bands of one channel beside each other, low to high.
        """
        batch, channels, length = waveform.shape
        filters = self.filters.to(waveform.dtype)
        nodes = waveform.reshape(-1, 1, length)
        for _ in range(self.levels):
            nodes = functional.conv1d(wrapped(nodes, filters.shape[2] - 2), filters, stride=2)
            nodes = nodes.flatten(0, 1).unsqueeze(1)  # each child is a signal of its own
        return nodes.view(batch, channels, self.num_bands, -1)[:, :, self.order].flatten(1, 2)

    def inverse(self, bands: Tensor) -> Tensor:
        """Put bands (B, C * 2^levels, N) together again: (B, C, N * 2^levels)."""
        filters = self.filters.to(bands.dtype)
        nodes = bands.unflatten(1, (-1, self.num_bands))[:, :, self.order.argsort()]
        for _ in range(self.levels):
            nodes = nodes.reshape(-1, 2, nodes.shape[-1])
            # the transpose of the analysis is its inverse: what was wrapped is added where it came from
            nodes = folded(functional.conv_transpose1d(nodes, filters, stride=2), filters.shape[2] - 2)
        return nodes.reshape(len(bands), -1, nodes.shape[-1])


def orthogonal_filters(wavelet: str) -> Tensor:
    """Low-pass and high-pass analysis filter of a wavelet, (2, 1, K) float64.

    Raises:
        OptionError: If PyWavelets is not installed, or has no orthogonal wavelet of this name.
    """
    try:
        import pywt
    except ImportError as error:
        raise OptionError(
            "Wavelet packets need the package PyWavelets, which is not installed",
            'pip install "maestro-lightning[wavelets]", or `pip install -e ".[wavelets]"` in a checkout',
        ) from error
    known = pywt.wavelist(kind="discrete")
    if wavelet not in known or not pywt.Wavelet(wavelet).orthogonal:
        raise OptionError(
            f"wavelet is {wavelet!r}, which is no orthogonal wavelet of PyWavelets",
            "give haar, db2 … db38, sym2 … sym20 or coif1 … coif17",
        )
    filters = pywt.Wavelet(wavelet)
    return torch.tensor([filters.rec_lo, filters.rec_hi], dtype=torch.float64).unsqueeze(1)


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
    """An encoder of wavelet-packet bands.

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
        return self.encoder(self.packets(waveform.float()))


class WaveletDecoder(Decoder):
    """A decoder to wavelet-packet bands.

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
        return self.packets.inverse(bands)


def check_bands(name: str, channels: int, packets: WaveletPackets) -> None:
    """Raise an OptionError unless `channels` is a multiple of the bands."""
    if channels % packets.num_bands != 0:
        raise OptionError(
            f"{name} is {channels}, but {packets.levels} levels of wavelet packets make {packets.num_bands} "
            "bands of each audio channel",
            f"give {packets.num_bands} times the audio channels",
        )
