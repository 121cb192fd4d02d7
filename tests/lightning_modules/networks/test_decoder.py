import functools

import pytest
import torch

from lightning_modules.networks.decoder import ConvNeXtDecoder, StridedDecoder
from lightning_modules.networks.waveform_head import FullyConnectedHead, InverseSTFTHead


def test_decoder_gives_one_hop_per_frame():
    decoder = ConvNeXtDecoder(5, hidden_size=8, hop_samples=16, channels=2, num_blocks=1)
    assert decoder.hop_samples == 16
    assert decoder(torch.zeros(3, 5, 7)).shape == (3, 2, 112)


@pytest.mark.parametrize("num_units", [0, 2])
def test_strided_decoder_gives_one_hop_per_frame(num_units):
    decoder = StridedDecoder(5, widths=[6, 4], strides=[4, 8], channels=2, num_units=num_units)
    assert decoder.hop_samples == 32
    assert decoder(torch.randn(3, 5, 3)).shape == (3, 2, 96)


def test_the_last_stage_is_the_head_that_was_asked_for():
    assert isinstance(ConvNeXtDecoder(5, 8, 16).head, InverseSTFTHead)
    assert isinstance(StridedDecoder(5, [6, 4], [4, 8]).head, FullyConnectedHead)
    decoder = StridedDecoder(
        5, [6, 4], [4, 8], 2, waveform_head=functools.partial(InverseSTFTHead, overlap=3)
    )
    assert isinstance(decoder.head, InverseSTFTHead)
    head = decoder.head
    assert (head.hidden_size, head.hop_samples, head.channels, head.overlap) == (4, 8, 2, 3)
    assert decoder(torch.randn(3, 5, 3)).shape == (3, 2, 96)


def test_stages_that_do_not_fit():
    with pytest.raises(ValueError, match=r"StridedDecoder: got widths=\[6, 4\] and strides=\[4\]"):
        StridedDecoder(2, [6, 4], [4])
