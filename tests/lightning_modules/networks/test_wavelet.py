import pytest
import pywt
import torch

from lightning_modules.errors import OptionError
from lightning_modules.networks.wavelet import WaveletDecoder, WaveletEncoder, WaveletPackets, band_strides


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("wavelet", ["haar", "db8", "sym10"])
@pytest.mark.parametrize(("levels", "samples"), [(1, 64), (4, 256), (4, 16), (5, 4096)])
def test_reconstruction_is_perfect_and_energy_is_kept(wavelet, levels, samples):
    packets = WaveletPackets(levels, wavelet)
    waveform = noise(2, 2, samples)
    bands = packets(waveform)
    assert bands.shape == (2, 2 * 2**levels, samples // 2**levels)
    torch.testing.assert_close(packets.inverse(bands), waveform, atol=1e-5, rtol=0)
    torch.testing.assert_close(bands.square().sum(), waveform.square().sum(), rtol=1e-5, atol=0)


def test_bands_are_those_of_pywavelets_up_to_a_shift():
    waveform = noise(1, 1, 256).double()
    # PyWavelets centres its filters: with 18 taps that is a shift by an even number of samples at each level
    packets = WaveletPackets(3, "db9")
    reference = pywt.WaveletPacket(waveform[0, 0].numpy(), "db9", mode="periodization", maxlevel=3)
    for band, node in zip(packets(waveform)[0], reference.get_level(3, order="freq"), strict=True):
        spectrum = torch.fft.rfft(band).abs()
        torch.testing.assert_close(spectrum, torch.fft.rfft(torch.tensor(node.data)).abs())


@pytest.mark.parametrize("band", range(8))
def test_bands_are_in_the_order_of_frequency(band):
    time = torch.arange(4096)
    tone = torch.sin(torch.pi * (band + 0.5) / 8 * time)[None, None]
    energy = WaveletPackets(3, "db20")(tone).square().sum(2)[0]
    assert energy.argmax() == band
    assert energy[band] > 0.85 * energy.sum()


def test_gradients():
    packets = WaveletPackets(2, "db2")
    waveform = noise(2, 1, 16).double().requires_grad_()
    assert torch.autograd.gradcheck(packets, waveform)
    assert torch.autograd.gradcheck(packets.inverse, noise(2, 4, 4).double().requires_grad_())


def test_around_networks():
    packets = WaveletPackets(2, "haar")
    encoder = WaveletEncoder(2, 2, "haar", widths=[6, 8], strides=[2, 4])
    decoder = WaveletDecoder(3, 2, 2, "haar", widths=[8, 6], strides=[4, 2])
    assert (encoder.channels, encoder.hop_samples, encoder.hidden_size) == (2, 32, 8)
    assert (decoder.hop_samples, decoder.latent_size) == (32, 3)
    waveform, latent = noise(2, 2, 96), noise(2, 3, 3)
    # the haar filters of two levels end where the next begin: no overlap, and nothing to lose at the borders
    torch.testing.assert_close(encoder(waveform), encoder.encoder(packets(waveform)))
    torch.testing.assert_close(packets(decoder(latent)), decoder.decoder(latent), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("levels", "stages", "hop", "expected"),
    [
        (4, 2, 256, [4, 4]),
        (5, 2, 256, [4, 2]),
        (3, 2, None, [8, 4]),
        (8, 2, 256, [1, 1]),
        (2, 3, 64, [4, 2, 2]),
    ],
)
def test_strides_follow_from_the_hop(levels, stages, hop, expected):
    assert band_strides("X", levels, stages, None, hop) == expected


def test_the_number_of_bands_alone_leaves_the_hop_as_it_is():
    for levels in (3, 4, 5):
        assert WaveletEncoder(levels=levels, widths=[4, 4]).hop_samples == 256
        assert WaveletDecoder(3, levels=levels, widths=[4, 4]).hop_samples == 256


def test_long_filters_meet_silence_around_the_clip_and_stay_where_they_are():
    packets = WaveletPackets(4, "db8")
    encoder, decoder = WaveletEncoder(widths=[16], strides=[1]), WaveletDecoder(16, widths=[16], strides=[1])
    encoder.encoder = decoder.decoder = torch.nn.Identity()
    waveform = noise(1, 1, 2048)
    output = decoder(encoder(waveform))
    inside = slice(packets.overlap, -packets.overlap)
    torch.testing.assert_close(output[..., inside], waveform[..., inside], atol=1e-5, rtol=0)
    # no clip knows its other end, so that a part of it has the same bands
    torch.testing.assert_close(encoder(waveform[..., :1024])[..., :50], encoder(waveform)[..., :50])
    impulse = torch.zeros(1, 1, 2048)
    impulse[..., 1024 + 8] = 1.0  # in the middle of band value 64
    seen = encoder(impulse)[0].abs().sum(0).nonzero().flatten()
    assert abs((seen[0] + seen[-1]) / 2 - 64) <= 0.5


def test_bands_stay_in_full_precision_under_autocast():
    packets, waveform = WaveletPackets(4, "db8"), noise(1, 1, 2048)
    with torch.autocast("cpu", torch.bfloat16):
        output = packets.inverse(packets(waveform))
    torch.testing.assert_close(output, waveform, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WaveletPackets(0), "levels is 0"),
        (lambda: WaveletPackets(2, "bior2.2"), "wavelet is 'bior2.2', which is no orthogonal wavelet"),
        (lambda: WaveletPackets(2, "morlet"), "wavelet is 'morlet'"),
        (lambda: WaveletEncoder(widths=[4], strides=[4, 4]), r"widths=\[4\] and strides=\[4, 4\]"),
        (
            lambda: WaveletEncoder(widths=[4], strides=[4], hop_samples=128),
            r"WaveletEncoder: hop_samples is 128, but 16 bands and strides=\[4\] make 64",
        ),
        (lambda: WaveletDecoder(2, widths=[4], hop_samples=96), "hop_samples is 96, which 16 bands"),
        (lambda: WaveletDecoder(2, widths=[4], hop_samples=8), "hop_samples is 8, which 16 bands"),
        (lambda: WaveletEncoder(widths=[]), "256, which 16 bands and 0 stages"),
    ],
)
def test_options_that_make_no_sense(make, message):
    with pytest.raises(OptionError, match=message):
        make()
