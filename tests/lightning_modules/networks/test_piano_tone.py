"""What a piano starts from, before it has heard one."""

import math

import pytest
import torch

from lightning_modules.networks.piano_tone import (
    LOWEST_KEY,
    PianoTone,
    first_inharmonicity,
    first_stretch,
    mel_position,
)

KEYS = torch.arange(21, 109).float()


def test_frequencies_are_those_of_a_stiff_string():
    tone = PianoTone(16_000, num_partials=10)
    frequency, stiffness = tone.frequency().detach(), tone.log_inharmonicity().exp().detach()
    ratio = frequency[:, 7] / frequency[:, 0]
    expected = 8 * ((1 + 64 * stiffness) / (1 + stiffness)).sqrt()
    torch.testing.assert_close(ratio, expected)
    a4 = frequency[69 - LOWEST_KEY, 0] / (1 + stiffness[69 - LOWEST_KEY]).sqrt()
    assert a4.item() == pytest.approx(440.0, rel=1e-6)


def test_octaves_are_stretched_so_that_partials_meet():
    """Partial 4 of C4 and partial 2 of C5, within what the rounding to twelve even steps leaves."""
    stiffness, cents = first_inharmonicity(KEYS), first_stretch(KEYS)
    lower, upper = 60 - 21, 72 - 21
    partial = [
        n * 2 ** (cents[key] / 1200) * math.sqrt(1 + stiffness[key] * n * n)
        for key, n in ((lower, 4), (upper, 2))
    ]
    assert 1200 * math.log2(2 * partial[1] / partial[0]) == pytest.approx(0.0, abs=1.0)
    assert cents[0] < -3 < 10 < cents[-1] < 60
    assert cents[69 - 21] == 0.0


def test_harder_is_louder_and_brighter():
    tone = PianoTone(16_000)
    with torch.no_grad():
        velocity = torch.tensor([[32.0, 96.0]])
        made = tone(torch.tensor([[39, 39]]), velocity, torch.zeros(1, 2, 3), torch.tensor([64.0]))
    soft, loud = made.log_amplitude[0, :, :, 0]
    assert (loud - soft > 1.5).all()
    assert loud[10] - soft[10] > loud[0] - soft[0] + 0.5
    assert (made.decay[..., 1] < made.decay[..., 0]).all()


def test_a_recording_of_soft_playing_can_be_turned_up():
    tone = PianoTone(16_000)
    with torch.no_grad():
        tone.recording_gain.fill_(-1.0)
    soft, middle, loud = tone.recording_level(torch.tensor([32.0, 64.0, 96.0])).tolist()
    assert soft == -loud == pytest.approx(2.5)
    assert middle == 0.0


def test_mels():
    ends = mel_position(torch.tensor([0.0, 8000.0]), 16_000, 24)
    torch.testing.assert_close(ends, torch.tensor([0.0, 23.0]))
