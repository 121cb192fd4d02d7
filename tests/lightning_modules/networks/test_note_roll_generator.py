"""The roll by hand, and a generator whose parts join."""

import numpy as np
import pytest
import torch
from toy_notes import note_batch

from lightning_modules.networks.note_roll_generator import NoteRollGenerator, note_roll

RATE, HOP = 16_000, 256


def test_a_roll_by_hand():
    notes = note_batch(
        [[(60, 3 * HOP / RATE, 6.5 * HOP / RATE, 127), (62, -1.0, 1.0, 64), (10, 0.0, 1.0, 90)]]
    )
    roll = note_roll(notes, -1, 10, HOP, RATE)[0]
    struck, sounding = roll[:88], roll[88:]
    assert struck[39].tolist() == [0.0] * 4 + [1.0] + [0.0] * 5  # frame 3 is the fifth
    expected = [0.0] * 4 + np.exp(-2.0 * np.arange(4) * HOP / RATE).tolist() + [0.0] * 2
    np.testing.assert_allclose(sounding[39], expected, rtol=1e-5)
    assert not struck[41].any()
    assert sounding[41, 0].item() == pytest.approx(64 / 127 * np.exp(-2 * (1 - HOP / RATE)))
    others = [row for row in range(88) if row not in (39, 41)]
    assert not struck[others].any() and not sounding[others].any()


def test_an_onset_between_frames_lies_in_the_frame_that_holds_it():
    notes = note_batch([[(60, 2.5 * HOP / RATE, 1.0, 127)]])
    assert note_roll(notes, 0, 6, HOP, RATE)[0, 39].nonzero().flatten().tolist() == [2]


def test_parts_with_a_look_ahead_join_to_the_whole():
    torch.manual_seed(0)
    generator = NoteRollGenerator(RATE, hop_samples=HOP, model_size=2).requires_grad_(False)
    rows = [(50 + n, 0.1 * n, 0.1 * n + 0.3, 60 + n) for n in range(10)]
    whole = generator(note_batch([rows]), 64 * HOP)
    assert whole.shape == (1, 1, 64 * HOP) and whole.std() > 1e-4
    start = 32 * HOP
    seconds = start / RATE
    later = note_batch([[(key, on - seconds, off - seconds, v) for key, on, off, v in rows]])
    torch.testing.assert_close(generator(later, 32 * HOP), whole[..., start:], atol=1e-5, rtol=1e-3)
    # the first part, which knows of notes only as far as it looks ahead
    limit = (start + generator.lookahead_samples) / RATE
    early = note_batch([[row for row in rows if row[1] < limit]])
    torch.testing.assert_close(generator(early, start), whole[..., :start], atol=1e-5, rtol=1e-3)


def test_every_parameter_learns():
    generator = NoteRollGenerator(RATE, channels=2, model_size=2)
    generator(note_batch([[(60, 0.1, 0.3, 80)]]), 16 * HOP).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in generator.parameters())
