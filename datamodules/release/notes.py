"""The notes that were played: MIDI beside a recording -> pitch, onset, offset and velocity of a clip's notes.

Preparing a cache copies each recording's MIDI file beside its PCM (the whole of MAESTRO has 56 MB of them),
so that notes need neither the archive nor the network. A cache that was made without them gets each file from
the archive when its notes are first asked for.
"""

import io
import warnings
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.archive.base import Archive
from datamodules.errors import ReleaseError
from datamodules.files import write_atomically


class Notes(NamedTuple):
    """Notes in the order of their onsets, and of pitch where these are equal; arrays of one length.

    An offset is where the key was released. The sustain pedal is not applied: a string may sound longer.

    Attributes:
        pitch: MIDI note numbers, int64; 60 is middle C.
        onset: Seconds from the start of the clip, float64.
        offset: Seconds from the start of the clip, float64.
        velocity: 1 to 127, int64.
    """

    pitch: NDArray[np.int64]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    velocity: NDArray[np.int64]

    def between(self, start: float, stop: float) -> "Notes":
        """The notes whose keys are down at some time from `start` to before `stop` seconds, counted from it.

        A note struck before has a negative onset, and one released later ends after `stop - start`.
        """
        inside = (self.onset < stop) & ((self.offset > start) | (self.onset >= start))
        return Notes(
            self.pitch[inside],
            self.onset[inside] - start,
            self.offset[inside] - start,
            self.velocity[inside],
        )


def read_notes(content: bytes) -> Notes:
    """All notes of a MIDI file, of all its tracks and channels, in seconds; tempo changes are followed.

    A release ends every note of that key struck before it; a key that is never released ends with the file.

    Args:
        content: The bytes of a standard MIDI file of type 0 or 1.

    Raises:
        ReleaseError: If they are not one.
    """
    import mido

    try:
        # damage in data bytes is limited, not refused: one bad note must not lose a performance
        messages = list(mido.MidiFile(file=io.BytesIO(content), clip=True))
    except Exception as error:  # the parser lets errors of a dozen kinds through
        raise ReleaseError(
            f"{len(content)} bytes are no MIDI file that can be read ({type(error).__name__}: {error})",
            "restore the MIDI file from the official release",
        ) from error
    found: list[tuple[float, int, float, int]] = []
    held: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)  # onset and velocity by key
    now = 0.0
    for message in messages:
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        key = (message.channel, message.note)
        if message.type == "note_on" and message.velocity > 0:
            held[key].append((now, message.velocity))
        else:
            found += [(onset, message.note, now, velocity) for onset, velocity in held.pop(key, [])]
    for (_, pitch), left in held.items():
        found += [(onset, pitch, now, velocity) for onset, velocity in left]
    columns = np.array(sorted(found), dtype=np.float64).reshape(-1, 4).T
    return Notes(columns[1].astype(np.int64), columns[0], columns[2], columns[3].astype(np.int64))


class MidiFiles:
    """The MIDI files of a release: the copies in the cache, else what the archive has.

    Args:
        folder: The cache's folder.
        archive: The release's files.
    """

    def __init__(self, folder: Path, archive: Archive) -> None:
        self.folder = folder
        self.archive = archive

    def notes(self, member: str) -> Notes | None:
        """The notes of one file, or None, with a warning that says why, if they cannot be had.

        Args:
            member: Its name in the release, as `Performance.midi`.
        """
        try:
            content = self.content(member)
            return None if content is None else read_notes(content)
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
