import pytest
import torch

from lightning_modules.audio.framing import cut_into_clips, padded_to_frames, split_evenly


def test_parts_of_a_batch():
    parts = split_evenly(torch.arange(6.0).view(6, 1, 1), 3)
    assert [part.flatten().tolist() for part in parts] == [[0, 3], [1, 4], [2, 5]]


def test_parts_of_two_devices_are_together_those_of_one():
    clips = torch.arange(12.0).view(12, 1, 1)
    one, first, second = (split_evenly(part, 3) for part in (clips, clips[:6], clips[6:]))
    assert all(torch.equal(a, torch.cat([b, c])) for a, b, c in zip(one, first, second, strict=True))


def test_a_batch_that_cannot_be_cut():
    with pytest.raises(
        ValueError, match=r"batch of 16 clips cannot be cut into the 5 parts(.|\n)*a multiple of 5"
    ):
        split_evenly(torch.zeros(16, 1, 1), 5)


def test_long_clips_are_cut_in_order():
    waveform = torch.arange(2 * 2 * 7.0).view(2, 2, 7)
    clips = cut_into_clips(waveform, 3)
    assert clips.shape == (4, 2, 3)
    assert torch.equal(clips[1], waveform[0, :, 3:6])
    assert torch.equal(clips[2], waveform[1, :, :3])
    assert torch.equal(cut_into_clips(waveform, 10), waveform)


@pytest.mark.parametrize(("samples", "padded"), [(1, 4), (4, 4), (5, 8)])
def test_padding_to_whole_frames(samples, padded):
    waveform = torch.ones(1, 2, samples)
    result = padded_to_frames(waveform, 4)
    assert result.shape == (1, 2, padded)
    assert result.sum() == waveform.sum()
