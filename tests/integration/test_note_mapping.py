"""A generator's notes as F hears them: wrong, late and too loud ones cost, and the gradient points home."""

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_notes import note_batch

from datamodules.batch import NoteBatch
from lightning_modules.losses.transcription import NoteMapping
from lightning_modules.networks.piano import DifferentiablePiano
from lightning_modules.networks.transcriber import Transcriber

RATE, CLIP = 8000, 4096
KEYS = range(57, 70)
Hearing = tuple[DifferentiablePiano, Transcriber]


def random_notes(count: int, random: np.random.Generator) -> NoteBatch:
    """Clips of one or two notes."""

    def note() -> tuple[int, float, float, int]:
        onset = random.uniform(0.05, 0.3)
        return int(random.choice(KEYS)), onset, onset + 0.3, int(random.integers(25, 120))

    return note_batch([[note() for _ in range(random.integers(1, 3))] for _ in range(count)], RATE)


@pytest.fixture(scope="module")
def hearing() -> Hearing:
    """A new piano, and an F that has learned to hear it."""
    torch.manual_seed(0)
    piano = DifferentiablePiano(RATE, num_partials=6, room_seconds=0.05).requires_grad_(False)
    transcriber = Transcriber(RATE, width=6, dilations=(1,), hop_seconds=0.016, window_seconds=(0.128, 0.032))
    mapping, random = NoteMapping(), np.random.default_rng(0)
    notes = [random_notes(8, random) for _ in range(16)]
    sounds = [piano(each, CLIP) for each in notes]
    optimizer = torch.optim.Adam(transcriber.parameters(), lr=0.01)
    for step in range(96):
        place = step % len(notes)
        loss = mapping(transcriber(sounds[place]), notes[place], transcriber.hop_samples, RATE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return piano, transcriber.requires_grad_(False)


def distance(hearing: Hearing, played: NoteBatch, wanted: NoteBatch) -> Tensor:
    piano, transcriber = hearing
    return NoteMapping()(transcriber(piano(played, CLIP)), wanted, transcriber.hop_samples, RATE)


def one(pitch: int = 62, onset: float = 0.15, velocity: int = 70) -> NoteBatch:
    return note_batch([[(pitch, onset, onset + 0.3, velocity)]], RATE)


@pytest.mark.parametrize(
    "other", [one(pitch=66), one(onset=0.2), one(velocity=115)], ids=["wrong", "late", "loud"]
)
def test_what_is_not_as_played_costs(hearing: Hearing, other: NoteBatch) -> None:
    assert distance(hearing, other, one()) > distance(hearing, one(), one()) + 0.1


def test_a_wrong_note_fades_and_the_right_one_grows(hearing: Hearing) -> None:
    both = note_batch([[(62, 0.15, 0.45, 40), (66, 0.15, 0.45, 70)]], RATE)
    velocity = both.velocity.clone().requires_grad_()
    distance(hearing, both._replace(velocity=velocity), one()).backward()
    assert velocity.grad[0, 0] < 0 < velocity.grad[0, 1]


@pytest.mark.parametrize(("heard", "sign"), [(0.17, 1.0), (0.13, -1.0)], ids=["late", "early"])
def test_an_onset_moves_to_its_time(hearing: Hearing, heard: float, sign: float) -> None:
    notes = one(onset=heard)
    fraction = notes.onset_fraction.clone().requires_grad_()
    distance(hearing, notes._replace(onset_fraction=fraction), one()).backward()
    assert sign * fraction.grad.item() > 0


@pytest.mark.parametrize(("heard", "sign"), [(110, 1.0), (35, -1.0)], ids=["loud", "soft"])
def test_a_velocity_moves_to_its_value(hearing: Hearing, heard: int, sign: float) -> None:
    notes = one(velocity=heard)
    velocity = notes.velocity.clone().requires_grad_()
    distance(hearing, notes._replace(velocity=velocity), one()).backward()
    assert sign * velocity.grad.item() > 0
