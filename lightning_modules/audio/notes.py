"""Notes that a transcriber heard, and the MIDI file of them."""

import io
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

TICKS_PER_SECOND = 1000
BEATS_PER_SECOND = 2  # 120 per minute, MIDI's default tempo, which every program reads alike


class NoteList(Protocol):
    """Notes of a clip; arrays of one length.

    Attributes:
        pitch: MIDI note numbers, int.
        onset: Seconds from the clip's start, float; negative if struck before it.
        offset: Where the key is released, or the sound ends, in the same seconds.
        velocity: 1 to 127, int.
    """

    @property
    def pitch(self) -> NDArray[Any]: ...  # noqa: D102
    @property
    def onset(self) -> NDArray[Any]: ...  # noqa: D102
    @property
    def offset(self) -> NDArray[Any]: ...  # noqa: D102
    @property
    def velocity(self) -> NDArray[Any]: ...  # noqa: D102


class HeardNotes(NamedTuple):
    """Notes in the order of their onsets, and of pitch where these are equal; arrays of one length.

    Attributes:
        pitch: MIDI note numbers, int64; 60 is middle C.
        onset: Seconds from the beginning, float64.
        offset: Where the sound ends, in the same seconds, float64.
        velocity: 1 to 127, int64.
    """

    pitch: NDArray[np.int64]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    velocity: NDArray[np.int64]

    @classmethod
    def from_rows(cls, rows: "list[tuple[float, int, float, int]]") -> "HeardNotes":
        """From onset, pitch, offset, velocity of each note, in any order."""
        columns = np.array(sorted(rows), dtype=np.float64).reshape(-1, 4).T
        return cls(columns[1].astype(np.int64), columns[0], columns[2], columns[3].astype(np.int64))


def midi_file(notes: HeardNotes) -> bytes:
    """A standard MIDI file of type 0: notes with velocities on one channel, to the millisecond.

    Where a key is struck again before its offset, its sound ends there: MIDI has one string per key.
    """
    import mido

    track = mido.MidiTrack([mido.Message("program_change", program=0, time=0)])
    now = 0
    for tick, kind, pitch, velocity in _events(notes):
        track.append(mido.Message(kind, note=pitch, velocity=velocity, time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=0))
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_SECOND // BEATS_PER_SECOND)
    file.tracks.append(track)
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def _events(notes: HeardNotes) -> list[tuple[int, str, int, int]]:
    """Tick, kind, pitch and velocity of each message, in order; of one tick, releases come first."""
    events = []
    next_onset: dict[int, int] = {}
    for pitch, onset, offset, velocity in reversed(
        list(zip(*(column.tolist() for column in notes), strict=True))
    ):
        begin = round(onset * TICKS_PER_SECOND)
        end = max(round(offset * TICKS_PER_SECOND), begin + 1)
        end = min(end, next_onset.get(pitch, end))
        next_onset[pitch] = begin
        if end > begin:
            events += [(begin, "note_on", pitch, velocity), (end, "note_off", pitch, 0)]
    return sorted(events, key=lambda event: (event[0], event[1] == "note_on", event[2]))
