"""One piece of sound as a page holds it: the audio, its picture, its level."""

import base64
import io
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.audio.spectrogram import MelSpectrogram
from lightning_modules.reports.curves import Tick
from lightning_modules.reports.figures import (
    DYNAMIC_RANGE_DB,
    NUM_MELS,
    TICK_HZ,
    mel_db,
    mel_front_end,
    mel_row,
)
from lightning_modules.reports.listening_set import Note

MAX_COLUMNS = 800
"""Widest picture of a spectrogram, in pixels: more would not be seen."""
NUM_COLOURS = 48
SILENCE_DB = -120.0


@dataclass(frozen=True)
class Track:
    """A player.

    Attributes:
        id: Unique within the page.
        label: What is heard: `Original`, `Reconstruction`, `Rendering`, `Sample`, or the name of a run.
        run: Number of the run that made it, which gives the colour; None for a recording.
        audio: FLAC as a data URI.
        picture: Mel spectrogram, PNG as a data URI.
        ticks: Labels of the picture's vertical axis.
        seconds: Length.
        level_db: RMS level in dB of full scale, at least `SILENCE_DB`.
    """

    id: str
    label: str
    run: int | None
    audio: str
    picture: str
    ticks: tuple[Tick, ...]
    seconds: float
    level_db: float


@dataclass(frozen=True)
class PianoRoll:
    """Notes as rectangles in a box of 1 x 1, time to the right, pitch upwards.

    Attributes:
        bars: (left, top, width, height, opacity) of each note.
        lowest: Name of the lowest row's pitch.
        highest: Name of the highest row's pitch.
    """

    bars: tuple[tuple[float, float, float, float, float], ...]
    lowest: str
    highest: str


class Studio:
    """Makes tracks whose pictures share one scale.

    Args:
        sample_rate: In Hz.
        reference_db: Level of a spectrogram's cell that is shown brightest.
    """

    def __init__(self, sample_rate: int, reference_db: float) -> None:
        self.sample_rate = sample_rate
        self.reference_db = reference_db

    @cached_property
    def front_end(self) -> MelSpectrogram:
        """Of the pictures; a model of notes alone has none."""
        return mel_front_end(self.sample_rate)

    def track(self, track_id: str, label: str, run: int | None, waveform: NDArray[np.float32]) -> Track:
        """A player of `waveform` (C, T)."""
        decibels = mel_db(torch.from_numpy(waveform), self.front_end)
        return Track(
            id=track_id,
            label=label,
            run=run,
            audio=data_uri("audio/flac", flac(waveform, self.sample_rate)),
            picture=data_uri("image/png", picture((decibels - self.reference_db).astype(np.float32))),
            ticks=frequency_ticks(self.sample_rate),
            seconds=waveform.shape[1] / self.sample_rate,
            level_db=level_db(waveform),
        )


def loudest_db(waveforms: list[NDArray[np.float32]], sample_rate: int) -> float:
    """Level of the loudest cell of the mel spectrograms of `waveforms`, each (C, T)."""
    front_end: MelSpectrogram = mel_front_end(sample_rate)
    return max((float(mel_db(torch.from_numpy(w), front_end).max()) for w in waveforms), default=0.0)


def level_db(waveform: NDArray[np.float32]) -> float:
    """Root mean square in dB of full scale."""
    power = float(np.mean(np.square(waveform, dtype=np.float64)))
    return max(10.0 * math.log10(power), SILENCE_DB) if power > 0 else SILENCE_DB


def flac(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """16-bit FLAC of (C, T): lossless, so that one judges the model alone, and played by all browsers."""
    import soundfile

    target = io.BytesIO()
    soundfile.write(target, waveform.T, sample_rate, format="FLAC", subtype="PCM_16", compression_level=1.0)
    return target.getvalue()


def picture(decibels: NDArray[np.float32]) -> bytes:
    """PNG of a spectrogram (M, N) in dB below the brightest colour; bare, for the page draws the axes."""
    from matplotlib import colormaps
    from PIL import Image

    width = -(-decibels.shape[1] // MAX_COLUMNS)
    edges = np.arange(0, decibels.shape[1], width)
    narrowed = np.maximum.reduceat(decibels, edges, axis=1)  # an onset stays as sharp as it can be
    share = np.clip(1.0 + narrowed / DYNAMIC_RANGE_DB, 0.0, 1.0)
    image = Image.fromarray(np.round(share[::-1] * (NUM_COLOURS - 1)).astype(np.uint8))
    colours = colormaps["magma"](np.linspace(0.0, 1.0, NUM_COLOURS))[:, :3]
    image.putpalette(np.round(255 * colours).astype(np.uint8).tobytes())
    target = io.BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()


def data_uri(media_type: str, content: bytes) -> str:
    """`content` as an address that needs no file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def frequency_ticks(sample_rate: int) -> tuple[Tick, ...]:
    """Labels of a spectrogram's vertical axis, every second of the usual ones."""
    return tuple(
        Tick(
            f"{hertz // 1000} kHz" if hertz >= 1000 else f"{hertz} Hz",
            (mel_row(hertz, sample_rate) + 0.5) / NUM_MELS,
        )
        for hertz in TICK_HZ[::2]
        if hertz < 0.45 * sample_rate
    )


def piano_roll(notes: tuple[Note, ...], seconds: float) -> PianoRoll | None:
    """Notes of a clip of that length; None if nothing is played."""
    from librosa import midi_to_note  # a second to import

    heard = [note for note in notes if note.offset > 0 and note.onset < seconds]
    if not heard:
        return None
    lowest, highest = min(note.pitch for note in heard) - 1, max(note.pitch for note in heard) + 1
    rows = highest - lowest + 1
    bars = []
    for note in heard:
        left, right = max(note.onset, 0.0) / seconds, min(note.offset, seconds) / seconds
        bars.append(
            (left, (highest - note.pitch) / rows, right - left, 1 / rows, 0.4 + 0.6 * note.velocity / 127)
        )
    return PianoRoll(tuple(bars), str(midi_to_note(lowest + 1)), str(midi_to_note(highest - 1)))
