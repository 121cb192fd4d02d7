"""A score played: expressive timing, dynamics and pedal, from a seed.

The result is in MIDI ticks and MIDI velocities, so that what is rendered is exactly what the MIDI file says.
All random numbers come from `numpy.random.RandomState.random_sample`, whose stream numpy has frozen.
"""

from bisect import bisect_right
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from datamodules.mini.notation import Note
from datamodules.mini.score import DYNAMICS, Score

TICKS_PER_BEAT = 480
TEMPO_MICROSECONDS = 500_000
TICKS_PER_SECOND = 960
"""960 ticks a second: `TICKS_PER_BEAT` beats of `TEMPO_MICROSECONDS`, as in MAESTRO a grid without metre."""

LEAD_IN_SECONDS = 0.7
TOGETHER_TICKS = 48
"""Two blows on one key within 50 ms are one: no pianist could play them."""

KEY_RETURN_TICKS = 24
"""A key is up for at least 25 ms before it goes down again."""

GRID = 96
"""Steps per whole note of the tempo integral; holds sixteenths, triplets and thirty-seconds."""

PEDAL_THRESHOLD = 64
"""Values of controller 64 from here up lift the dampers."""

PEDAL_CHANGE_SECONDS = 0.11
"""How long the dampers touch the strings while the pedal is changed with the harmony."""


class PlayedNote(NamedTuple):
    """A key's way down and up: ticks, MIDI number, velocity."""

    onset_tick: int
    release_tick: int
    pitch: int
    velocity: int


class PedalMove(NamedTuple):
    """A value of controller 64 from this tick on."""

    tick: int
    value: int


class Performance(NamedTuple):
    """The actions of the pianist.

    Attributes:
        notes: In order of onset.
        pedal: In order of time.
    """

    notes: list[PlayedNote]
    pedal: list[PedalMove]

    @property
    def duration(self) -> float:
        """End of the last note in seconds: MAESTRO's `duration`."""
        return max(note.release_tick for note in self.notes) / TICKS_PER_SECOND


class SoundingNote(NamedTuple):
    """A note as the strings hear it: onset in seconds, until the damper falls, key, velocity."""

    onset_seconds: float
    held_seconds: float
    pitch: int
    velocity: int


class _Timing(NamedTuple):
    """Position in the score (whole notes) -> time, phrase and dynamics."""

    score: Score
    grid_seconds: list[float]

    def seconds(self, position: Fraction) -> float:
        """Time of a position of the score; between grid points, evenly."""
        index, rest = divmod(position * GRID, 1)
        here = self.grid_seconds[min(int(index), len(self.grid_seconds) - 1)]
        following = self.grid_seconds[min(int(index) + 1, len(self.grid_seconds) - 1)]
        return here + float(rest) * (following - here)


def _bar(score: Score, position: Fraction) -> float:
    """Bar number, with its fraction; a pick-up lies before bar 0."""
    return float((position - score.pickup) / score.meter)


def _arc(score: Score, position: Fraction) -> float:
    """Where in its phrase a position lies: 0 at either end of the phrase, 1 in its middle."""
    phase = (_bar(score, position) / score.phrase_bars) % 1.0
    return 1.0 - (2.0 * phase - 1.0) * (2.0 * phase - 1.0)


def _timing(score: Score) -> _Timing:
    """Integrate the tempo: faster in the middle of a phrase, a ritardando into the last bar."""
    length = score.length()
    seconds = [LEAD_IN_SECONDS]
    step = 240.0 / score.quarters_per_minute / GRID
    for index in range(int(length * GRID)):
        position = Fraction(index, GRID)
        stretch = 1.0 + score.rubato * (1.0 - 1.5 * _arc(score, position))
        bars_left = float((length - position) / score.meter)
        if bars_left < 2.0:
            stretch += 3.0 * score.rubato * (1.0 - bars_left / 2.0)
        seconds.append(seconds[-1] + step * stretch)
    return _Timing(score, seconds)


def _level(score: Score, bar: float) -> float:
    """Velocity of the dynamic marks at a bar, moving evenly from one to the next."""
    marks = score.dynamics
    index = bisect_right([mark[0] for mark in marks], bar) - 1
    if index < 0:
        return DYNAMICS[marks[0][1]]
    if index == len(marks) - 1:
        return DYNAMICS[marks[-1][1]]
    (start, low), (end, high) = marks[index], marks[index + 1]
    share = (bar - start) / (end - start)
    return DYNAMICS[low] + share * (DYNAMICS[high] - DYNAMICS[low])


def _velocity(score: Score, note: Note, top: bool, chance: float) -> int:
    """Dynamics, phrase, metre, voicing and a little chance."""
    bar = _bar(score, note.onset)
    velocity = _level(score, bar) * (0.94 + 0.12 * _arc(score, note.onset))
    if note.voice > 0:
        velocity *= score.accompaniment
    elif not top:
        velocity *= 0.88
    if bar % 1.0 == 0.0:
        velocity *= 1.04
    if note.accent:
        velocity *= 1.15
    return min(120, max(16, round(velocity + 6.0 * (chance - 0.5))))


def _strike(score: Score, timing: _Timing, note: Note, top: bool, chance: list[float]) -> PlayedNote:
    """Time and weigh one note: the melody a little ahead, chords not quite together."""
    lead = -0.010 if note.voice == 0 and top else 0.0
    onset = timing.seconds(note.onset) + lead + 0.012 * (chance[0] - 0.5)
    end = timing.seconds(note.onset + note.duration)
    full = end - timing.seconds(note.onset)
    length = full * (0.42 if note.staccato else 0.93 + 0.06 * chance[1])
    ticks = round(onset * TICKS_PER_SECOND)
    release = max(ticks + 48, round((onset + length) * TICKS_PER_SECOND))
    return PlayedNote(ticks, release, note.pitch, _velocity(score, note, top, chance[2]))


def _separate(notes: list[PlayedNote]) -> list[PlayedNote]:
    """Make the notes playable by one keyboard: a key must come up before it goes down again.

    Two voices on one key at once become one note, as loud as the louder, as long as the longer.
    """
    merged: dict[int, list[PlayedNote]] = {}
    for note in sorted(notes):
        same_key = merged.setdefault(note.pitch, [])
        last = same_key[-1] if same_key else None
        if last and note.onset_tick - last.onset_tick < TOGETHER_TICKS:
            release, velocity = max(last.release_tick, note.release_tick), max(last.velocity, note.velocity)
            same_key[-1] = last._replace(release_tick=release, velocity=velocity)
            continue
        if last:
            latest = note.onset_tick - KEY_RETURN_TICKS
            same_key[-1] = last._replace(release_tick=min(last.release_tick, latest))
        same_key.append(note)
    return sorted(note for same_pitch in merged.values() for note in same_pitch)


def _pedal(score: Score, timing: _Timing, chances: list[float], end_tick: int) -> list[PedalMove]:
    """Change the pedal just after each new harmony has been struck, and lift it when the music is over."""
    if score.pedal is None:
        return []
    positions = [Fraction(0)] if score.pickup else []
    bar_start, length = score.pickup, score.length()
    while bar_start < length:
        positions.append(bar_start)
        bar_start += score.pedal
    moves: list[PedalMove] = []
    for index, position in enumerate(positions):
        up = timing.seconds(position) + 0.015 + 0.02 * chances[index % len(chances)]
        down = up + PEDAL_CHANGE_SECONDS
        if index > 0:
            moves += [(PedalMove(_tick(up), 48)), PedalMove(_tick(up + 0.012), 0)]
        moves += [PedalMove(_tick(down), 72), PedalMove(_tick(down + 0.02), 118)]
    return [*moves, PedalMove(end_tick, 40), PedalMove(end_tick + 12, 0)]


def _tick(seconds: float) -> int:
    return round(seconds * TICKS_PER_SECOND)


def perform(score: Score, seed: int) -> Performance:
    """Play a score.

    Args:
        score: The piece.
        seed: Of the small deviations of timing and loudness.

    Returns:
        The performance; the same for the same arguments on every machine.
    """
    random = np.random.RandomState(seed)
    timing = _timing(score)
    notes = score.notes()
    tops: dict[Fraction, int] = {}
    for note in notes:
        if note.voice == 0:
            tops[note.onset] = max(tops.get(note.onset, 0), note.pitch)
    chances = random.random_sample((len(notes), 3)).tolist()
    played = _separate(
        [
            _strike(score, timing, note, note.pitch == tops.get(note.onset), chance)
            for note, chance in zip(notes, chances, strict=True)
        ]
    )
    end_tick = max(note.release_tick for note in played)
    return Performance(played, _pedal(score, timing, random.random_sample(64).tolist(), end_tick + 240))


def sounding(performance: Performance) -> list[SoundingNote]:
    """When each note's damper falls: at the key's release, or later where the pedal holds it."""
    lifted = [(move.tick, move.value >= PEDAL_THRESHOLD) for move in performance.pedal]
    ticks = [tick for tick, _ in lifted]
    following: dict[int, int] = {}
    result = []
    for note in reversed(performance.notes):
        end = note.release_tick
        index = bisect_right(ticks, end) - 1
        while 0 <= index < len(lifted) - 1 and lifted[index][1]:
            index += 1
            end = lifted[index][0]
        end = min(end, following.get(note.pitch, end))  # the next blow on this key stops the string first
        following[note.pitch] = note.onset_tick
        onset_seconds = note.onset_tick / TICKS_PER_SECOND
        held = end / TICKS_PER_SECOND - onset_seconds
        result.append(SoundingNote(onset_seconds, held, note.pitch, note.velocity))
    return result[::-1]
