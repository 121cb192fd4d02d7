"""The listening report of composed pieces: rolls, and players of those that were played."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.release.notes import Played
from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.file import KEY, read_checkpoint
from lightning_modules.reports.html import REPORT_NAME, write_report
from lightning_modules.reports.listening_set import ListeningSet, Piece, note_records, write_listening_set
from lightning_modules.reports.results import read_results


class ComposedPiece(NamedTuple):
    """A piece, as `lightning compose` has written it.

    Attributes:
        title: How it was drawn.
        played: Its notes and pedals.
        seconds: Its length.
        sound: Its sound file; None if nothing played it.
    """

    title: str
    played: Played
    seconds: float
    sound: Path | None


def write_piece_report(
    folder: Path, module: GenerativeModule, checkpoint: Path, pieces: Sequence[ComposedPiece]
) -> None:
    """Write `report.html`, and the listening folder that it and `lightning compare` are made of.

    Args:
        folder: Where to.
        module: The model that composed.
        checkpoint: Its file.
        pieces: What it composed; all their sound has to fit into memory.

    Raises:
        ReportError: If it cannot be written.
    """
    import soundfile

    audio: dict[str, NDArray[np.float32]] = {}
    sample_rate, described = module.sample_rate, []
    for number, piece in enumerate(pieces):
        name, seconds = None, piece.seconds
        if piece.sound is not None:
            waveform, sample_rate = soundfile.read(piece.sound, dtype="float32", always_2d=True)  # (T, C)
            name, seconds = f"piece_{number}.wav", len(waveform) / sample_rate  # roll and player end together
            audio[name] = waveform.T
        described.append(Piece(piece.title, seconds, note_records(piece.played.notes), name))
    content = ListeningSet(
        model=f"{type(module).__module__}.{type(module).__qualname__}",
        checkpoint=str(checkpoint),
        step=module.trained_steps or 0,
        sample_rate=sample_rate,
        data=dict(read_checkpoint(checkpoint)[KEY]["data"] or {}),
        clips=(),
        samples=(),
        pieces=tuple(described),
    )
    write_listening_set(folder, content, audio)
    write_report(folder / REPORT_NAME, [read_results(folder)])
