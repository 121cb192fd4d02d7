import pytest
import torch
from torch.nn import functional

from lightning_modules.networks.encoder import AUDIO_SCALE, ConvNeXtEncoder, StridedEncoder


def test_encoder_gives_one_frame_per_hop():
    encoder = ConvNeXtEncoder(channels=2, hidden_size=8, strides=(4, 8), stem_channels=(6,), num_blocks=1)
    assert encoder.hop_samples == 32
    assert encoder(torch.zeros(3, 2, 320)).shape == (3, 8, 10)


def test_encoder_front_end_is_linear_in_the_waveform():
    encoder = ConvNeXtEncoder(hidden_size=8, strides=(4, 8), stem_channels=(6,), num_blocks=0)
    torch.manual_seed(0)
    one, two = torch.randn(2, 1, 1, 320)
    silence = encoder(torch.zeros(1, 1, 320))
    torch.testing.assert_close(
        encoder(one + two) - silence, encoder(one) + encoder(two) - 2 * silence, atol=1e-4, rtol=1e-4
    )
    first = encoder.downsample[0]
    expected = functional.conv1d(AUDIO_SCALE * one, first.weight, first.bias, stride=4, padding=4)
    torch.testing.assert_close(encoder.downsample[1](expected), encoder(one))


@pytest.mark.parametrize("arguments", [{"strides": (4, 8), "stem_channels": ()}])
def test_encoder_needs_a_width_per_stride(arguments):
    with pytest.raises(
        ValueError, match=r"2 strides need 1 stem_channels, got strides=\[4, 8\], stem_channels=\[\]"
    ):
        ConvNeXtEncoder(**arguments)


@pytest.mark.parametrize("num_units", [0, 2])
def test_strided_encoder_gives_one_frame_per_hop(num_units):
    encoder = StridedEncoder(2, widths=[4, 6], strides=[8, 4], num_units=num_units)
    assert (encoder.hop_samples, encoder.hidden_size) == (32, 6)
    assert encoder(torch.randn(3, 2, 96)).shape == (3, 6, 3)


def test_a_frame_is_in_the_middle_of_what_it_sees():
    encoder = StridedEncoder(1, widths=[4, 6], strides=[8, 4])
    waveform = torch.zeros(1, 1, 320, requires_grad=True)
    seen = torch.autograd.grad(encoder(waveform)[0, :, 5].abs().sum(), waveform)[0][0, 0] != 0
    first, last = seen.nonzero().min().item(), seen.nonzero().max().item()
    assert first + last == 2 * 5 * 32 + 31  # frame 5 is samples 160 to 191
    assert last - first + 1 > 32


@pytest.mark.parametrize(("widths", "strides"), [([4], [8, 4]), ([4], [3]), ([], [])])
def test_stages_that_do_not_fit(widths, strides):
    with pytest.raises(ValueError) as caught:
        StridedEncoder(1, widths, strides)
    assert f"StridedEncoder: got widths={widths} and strides={strides}" in str(caught.value)
