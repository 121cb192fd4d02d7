"""The listening folder of a test, or of composed pieces: audio, notes, and a manifest.

    listening/
        listening.json              what each file is; written last
        clip_0_original.wav         16-bit PCM
        clip_0_reconstruction.wav   clip_0_rendering.wav where it is made from notes
        sample_0.wav
        piece_0.wav                 of composed pieces that were played

Reports are made from this folder alone, so that runs can be compared long after their tests.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.files import open_regular
from lightning_modules.audio.notes import NoteList
from lightning_modules.errors import ReportError
from lightning_modules.reports.plain_values import read_json, record

FOLDER = "listening"
MANIFEST = "listening.json"
FORMAT = 1
LARGEST_SAMPLES = 2**25
"""Of one file, in all channels: more than five minutes of stereo at 48 kHz."""


class Note(NamedTuple):
    """A note of the MIDI beside a recording.

    Attributes:
        pitch: MIDI number, 69 for A4.
        onset: In seconds from the clip's start; below 0 for a note that already sounds.
        offset: In seconds from the clip's start.
        velocity: 1 to 127.
    """

    pitch: int
    onset: float
    offset: float
    velocity: int


def note_records(notes: NoteList) -> tuple[Note, ...]:
    """Notes as a manifest holds them, to the millisecond."""
    return tuple(
        Note(int(pitch), round(float(onset), 3), round(float(offset), 3), int(velocity))
        for pitch, onset, offset, velocity in zip(
            notes.pitch, notes.onset, notes.offset, notes.velocity, strict=True
        )
    )


@dataclass(frozen=True)
class Clip:
    """A clip of the test split and its reconstruction.

    Attributes:
        recording: Name of the recording; with the place, it identifies the clip across runs.
        title: For people: the piece.
        subtitle: For people: composer, year.
        start_seconds: Where the clip begins within the recording.
        seconds: Its length.
        original: File name of the clip.
        reconstruction: File name of its reconstruction, or of the rendering of its notes; None if the model
            makes neither.
        notes: What is played, None where no MIDI is known.
    """

    recording: str
    title: str
    subtitle: str
    start_seconds: float
    seconds: float
    original: str
    reconstruction: str | None
    notes: tuple[Note, ...] | None

    @property
    def made(self) -> str:
        """The word for what the model made of it."""
        name = self.reconstruction or ""
        return "Rendering" if name.endswith("_rendering.wav") else "Reconstruction"

    @property
    def key(self) -> tuple[str, float, float]:
        """The same for the same clip of any run: recording, start and length in seconds."""
        return self.recording, round(self.start_seconds, 3), round(self.seconds, 3)


@dataclass(frozen=True)
class Piece:
    """A piece of notes that a model composed.

    Attributes:
        title: How it was drawn.
        seconds: Its length.
        notes: All of them.
        audio: File name of its sound; None if nothing played it.
    """

    title: str
    seconds: float
    notes: tuple[Note, ...]
    audio: str | None


@dataclass(frozen=True)
class ListeningSet:
    """The content of a manifest.

    Attributes:
        model: Class path of the model.
        checkpoint: Path of the tested checkpoint, None if a model in memory was tested.
        step: Training steps of the model.
        sample_rate: In Hz.
        data: Identity of the data: plain values.
        clips: Clips of the test split.
        samples: File names of what the model sampled.
        pieces: What the model composed.
    """

    model: str
    checkpoint: str | None
    step: int
    sample_rate: int
    data: dict[str, Any]
    clips: tuple[Clip, ...]
    samples: tuple[str, ...]
    pieces: tuple[Piece, ...] = ()


def write_listening_set(root: Path, content: ListeningSet, audio: dict[str, NDArray[np.float32]]) -> None:
    """Write `root`/listening; a kill leaves it whole or absent.

    Args:
        root: Folder of the test.
        content: The manifest.
        audio: File name -> (C, T) in [-1, 1]; what lies beyond is clipped, what is no number becomes 0.
    """
    import soundfile

    part, final = root / f"{FOLDER}.part", root / FOLDER
    for old in (part, final):
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir(parents=True)
    for name, waveform in audio.items():
        pcm = np.nan_to_num(waveform, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1.0, 1.0).T  # (T, C)
        soundfile.write(part / name, pcm, content.sample_rate, subtype="PCM_16")
    values = {"format": FORMAT, **asdict(content)}
    (part / MANIFEST).write_text(json.dumps(values, indent=1), encoding="utf-8")
    os.replace(part, final)


def read_listening_set(root: Path) -> ListeningSet:
    """Read the manifest that `write_listening_set` wrote.

    Raises:
        ReportError: If it is missing, damaged, of another version, or names files outside its folder.
    """
    path = root / FOLDER / MANIFEST
    values = read_json(path)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ReportError(f"{path} is not of format {FORMAT}", "run `lightning test` with this version")
    content = record(ListeningSet, {"pieces": [], **values}, path)  # as of versions that composed nothing
    clips = content.clips
    names = [*(clip.original for clip in clips), *(clip.reconstruction for clip in clips), *content.samples]
    names += [piece.audio for piece in content.pieces]
    _check_names(path, [name for name in names if name is not None])
    return content


def _check_names(path: Path, names: Sequence[str]) -> None:
    """A manifest from elsewhere must not put other files of this machine into a report."""
    for name in names:
        file = path.parent / name
        if Path(name).name != name or file.is_symlink() or not file.is_file():
            raise ReportError(
                f"{path} names the file {name!r}, which is not in its folder", "run `lightning test` again"
            )


def read_audio(root: Path, name: str) -> NDArray[np.float32]:
    """A file of the set, (C, T).

    Raises:
        ReportError: If it is no audio, or too long for a page.
    """
    import soundfile

    path, remedy = root / FOLDER / name, "run `lightning test` again"
    try:
        with open_regular(path) as raw, soundfile.SoundFile(raw) as file:
            # a few bytes of a compressed file can promise hours
            if file.frames * file.channels > LARGEST_SAMPLES:
                raise ReportError(f"{path} has {file.frames:,} samples, too many for a page", remedy)
            audio = file.read(dtype="float32", always_2d=True)  # (T, C)
    except (OSError, soundfile.LibsndfileError) as error:
        raise ReportError(f"{path} cannot be read ({error})", remedy) from error
    return np.ascontiguousarray(audio.T)
