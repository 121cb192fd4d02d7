"""Notes and pedals as tokens, and back: the time-shift-and-duration encoding of `miditok`.

A note is three tokens, its pitch, its velocity and how long the key is down; between moments stand time
shifts; the sustain pedal going down and coming up are tokens of their own. A tick lasts 10 ms; durations
longer than half a second are rounded to 50 ms, those longer than two seconds to 125 ms. The first three
tokens are special.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.batch import BEGIN, END, PADDING, NoteSink
from datamodules.release.notes import Played

if TYPE_CHECKING:
    from miditok import TSD

TICKS_PER_SECOND = 100
"""Of `NoteEvent` and `PedalEvent`."""

ENCODING = "miditok-tsd-1"
"""Changes with every change of a token's meaning."""

MOST_AT_ONCE = 64
"""Tokens that may follow each other without a time shift: a piece has to go on."""

_BEATS_PER_SECOND = 2  # 120 per minute: a beat is a fixed half second
_SCORE_TICKS_PER_SECOND = 960
_FIRST_PITCH, _PITCHES = 21, 88


class NoteEvent(NamedTuple):
    """A key that is struck at a tick and released `duration` ticks later."""

    tick: int
    duration: int
    pitch: int
    velocity: int

    def until(self, tick: int) -> "NoteEvent":
        """The same, released at a tick at the latest."""
        return self._replace(duration=min(self.duration, tick - self.tick))

    def write_to(self, sink: NoteSink) -> None:
        """Play it there."""
        end = (self.tick + self.duration) / TICKS_PER_SECOND
        sink.note(self.tick / TICKS_PER_SECOND, end, self.pitch, self.velocity)


class PedalEvent(NamedTuple):
    """The sustain pedal going down, or coming up, at a tick."""

    tick: int
    is_down: bool

    def until(self, tick: int) -> "PedalEvent":
        """The same: it has no end."""
        return self

    def write_to(self, sink: NoteSink) -> None:
        """Play it there."""
        sink.pedal(self.tick / TICKS_PER_SECOND, self.is_down)


class NoteTokens:
    """The vocabulary of V tokens.

    Attributes:
        names: (V,) what each token is: a kind and its value, as `Pitch_60`.
        is_note: (V,) bool, the tokens that begin a note: its pitch.
        value: (V,) int64: MIDI number, velocity, or ticks.
    """

    def __init__(self) -> None:
        self._tokenizer = _tokenizer()
        self.names: list[str] = list(self._tokenizer.vocab)
        kinds = [name.partition("_")[0] for name in self.names]
        assert (kinds[PADDING], kinds[BEGIN], kinds[END]) == ("PAD", "BOS", "EOS")
        self._kinds = np.array(kinds)
        self.is_note = self._kinds == "Pitch"
        self.value = np.array([_value(name) for name in self.names], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def of_kind(self, kind: str) -> NDArray[np.bool_]:
        """(V,) bool: Pitch, Velocity, Duration, TimeShift, Pedal or PedalOff."""
        return self._kinds == kind

    def encode(self, played: Played) -> NDArray[np.int16]:
        """The tokens of a performance, without any special one; notes outside the 88 keys are left out."""
        tokens = self._tokenizer(_score(played))
        return np.array(tokens[0].ids if isinstance(tokens, list) else tokens.ids, dtype=np.int16)

    @functools.lru_cache(maxsize=512)  # noqa: B019 (one vocabulary lives as long as the data module)
    def changed(self, semitones: int, velocity_steps: int, tempo: float) -> NDArray[np.int16]:
        """What each token becomes when a piece is played otherwise: `changed(…)[tokens]`.

        Args:
            semitones: Up; a key beyond the ends of the keyboard is taken an octave further in.
            velocity_steps: Louder by so many of the 32 steps, as far as there are.
            tempo: How many times faster.

        Returns:
            (V,) int16.
        """
        table = np.arange(len(self), dtype=np.int16)
        pitch, loudness = self.of_kind("Pitch"), self.of_kind("Velocity")
        shifted = self.value[pitch] - _FIRST_PITCH + semitones
        octaves = np.where(shifted < 0, -(shifted // 12), -np.maximum(0, -((_PITCHES - 1 - shifted) // 12)))
        table[pitch] = np.flatnonzero(pitch)[shifted + 12 * octaves]
        steps = np.flatnonzero(loudness)
        table[loudness] = steps[(np.arange(len(steps)) + velocity_steps).clip(0, len(steps) - 1)]
        for kind in ("Duration", "TimeShift"):
            tokens = np.flatnonzero(self.of_kind(kind))
            ticks = self.value[tokens]
            nearest = np.abs(ticks[:, None] / tempo - ticks[None]).argmin(1)
            table[tokens] = tokens[nearest]
        return table


class NoteReader:
    """Reads tokens one after the other, and says which may come next.

    Args:
        vocabulary: Of the tokens.

    Attributes:
        tick: Now.
    """

    def __init__(self, vocabulary: NoteTokens) -> None:
        self.vocabulary = vocabulary
        self.tick = 0
        self._pitch = self._velocity = 0
        self._pedal_is_down = False
        self._struck: set[int] = set()
        self._since_shift = 0
        self._expected = "moment"
        kinds = ("Pitch", "Velocity", "Duration", "TimeShift", "Pedal", "PedalOff")
        self._masks = {kind: vocabulary.of_kind(kind) for kind in kinds}
        self._begins_event = self._masks["Pitch"] | self._masks["TimeShift"]

    def allowed(self) -> NDArray[np.bool_]:
        """(V,) bool: tokens that make sense after those that were read. Never a special one.

        A velocity follows a pitch and a duration a velocity; the pedal comes up when it is down; no key is
        struck twice at one time; after `MOST_AT_ONCE` tokens of one time, time goes on.
        """
        if self._expected in ("Velocity", "Duration"):
            return self._masks[self._expected]
        if self._since_shift >= MOST_AT_ONCE:
            return self._masks["TimeShift"]
        mask = self._begins_event | self._masks["PedalOff" if self._pedal_is_down else "Pedal"]
        mask[list(self._struck)] = False
        return mask

    def read(self, token: int) -> NoteEvent | PedalEvent | None:
        """Take the next token; returns the event that is complete with it.

        Special tokens, and parts of notes without the rest, are passed over.
        """
        kind, _, _ = self.vocabulary.names[token].partition("_")
        value = int(self.vocabulary.value[token])
        expected, self._expected = self._expected, "moment"
        self._since_shift += 1
        if kind == "TimeShift":
            self.tick += value
            self._since_shift = 0
            self._struck.clear()
        elif kind == "Pitch":
            self._pitch, self._expected = value, "Velocity"
            self._struck.add(token)
        elif kind == "Velocity" and expected == "Velocity":
            self._velocity, self._expected = value, "Duration"
        elif kind == "Duration" and expected == "Duration":
            return NoteEvent(self.tick, value, self._pitch, self._velocity)
        elif kind in ("Pedal", "PedalOff"):
            self._pedal_is_down = kind == "Pedal"
            return PedalEvent(self.tick, self._pedal_is_down)
        return None


def read_events(vocabulary: NoteTokens, tokens: Sequence[int]) -> list[NoteEvent | PedalEvent]:
    """All events of a sequence of tokens."""
    reader = NoteReader(vocabulary)
    return [event for token in tokens if (event := reader.read(token)) is not None]


def _tokenizer() -> "TSD":
    """Of miditok, whose import takes seconds.

    Twelve beats are the longest time of one token, in steps of 1/50, 1/10 and 1/4 beat.
    """
    from miditok import TSD, TokenizerConfig

    return TSD(
        TokenizerConfig(
            pitch_range=(_FIRST_PITCH, _FIRST_PITCH + _PITCHES - 1),
            beat_res={(0, 1): 50, (1, 4): 10, (4, 12): 4},
            num_velocities=32,
            special_tokens=["PAD", "BOS", "EOS"],
            use_chords=False,
            use_rests=False,
            use_tempos=False,
            use_time_signatures=False,
            use_programs=False,
            use_pitch_bends=False,
            use_sustain_pedals=True,
            sustain_pedal_duration=False,
            remove_duplicated_notes=False,
            encode_ids_split="no",
        )
    )


def _value(name: str) -> int:
    """Of a token: a number, or `beats.steps.steps-per-beat` in ticks."""
    kind, _, text = name.partition("_")
    if kind in ("Duration", "TimeShift"):
        beats, steps, per_beat = map(int, text.split("."))
        return round((beats + steps / per_beat) * TICKS_PER_SECOND / _BEATS_PER_SECOND)
    return int(text) if text.isdigit() else 0


def _score(played: Played) -> Any:  # noqa: ANN401 - its types are made for one unit of time each
    """A performance at 120 beats a minute, so that beats are fixed times."""
    from symusic import Note, Pedal, Score, Tempo, Track

    score: Any = Score(_SCORE_TICKS_PER_SECOND // _BEATS_PER_SECOND)
    score.tempos.append(Tempo(0, 60.0 * _BEATS_PER_SECOND))
    track: Any = Track()
    notes = played.notes
    onset, offset = (_ticks(times) for times in (notes.onset, notes.offset))
    for columns in zip(onset, offset, notes.pitch.tolist(), notes.velocity.tolist(), strict=True):
        begin, end, pitch, velocity = columns
        if _FIRST_PITCH <= pitch < _FIRST_PITCH + _PITCHES:
            track.notes.append(Note(begin, max(end - begin, 1), pitch, velocity))
    for begin, end in _presses(played):
        track.pedals.append(Pedal(begin, end - begin))
    score.tracks.append(track)
    return score


def _ticks(seconds: NDArray[np.float64]) -> list[int]:
    ticks: list[int] = np.rint(seconds * _SCORE_TICKS_PER_SECOND).astype(np.int64).tolist()
    return ticks


def _presses(played: Played) -> list[tuple[int, int]]:
    """When the sustain pedal goes down and comes up, in ticks of the score; at the latest at the end."""
    sustain = played.pedals[0]
    last = max(played.notes.offset.max(initial=0.0), sustain.time.max(initial=0.0))
    begins, ends = map(_ticks, sustain.presses(last).T)
    return [(begin, end) for begin, end in zip(begins, ends, strict=True) if end > begin]
