"""Write the notes of recordings as MIDI files, by the transcriber of a checkpoint.

Files of any format that libsndfile reads, of any length, rate and number of channels; long ones pass through
in blocks, and the notes are those of the whole. Notes have velocities, and end where their sound does: the
pedals are not written, for the transcriber has not learned them. Writes one MIDI file per file, and
manifest.json.

  lightning transcribe runs/transcriber/<id>/checkpoints/best.ckpt piano.wav "take 2.flac"
"""

from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from lightning_modules.audio.files import AudioSource, shown
from lightning_modules.cli.arguments import OutputFolder, add_tool_arguments, check_limits, open_module

if TYPE_CHECKING:
    from lightning_modules.networks.transcriber import Transcriber


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Which files, and how much of them at a time."""
    add_tool_arguments(parser)
    parser.add_argument("files", type=str, nargs="+", help="Sound files.")
    parser.add_argument(
        "--block_seconds", type=float, default=20.0, help="Length of a block: what memory has to hold."
    )


def run(options: jsonargparse.Namespace) -> None:
    """Transcribe every file that can be read.

    Raises:
        ExperimentError: If the model does not transcribe; or, after the others are written, if a file could
            not be used.
    """
    from lightning_modules.inference.transcription import transcriber_of  # which takes seconds to import

    check_limits(options)
    module = open_module(options)
    transcriber = transcriber_of(module)
    with OutputFolder("transcribe", options) as folder:
        folder.make_each(
            module,
            options.files,
            lambda path: transcribe_one(transcriber, folder, path, options.block_seconds),
        )


def transcribe_one(transcriber: "Transcriber", folder: OutputFolder, path: Path, block_seconds: float) -> str:
    """Write one file's notes; returns a line about them."""
    from lightning_modules.audio.notes import midi_file
    from lightning_modules.inference.transcription import transcribe

    with AudioSource(path) as source:
        notes = transcribe(transcriber, source.chunks(transcriber.sample_rate), block_seconds)
        seconds = source.num_samples / source.sample_rate
        facts = {"source_sample_rate": source.sample_rate, "source_channels": source.channels}
    counted = {"num_notes": len(notes.pitch), "seconds": seconds}
    name = folder.write_bytes(f"{path.stem}.mid", midi_file(notes), {"source": str(path), **facts, **counted})
    return f"{shown(name)}  {len(notes.pitch)} notes in {seconds:.2f} s"
