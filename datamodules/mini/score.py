"""The form in which the mini release keeps its music."""

from fractions import Fraction
from typing import NamedTuple

from datamodules.mini.notation import Note, length, parse_voice

DYNAMICS = {"ppp": 24, "pp": 33, "p": 45, "mp": 56, "mf": 67, "f": 82, "ff": 97, "fff": 110}
"""MIDI velocity at which each dynamic mark is played, before phrasing and voicing."""


class Score(NamedTuple):
    """One piece: its place in the catalogue, its notes, and how to play it.

    Attributes:
        composer: As MAESTRO writes it in `canonical_composer`.
        title: As MAESTRO writes it in `canonical_title`.
        split: "train", "validation" or "test"; all movements of a composition share one.
        year: Year folder.
        sample_rate: Of the recording, in Hz.
        meter: Length of a bar in whole notes.
        quarters_per_minute: Average tempo.
        voices: In the notation of `datamodules.mini.notation`, the melody first.
        dynamics: (bar, mark) pairs; between two of them the level moves evenly.
        pickup: Length of an incomplete first bar (bar 0) in whole notes.
        pedal: Length of the harmonies in whole notes, the sustain pedal being changed with each; None: dry.
        phrase_bars: Length of a phrase in bars: slower and softer towards its end.
        rubato: Largest relative change of tempo within a phrase.
        accompaniment: Velocity of the voices other than the melody, relative to it.
        peak_dbfs: Largest sample of the recording, in dB relative to full scale.
    """

    composer: str
    title: str
    split: str
    year: int
    sample_rate: int
    meter: Fraction
    quarters_per_minute: float
    voices: tuple[str, ...]
    dynamics: tuple[tuple[float, str], ...]
    pickup: Fraction = Fraction(0)
    pedal: Fraction | None = None
    phrase_bars: int = 4
    rubato: float = 0.06
    accompaniment: float = 0.8
    peak_dbfs: float = -3.0

    def notes(self) -> list[Note]:
        """All notes of all voices, in order of onset, the lower of two at once first."""
        notes = [
            note
            for index, text in enumerate(self.voices)
            for note in parse_voice(text, self.meter, self.pickup, index)
        ]
        return sorted(notes, key=lambda note: (note.onset, note.pitch, note.voice))

    def length(self) -> Fraction:
        """Length in whole notes."""
        return length(self.voices, self.meter, self.pickup)


def repeated(token: str, times: int) -> str:
    """A token or group of tokens, `times` times: repeated chords and figurations."""
    return " ".join([token] * times)


def joined(*sections: str) -> str:
    """Sections of a voice, one after the other."""
    return " | ".join(section.strip() for section in sections)
