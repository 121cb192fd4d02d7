"""Audio of any length: blocks and chunks make no difference to the notes."""

import numpy as np
import pytest
import torch
from toy_models import make_vae

from lightning_modules.errors import OptionError
from lightning_modules.inference.transcription import transcribe, transcriber_of
from lightning_modules.networks.note_picker import pick_notes
from lightning_modules.networks.transcriber import Transcriber

RATE = 8000


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    """Random, and lively."""
    torch.manual_seed(0)
    network = Transcriber(RATE, width=6, dilations=(1, 4))
    with torch.no_grad():
        network.heads.weight.mul_(20.0)
        network.heads.bias.zero_()
    return network.eval()


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (channels, samples)).astype(np.float32)


def whole(transcriber: Transcriber, waveform: np.ndarray):
    with torch.no_grad():
        return pick_notes(transcriber, transcriber(torch.from_numpy(waveform)[None]))


@pytest.mark.parametrize(("samples", "chunk", "block_seconds"), [(40_000, 999, 0.5), (40_000, 40_000, 1.3)])
@pytest.mark.parametrize("channels", [1, 2])
def test_notes_in_blocks_are_those_of_the_whole(transcriber, samples, chunk, block_seconds, channels):
    waveform = noise(samples, channels)
    chunks = [waveform[:, start : start + chunk] for start in range(0, samples, chunk)]
    found, expected = transcribe(transcriber, iter(chunks), block_seconds), whole(transcriber, waveform)
    assert len(expected.pitch) > 100
    np.testing.assert_array_equal(found.pitch, expected.pitch)
    np.testing.assert_allclose(found.onset, expected.onset, atol=1e-4)
    np.testing.assert_allclose(found.offset, expected.offset, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 127, 128, 129, 2000])
def test_short_ones(transcriber, samples):
    waveform = noise(samples)
    found, expected = transcribe(transcriber, [waveform]), whole(transcriber, waveform)
    np.testing.assert_array_equal(found.pitch, expected.pitch)


def test_nothing(transcriber):
    assert len(transcribe(transcriber, []).pitch) == 0


def test_no_more_than_a_block_is_looked_at_at_once(transcriber):
    longest = []
    hook = transcriber.register_forward_pre_hook(lambda _, arguments: longest.append(arguments[0].shape[-1]))
    transcribe(transcriber, (noise(8000) for _ in range(60)), block_seconds=2.0)
    hook.remove()
    assert max(longest) <= 2 * RATE + 2 * (transcriber.context_frames + 1) * transcriber.hop_samples + 8000
    assert len(longest) >= 29


def test_a_model_without_a_transcriber_is_told_what_has_one():
    with pytest.raises(OptionError, match="VAE does not transcribe") as caught:
        transcriber_of(make_vae())
    assert "experiments/transcriber.yaml" in caught.value.remedy
