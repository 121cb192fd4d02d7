"""Pieces as data."""

from fractions import Fraction

from datamodules.mini.release import SCORES
from datamodules.mini.score import DYNAMICS, joined, repeated


def test_notes_are_in_order_and_inside_the_piece() -> None:
    for score in SCORES:
        notes = score.notes()
        assert notes == sorted(notes, key=lambda note: (note.onset, note.pitch, note.voice))
        assert notes[0].onset >= 0 and notes[-1].onset < score.length()
        assert {note.voice for note in notes} == set(range(len(score.voices)))
        assert all(mark in DYNAMICS for _, mark in score.dynamics)
        assert isinstance(score.length(), Fraction)


def test_writing_shorthand() -> None:
    assert repeated("a b", 3) == "a b a b a b"
    assert joined(" a ", "b\n") == "a | b"


def test_dynamics_rise() -> None:
    assert list(DYNAMICS.values()) == sorted(DYNAMICS.values())
