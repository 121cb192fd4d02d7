"""A terse notation for keyboard scores, and its parser.

A voice is one string; bars are separated by `|`. A token is a pitch, a chord of pitches joined by `+`, or a
rest `r`, followed by `/` and a duration as a fraction of a whole note:

    c#5/8     C sharp 5 (C4 is middle C, MIDI 60), an eighth        bb3/4.   B flat 3, a dotted quarter
    c4+e4/2   a third, a half note                                  r/16     a rest
    a4        a pitch without duration keeps the one before it      c5/12    an eighth of a triplet (1/12)
    g4/1~     tied to the next token of the same pitches            a4/8'    staccato
    >f4/4     accented                                              %        the whole bar before, again

Every bar must fill the score's meter (the first may be a pick-up, the last may complete it).
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_PITCH = re.compile(r"([a-g])(##|bb|#|b)?(\d)")
_TOKEN = re.compile(r"(>?)(r|[a-g#b\d+]+?)(?:/(\d+)(\.?))?('?)(~?)")


class Note(NamedTuple):
    """One written note.

    Attributes:
        onset: In whole notes from the start of the first bar (a pick-up starts at 0).
        duration: In whole notes.
        pitch: MIDI key number.
        voice: Index of the voice in its score; 0 is the melody.
        accent: Whether it is to be brought out.
        staccato: Whether it is to be played short.
    """

    onset: Fraction
    duration: Fraction
    pitch: int
    voice: int
    accent: bool = False
    staccato: bool = False


class NotationError(ValueError):
    """A score is written wrongly: the text names the voice, the bar and the token."""


class _Token(NamedTuple):
    pitches: tuple[int, ...]
    duration: Fraction
    accent: bool
    staccato: bool
    tied: bool


def pitch_number(name: str) -> int:
    """MIDI key of a pitch name: `c4` is 60, `bb3` 58.

    Raises:
        NotationError: If it is not a letter a-g, an optional accidental and an octave.
    """
    match = _PITCH.fullmatch(name)
    if match is None:
        raise NotationError(f"{name!r} is not a pitch: write a letter a-g, # or b if needed, and the octave")
    letter, accidental, octave = match.groups()
    shift = {"#": 1, "##": 2, "b": -1, "bb": -2, None: 0}[accidental]
    return 12 * (int(octave) + 1) + _STEPS[letter] + shift


def _parse_token(text: str, previous: Fraction | None, where: str) -> _Token:
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise NotationError(f"{where}: cannot read {text!r}")
    accent, body, denominator, dot, staccato, tie = match.groups()
    if denominator is None and previous is None:
        raise NotationError(f"{where}: {text!r}, the first token of a voice, needs a duration such as /4")
    duration = previous or Fraction(0)
    if denominator is not None:
        duration = Fraction(1, int(denominator)) * (Fraction(3, 2) if dot else 1)
    pitches = () if body == "r" else tuple(pitch_number(name) for name in body.split("+"))
    return _Token(pitches, duration, bool(accent), bool(staccato), bool(tie))


def _bars(text: str, voice: int) -> list[list[_Token]]:
    """Tokens of a voice, bar by bar, with `%` written out."""
    bars: list[list[_Token]] = []
    duration: Fraction | None = None
    for number, bar_text in enumerate(text.split("|")):
        words = bar_text.split()
        if words == ["%"] and bars:
            bars.append(bars[-1])
            continue
        bar = []
        for word in words:
            token = _parse_token(word, duration, f"voice {voice}, bar {number}")
            duration = token.duration
            bar.append(token)
        bars.append(bar)
    return bars


def _check_bars(bars: list[list[_Token]], meter: Fraction, pickup: Fraction, voice: int) -> None:
    for number, bar in enumerate(bars):
        length = sum((token.duration for token in bar), Fraction(0))
        expected = pickup if number == 0 and pickup else meter
        completes_pickup = number == len(bars) - 1 and pickup and length == meter - pickup
        if length != expected and not completes_pickup:
            raise NotationError(
                f"voice {voice}, bar {number}: lasts {length} whole notes instead of {expected}"
            )


def parse_voice(text: str, meter: Fraction, pickup: Fraction = Fraction(0), voice: int = 0) -> list[Note]:
    """Read one voice.

    Args:
        text: The voice in the notation of this module.
        meter: Length of a bar in whole notes.
        pickup: Length of an incomplete bar 0, or 0 where there is none.
        voice: Number given to the notes, and named in errors.

    Returns:
        The notes in order of onset; ties merged into one note.

    Raises:
        NotationError: If a token cannot be read, a bar does not fill the meter, or a tie leads nowhere.
    """
    bars = _bars(text, voice)
    _check_bars(bars, meter, pickup, voice)
    notes: list[Note] = []
    pending: dict[int, int] = {}  # pitch -> index of the note that is tied over
    onset = Fraction(0)
    for token in (token for bar in bars for token in bar):
        tied: dict[int, int] = {}
        for pitch in token.pitches:
            index = pending.pop(pitch, None)
            if index is None:
                index = len(notes)
                notes.append(Note(onset, Fraction(0), pitch, voice, token.accent, token.staccato))
            notes[index] = notes[index]._replace(duration=notes[index].duration + token.duration)
            if token.tied:
                tied[pitch] = index
        if pending:
            raise NotationError(f"voice {voice}: the tie before {onset} whole notes leads to no same pitch")
        pending = tied
        onset += token.duration
    return notes


def length(voices: Sequence[str], meter: Fraction, pickup: Fraction = Fraction(0)) -> Fraction:
    """Length of a score in whole notes, checking that all its voices end together.

    Raises:
        NotationError: If one voice is longer than another.
    """
    lengths = [
        sum((token.duration for bar in _bars(text, index) for token in bar), Fraction(0))
        for index, text in enumerate(voices)
    ]
    if len(set(lengths)) != 1:
        raise NotationError(f"voices last {', '.join(map(str, lengths))} whole notes; they must end together")
    return lengths[0]
