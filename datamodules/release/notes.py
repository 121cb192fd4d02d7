"""The notes that were played: MIDI beside a recording -> notes and pedals.

Preparing a cache copies each recording's MIDI file beside its PCM (the whole of MAESTRO has 56 MB of them),
so that notes need neither the archive nor the network. A cache that was made without them gets each file from
the archive when its notes are first asked for.
"""

import io
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.archive.base import Archive
from datamodules.batch import Notes
from datamodules.errors import ReleaseError
from datamodules.files import write_atomically

if TYPE_CHECKING:
    import mido


SUSTAIN, SOSTENUTO, SOFT = PEDALS = (64, 66, 67)
"""Controllers of the pedals."""

PEDAL_DOWN = 64
"""Value of a controller from which its pedal counts as down."""

LARGEST_BYTES = 1 << 22
"""Of a MIDI file; reading one takes a hundred times its bytes."""
LONGEST_HOURS = 24.0
"""Of a performance: what lasts longer by its own times is damaged."""


class PedalCurve(NamedTuple):
    """Values of one pedal, each from its time on; 0 before the first.

    Attributes:
        time: (K,) seconds, float64, in order.
        value: (K,) 0 to 127, int64.
    """

    time: NDArray[np.float64]
    value: NDArray[np.int64]

    def at(self, time: NDArray[np.float64]) -> NDArray[np.int64]:
        """Values at any times, in their shape."""
        place = np.searchsorted(self.time, time, side="right")
        return np.concatenate([[0], self.value])[place]

    def next_up(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """When the pedal is up at or after each time: that time itself, or where it comes up next, or never.

        Never is infinite.
        """
        is_down = np.concatenate([[False], self.value >= PEDAL_DOWN])
        ups = self.time[is_down[:-1] & ~is_down[1:]]
        after = np.concatenate([ups, [np.inf]])[np.searchsorted(ups, time, side="right")]
        return np.where(self.at(time) >= PEDAL_DOWN, after, time)

    def presses(self, end: float) -> NDArray[np.float64]:
        """(P, 2) seconds at which the pedal goes down and comes up; at `end` if it stays down."""
        is_down = np.concatenate([[False], self.value >= PEDAL_DOWN, [False]])
        times = np.append(self.time, end)
        begins, ends = times[is_down[1:] & ~is_down[:-1]], times[is_down[:-1] & ~is_down[1:]]
        return np.stack([begins, ends], axis=-1)


class Played(NamedTuple):
    """The performance in a MIDI file.

    Attributes:
        notes: All of them, in seconds from the beginning.
        pedals: Sustain, sostenuto and soft pedal; of several channels, the moves of all.
        pedals_at_onset: (M, 3) values 0 to 127 of the pedals of a note's own channel at its onset.
        channels: Channels that have notes, from 0, in order.
    """

    notes: Notes
    pedals: tuple[PedalCurve, PedalCurve, PedalCurve]
    pedals_at_onset: NDArray[np.int64]
    channels: tuple[int, ...]


def read_notes(content: bytes) -> Notes:
    """All notes of a MIDI file; see `read_played`."""
    return read_played(content).notes


def read_played(content: bytes, channels: Sequence[int] | None = None) -> Played:
    """Notes and pedals of a MIDI file, of all its tracks, in seconds; tempo changes are followed.

    A release ends every note of that key struck before it; a key that is never released ends with the file.
    A release and a strike on one tick end one note and begin the next, in whatever order they are written.

    Args:
        content: The bytes of a standard MIDI file of type 0 or 1.
        channels: Channels to read, counted from 0; None for all.

    Raises:
        ReleaseError: If they are not one, are too many, or last for days.
    """
    if len(content) > LARGEST_BYTES:
        raise ReleaseError(
            f"has {len(content):,} bytes, too many for a performance",
            f"give a MIDI file of at most {LARGEST_BYTES:,} bytes",
        )
    events, end = _timed_messages(content)
    moves: dict[int, list[list[tuple[float, int]]]] = defaultdict(lambda: [[], [], []])
    rows: list[tuple[float, int, float, int, int]] = []  # onset, pitch, offset, velocity, channel
    held: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)  # onset and velocity by key
    for now, message in events:
        if channels is not None and message.channel not in channels:
            continue
        if message.type == "control_change":
            if message.control in PEDALS:
                moves[message.channel][PEDALS.index(message.control)].append((now, message.value))
            continue
        key = (message.channel, message.note)
        if message.type == "note_on" and message.velocity > 0:
            held[key].append((now, message.velocity))
        else:
            struck = held.pop(key, [])
            # a strike on the tick of a release is the next note, which some programs write first
            ended = [each for each in struck if each[0] < now] or struck
            rows += [(onset, key[1], now, velocity, key[0]) for onset, velocity in ended]
            held[key] = struck[len(ended) :]
    for (channel, pitch), left in held.items():
        rows += [(onset, pitch, end, velocity, channel) for onset, velocity in left]
    columns = np.array(sorted(rows), dtype=np.float64).reshape(-1, 5).T
    onset, offset, channel = columns[0], columns[2], columns[4].astype(np.int64)
    pitch, velocity = columns[1].astype(np.int64), columns[3].astype(np.int64)
    lifted, at_onset = offset.copy(), np.zeros((len(onset), 3), dtype=np.int64)
    for number in np.unique(channel).tolist():
        own = channel == number
        pedals = _curves(moves[number])
        lifted[own] = _lifted(onset[own], offset[own], pedals)
        at_onset[own] = np.stack([pedal.at(onset[own]) for pedal in pedals], -1)
    sounding = np.minimum(lifted, _struck_again(pitch, onset))
    sounding = np.where(np.isfinite(sounding), sounding, np.maximum(offset, end))
    _check_length(max(sounding.max(initial=0.0), events[-1][0] if events else 0.0))
    together = [sorted(move for each in moves.values() for move in each[kind]) for kind in range(3)]
    notes = Notes(pitch, onset, offset, velocity, sounding)
    return Played(notes, _curves(together), at_onset, tuple(np.unique(channel).tolist()))


def _check_length(seconds: float) -> None:
    """Refuse times that no performance has: a wrong byte makes days of rest, or more than can be counted.

    Raises:
        ReleaseError: If so.
    """
    hours = seconds / 3600.0
    if hours > LONGEST_HOURS:
        raise ReleaseError(
            f"lasts {hours:.0f} hours by its own times, which are damaged",
            "give a standard MIDI file of type 0 or 1 of a day at most",
        )


def _timed_messages(content: bytes) -> "tuple[list[tuple[float, mido.Message]], float]":
    """Notes and controls of all tracks with their times, and the time of the end, in seconds.

    Raises:
        ReleaseError: If `content` is no MIDI file of type 0 or 1.
    """
    import mido

    try:
        # damage in data bytes is limited, not refused: one bad note must not lose a performance
        file = mido.MidiFile(file=io.BytesIO(content), clip=True)
        if file.type not in (0, 1):
            raise ValueError(f"type {file.type}, of independent sequences")
        # what was read is checked already
        messages = mido.merge_tracks(file.tracks, skip_checks=True)
    except Exception as error:  # the parser lets errors of a dozen kinds through
        raise ReleaseError(
            f"{len(content)} bytes are no MIDI file that can be read ({type(error).__name__}: {error})",
            "give a standard MIDI file of type 0 or 1; one of MAESTRO's comes with the official release",
        ) from error
    seconds_per_tick, in_frames = _tick_seconds(file.ticks_per_beat)
    found, now = [], 0.0
    for message in messages:
        now += message.time * seconds_per_tick
        if message.type in ("note_on", "note_off", "control_change"):
            found.append((now, message))
        elif message.type == "set_tempo" and not in_frames:
            seconds_per_tick = message.tempo / 1e6 / max(1, file.ticks_per_beat)
    return found, now


def _tick_seconds(division: int) -> tuple[float, bool]:
    """Seconds of a tick before any tempo, and whether ticks divide frames of SMPTE time, which have no tempo.

    Args:
        division: The header's: ticks per beat, or, if negative, frames per second and ticks per frame.
    """
    if division > 0:
        return 0.5 / division, False
    frames, ticks = -(division >> 8), division & 0xFF
    return 1.0 / ((30000.0 / 1001.0 if frames == 29 else max(1, frames)) * max(1, ticks)), True


def _curves(moves: list[list[tuple[float, int]]]) -> tuple[PedalCurve, PedalCurve, PedalCurve]:
    """The curves of the three pedals from their moves, each (time, value)."""
    columns = [np.array(each, dtype=np.float64).reshape(-1, 2).T for each in moves]
    sustain, sostenuto, soft = (PedalCurve(time, value.astype(np.int64)) for time, value in columns)
    return sustain, sostenuto, soft


def _lifted(
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
    pedals: tuple[PedalCurve, PedalCurve, PedalCurve],
) -> NDArray[np.float64]:
    """Until when key, sustain pedal and sostenuto pedal together keep the dampers of notes lifted."""
    sustain, sostenuto, _ = pedals
    is_down = np.concatenate([[False], sostenuto.value >= PEDAL_DOWN])
    catches = np.concatenate([sostenuto.time[is_down[1:] & ~is_down[:-1]], [np.inf]])
    caught_at = catches[np.searchsorted(catches, onset, side="left")]
    # the sostenuto pedal holds the notes whose keys are down when it goes down
    caught = np.isfinite(caught_at) & (caught_at < offset)
    held = np.where(caught, sostenuto.next_up(np.where(caught, caught_at, onset)), offset)
    return sustain.next_up(np.maximum(offset, held))


def _struck_again(pitch: NDArray[np.int64], onset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Next onset of the same key after each note's own, infinite if there is none; notes by onset."""
    following = np.full(len(onset), np.inf)
    for key in np.unique(pitch).tolist():
        (own,) = np.nonzero(pitch == key)
        times = np.unique(onset[own])
        following[own] = np.append(times, np.inf)[np.searchsorted(times, onset[own], side="right")]
    return following


class MidiFiles:
    """The MIDI files of a release: the copies in the cache, else what the archive has.

    Args:
        folder: The cache's folder.
        archive: The release's files.
    """

    def __init__(self, folder: Path, archive: Archive) -> None:
        self.folder = folder
        self.archive = archive

    def played(self, member: str) -> Played | None:
        """Notes and pedals of one file, or None, with a warning that says why, if they cannot be had.

        Args:
            member: Its name in the release, as `Performance.midi`.
        """
        try:
            content = self.content(member)
            return None if content is None else read_played(content)
        except ReleaseError as error:
            warnings.warn(
                f"{member}: {error.problem}; this performance is used without its notes", stacklevel=2
            )
            return None

    def content(self, member: str) -> bytes | None:
        """The bytes of one file, or None if the release has no such file.

        Raises:
            ReleaseError: If it has one that cannot be read.
        """
        copy = self.folder / member
        if copy.is_file():
            return copy.read_bytes()
        if self.archive.fingerprint(member) is None:
            return None
        content = self.archive.read_bytes(member)
        if self.archive.is_remote and self.folder.is_dir():
            store_midi(self.folder, member, content)
        return content


def store_midi(folder: Path, member: str, content: bytes) -> None:
    """Write a MIDI file below `folder`, atomically."""
    path = folder / member
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
