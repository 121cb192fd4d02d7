"""F of the notes on the critics' trunk."""

import pytest
import torch

from lightning_modules.errors import OptionError
from lightning_modules.networks.transcriber import FIRST_LOGITS, NUM_KEYS
from lightning_modules.networks.trunk import WaveGANTrunk
from lightning_modules.networks.trunk_transcriber import TrunkTranscriber

CLIP, SIZE = 1024, 2


@pytest.mark.parametrize(("layer", "hop"), [(0, 4), (1, 16), (2, 64)])
def test_a_frame_for_each_step_of_its_layer_and_few_notes_at_first(layer: int, hop: int):
    transcriber = TrunkTranscriber(16_000, CLIP, SIZE, layer, width=3)
    assert transcriber.hop_samples == hop
    waveform = torch.randn(2, 1, CLIP, generator=torch.Generator().manual_seed(0))
    said = transcriber(waveform, WaveGANTrunk(CLIP, SIZE)(waveform))
    for part, first in zip(said, FIRST_LOGITS, strict=True):
        assert part.shape == (2, NUM_KEYS, CLIP // hop) and part.dtype == torch.float32
        assert part.mean().item() == pytest.approx(first, abs=0.5)


def test_it_hears_what_is_near_and_teaches_the_trunk():
    torch.manual_seed(0)  # of a network this small the units may all be silent
    trunk = WaveGANTrunk(CLIP, SIZE, phase_shuffle=0)
    transcriber = TrunkTranscriber(16_000, CLIP, SIZE, layer=1, width=3)
    waveform = torch.zeros(1, 1, CLIP)
    struck = waveform.clone()
    struck[..., 512] = 1.0
    change = (transcriber(struck, trunk(struck)).onset - transcriber(waveform, trunk(waveform)).onset).abs()
    heard = change[0].amax(0).nonzero()[:, 0]
    # taps of two layers, 12 and 48 samples to each side, and of two convolutions over frames of 16
    assert heard.min() >= 32 - 6 and heard.max() <= 32 + 6 and 32 in heard
    said = transcriber(struck, trunk(struck))
    said.onset.sum().backward()
    assert trunk.layers[0].weight.grad.abs().max() > 0


def test_a_layer_that_is_not_there_is_named():
    with pytest.raises(OptionError, match=r"layer is 3, but the trunk has 3 layers\n.*0 to 2"):
        TrunkTranscriber(16_000, CLIP, SIZE, layer=3)
