"""Notes out of probabilities that were drawn by hand."""

import numpy as np
import pytest
import torch

from lightning_modules.networks.note_picker import NotePicker, pick_notes
from lightning_modules.networks.transcriber import LOWEST_PITCH, NUM_KEYS, NoteLogits, Transcriber

FRAME = 0.016  # s


@pytest.fixture
def transcriber() -> Transcriber:
    network = Transcriber(16_000, width=2, dilations=(1,))
    network.set_thresholds(0.3, 0.4)
    return network


def logits(*notes: tuple[int, float, int, float], num_frames: int = 100) -> NoteLogits:
    """Key, onset in frames, first silent frame, velocity of each note."""
    onset, sounding, velocity = (torch.full((1, NUM_KEYS, num_frames), 0.01) for _ in range(3))
    frame = torch.arange(num_frames)
    for key, begin, end, force in notes:
        triangle = (0.9 - 0.4 * (frame - begin).abs()).clamp_min(0.01)
        onset[0, key] = torch.maximum(onset[0, key], triangle)
        sounding[0, key, round(begin) : end] = 0.9
        velocity[0, key, (frame - begin).abs() < 2] = force / 127
    return NoteLogits(*(part.logit() for part in (onset, sounding, velocity)))


def test_notes_by_hand(transcriber):
    found = pick_notes(transcriber, logits((10, 20.0, 50, 64), (40, 5.0, 9, 127), (87, 60.3, 70, 1)))
    np.testing.assert_array_equal(found.pitch, LOWEST_PITCH + np.array([40, 10, 87]))
    np.testing.assert_allclose(found.onset / FRAME, [5.0, 20.0, 60.3], atol=0.12)
    np.testing.assert_allclose(found.offset / FRAME, [9, 50, 70])
    np.testing.assert_array_equal(found.velocity, [127, 64, 1])


def test_a_key_struck_again_ends_its_earlier_sound(transcriber):
    found = pick_notes(transcriber, logits((10, 20.0, 80, 64), (10, 40.0, 80, 90)))
    np.testing.assert_allclose(found.onset / FRAME, [20, 40], atol=1e-3)
    np.testing.assert_allclose(found.offset / FRAME, [40, 80])
    np.testing.assert_array_equal(found.velocity, [64, 90])


def test_edges(transcriber):
    found = pick_notes(transcriber, logits((3, 0.0, 10, 64), (4, 99.0, 100, 64), (5, 50.0, 100, 64)))
    np.testing.assert_array_equal(found.pitch - LOWEST_PITCH, [3, 5, 4])
    np.testing.assert_allclose(found.onset / FRAME, [0, 50, 99], atol=0.51)
    assert (found.onset >= 0).all()
    assert (found.offset > found.onset).all()
    assert found.offset[1] / FRAME == pytest.approx(100)


def test_below_the_threshold_there_is_nothing(transcriber):
    transcriber.set_thresholds(0.95, 0.4)
    assert len(pick_notes(transcriber, logits((10, 20.0, 50, 64))).pitch) == 0


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64])
def test_blocks_make_no_difference(transcriber, length):
    generator = torch.Generator().manual_seed(length)
    whole = NoteLogits(*(3.0 * torch.randn(1, NUM_KEYS, 150, generator=generator) for _ in range(3)))
    picker = NotePicker(transcriber)
    for start in range(0, 150, length):
        picker.add(NoteLogits(*(part[..., start : start + length] for part in whole)))
    found, expected = picker.notes(), pick_notes(transcriber, whole)
    assert len(expected.pitch) > 1000
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)  # sigmoids differ in their last digits
