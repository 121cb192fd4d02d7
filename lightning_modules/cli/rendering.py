"""MIDI files through a model that plays notes: block by block, in memory that does not grow with them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.clips.notes import ClipNotes
from datamodules.errors import ReleaseError
from datamodules.files import read_limited
from datamodules.release.notes import LARGEST_BYTES, Notes, PedalCurve, Played, read_played
from lightning_modules.audio.files import UnclippedAudioSink, WrittenAudio, shown
from lightning_modules.base import GenerativeModule, RendersNotes, renders_notes
from lightning_modules.errors import AudioFileError, OptionError

LOWEST_KEY, HIGHEST_KEY = 21, 108
PERCUSSION = 9
"""The channel, counted from 0, that General MIDI gives to percussion."""

MOST_NOTES = 2000
"""That sound in a block: a thousand take 270 MB, and a pianist plays a few hundred in ten seconds."""
_OTHER_FILE = "give a standard MIDI file of type 0 or 1 with notes in it"


def read_piece(path: Path, channels: Sequence[int] | None = None) -> Played:
    """Notes and pedals of a MIDI file.

    Args:
        path: The file.
        channels: Channels to read, counted from 0; None for all but percussion, where there are others.

    Raises:
        AudioFileError: If it is missing, no MIDI file, too large or too long, or has no notes.
    """
    try:
        content = read_limited(path, LARGEST_BYTES, follow=True)
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise AudioFileError(f"{shown(path)}: {problem}", "give the path of a MIDI file") from error
    try:
        played = read_played(content, channels)
        if channels is None and PERCUSSION in played.channels and len(played.channels) > 1:
            played = read_played(content, [each for each in played.channels if each != PERCUSSION])
    except ReleaseError as error:
        raise AudioFileError(f"{shown(path)}: {error.problem}", error.remedy) from error
    if len(played.notes.pitch) == 0:
        chosen = "" if channels is None else f" in channel(s) {', '.join(str(each + 1) for each in channels)}"
        raise AudioFileError(f"{shown(path)}: a MIDI file without notes{chosen}", _OTHER_FILE)
    return played


def arranged(
    played: Played, tempo: float = 1.0, transpose: int = 0, velocity_exponent: float = 1.0
) -> Played:
    """A piece played otherwise.

    Args:
        played: The piece.
        tempo: How many times faster.
        transpose: Semitones up.
        velocity_exponent: e in velocity -> 127 (velocity / 127)^e: below 1 is louder, and more even.
    """
    notes = played.notes
    velocity = np.rint(127.0 * (notes.velocity / 127.0) ** velocity_exponent).clip(1, 127).astype(np.int64)
    sustain, sostenuto, soft = (PedalCurve(each.time / tempo, each.value) for each in played.pedals)
    return played._replace(
        notes=notes._replace(
            pitch=notes.pitch + transpose,
            onset=notes.onset / tempo,
            offset=notes.offset / tempo,
            sounding_offset=notes.sounding_offset / tempo,
            velocity=velocity,
        ),
        pedals=(sustain, sostenuto, soft),
    )


def on_the_keyboard(played: Played, leave_out: bool) -> Played:
    """The piece, if a piano has its keys; without the notes that it has not, if these may be left out.

    Raises:
        OptionError: If there are others.
    """
    notes = played.notes
    inside = (notes.pitch >= LOWEST_KEY) & (notes.pitch <= HIGHEST_KEY)
    if inside.all():
        return played
    count = f"{int((~inside).sum())} of {len(inside)} notes"
    if not leave_out or not inside.any():
        raise OptionError(
            f"{count} lie outside the 88 keys of a piano (MIDI numbers 21 to 108): the lowest is "
            f"{int(notes.pitch.min())}, the highest {int(notes.pitch.max())}",
            "bring them inside with --transpose, or leave them out with --leave_out",
        )
    kept = Notes(
        notes.pitch[inside],
        notes.onset[inside],
        notes.offset[inside],
        notes.velocity[inside],
        notes.sounding_offset[inside],
    )
    return played._replace(notes=kept, pedals_at_onset=played.pedals_at_onset[inside])


class PieceRenderer:
    """Plays pieces with one model.

    Args:
        module: A model that reads notes, in evaluation mode.
        block_seconds: About the length of a block: what memory has to hold.

    Raises:
        OptionError: If the model reads no notes.
    """

    def __init__(self, module: GenerativeModule, block_seconds: float = 10.0) -> None:
        if not renders_notes(module):
            raise OptionError(
                f"{type(module).__name__} of this checkpoint plays no notes",
                "train one that does: lightning fit --config experiments/wavegan_notes.yaml",
            )
        self.module: RendersNotes = module
        unit = module.render_unit_samples
        self.block_samples = max(round(block_seconds * module.sample_rate / unit), 1) * unit

    def num_samples(self, played: Played, ring_seconds: float) -> int:
        """Length T of a piece that rings on for so long after its last damper has fallen."""
        end = float(played.notes.sounding_offset.max()) + ring_seconds
        return max(1, round(end * self.module.sample_rate))

    def write(
        self,
        played: Played,
        sink: UnclippedAudioSink,
        ring_seconds: float,
        gain_db: float,
        advance: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """Write the sound of a piece into `sink`, and say to `advance` how many seconds are done."""
        num_samples = self.num_samples(played, ring_seconds)
        for block in self.blocks(played, num_samples, 10.0 ** (gain_db / 20.0)):
            sink.write(block)
            advance(sink.num_samples / sink.sample_rate)

    @torch.no_grad()
    def blocks(self, played: Played, num_samples: int, gain: float = 1.0) -> Iterator[NDArray[np.float32]]:
        """Yield the sound of a piece, (C, T) each; joined, it is that of the whole.

        Args:
            played: The piece.
            num_samples: How much of it.
            gain: Factor applied to the sound.

        Raises:
            OptionError: Where too many notes sound in one block.
        """
        notes, row = ClipNotes({0: played}, self.module.sample_rate), np.zeros(1, dtype=np.int64)
        factor = np.full(1, gain, dtype=np.float32)
        length = self.block_samples + self.module.lookahead_samples
        for start in range(0, num_samples, self.block_samples):
            batch = notes.batch(row, np.full(1, start), factor, length)
            if (count := batch.pitch.shape[1]) > MOST_NOTES:
                place = start / self.module.sample_rate
                raise OptionError(
                    f"{count:,} notes sound together at about {place:.0f} s, more than {MOST_NOTES:,}",
                    "give a piece that can be played, or shorter --block_seconds",
                )
            block = self.module.render(batch.to(self.module.device), length)[0]
            yield block[:, : min(self.block_samples, num_samples - start)].float().cpu().numpy()


def loudness(sink: UnclippedAudioSink, written: WrittenAudio) -> str:
    """How loud a finished file is, for a line about it."""
    turned = f", turned down by {sink.turned_down_db:.1f} dB" if sink.turned_down_db else ""
    return f"peak {written.peak:.3f}{turned}"
