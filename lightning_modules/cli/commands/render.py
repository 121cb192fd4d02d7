"""Play MIDI files with the model of a checkpoint.

  lightning render runs/wavegan_notes/<id>/checkpoints/best.ckpt piece.mid --tempo 0.9 --format flac

MIDI files of type 0 or 1, of any length; tempo changes and all three pedals are followed. Channels are played
together, without percussion (channel 10) where there are others; --channels chooses. Writes one sound file
per MIDI file and manifest.json. Blocks are made one after the other and joined without seams.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from lightning_modules.audio.files import shown
from lightning_modules.cli.arguments import OutputFolder, add_tool_arguments, check_limits, open_module
from lightning_modules.errors import AudioFileError, OptionError

if TYPE_CHECKING:
    from lightning_modules.cli.rendering import PieceRenderer


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Which files, and how they are played."""
    add_tool_arguments(parser)
    parser.add_argument("files", type=str, nargs="+", help="MIDI files.")
    parser.add_argument("--tempo", type=float, default=1.0, help="How many times faster.")
    parser.add_argument("--transpose", type=int, default=0, help="Semitones up.")
    parser.add_argument(
        "--channels", type=list[int], help="Channels to play, 1 to 16, e.g. [1,2]; all but 10 by default."
    )
    parser.add_argument(
        "--velocity_exponent",
        type=float,
        default=1.0,
        help="e in velocity -> 127 (velocity / 127)^e: below 1 is louder and more even.",
    )
    parser.add_argument(
        "--gain_db", type=float, default=0.0, help="Gain in dB; what would clip is turned down."
    )
    parser.add_argument("--leave_out", action="store_true", help="Leave out notes outside the 88 keys.")
    parser.add_argument(
        "--ring_seconds", type=float, default=2.0, help="How long the sound rings on after the last damper."
    )
    parser.add_argument("--format", type=str, default="wav", choices=["wav", "flac"], help="Of the files.")
    parser.add_argument(
        "--block_seconds", type=float, default=10.0, help="Length of a block: what memory has to hold."
    )


def run(options: jsonargparse.Namespace) -> None:
    """Play every file that can be.

    Raises:
        ExperimentError: If the model plays no notes; or, after the others are written, if a file could not be
            played.
    """
    from lightning_modules.cli.rendering import PieceRenderer  # which takes seconds to import

    check_options(options)
    module = open_module(options)
    renderer = PieceRenderer(module, options.block_seconds)
    with OutputFolder("render", options) as folder:
        folder.make_each(module, options.files, lambda path: render_one(renderer, folder, path, options))


def check_options(options: jsonargparse.Namespace) -> None:
    """Raise an OptionError unless the numbers make sense."""
    check_limits(options)
    if options.channels == []:
        raise OptionError("--channels is empty", "give channels, 1 to 16, or leave it out for all but 10")
    for channel in options.channels or []:
        if not 1 <= channel <= 16:
            raise OptionError(f"--channels has {channel}", "MIDI channels are 1 to 16")


def render_one(
    renderer: "PieceRenderer", folder: OutputFolder, path: Path, options: jsonargparse.Namespace
) -> str:
    """Write one file's sound; returns a line about it."""
    from lightning_modules.cli.rendering import arranged, loudness, on_the_keyboard, read_piece

    channels = None if options.channels is None else [channel - 1 for channel in options.channels]
    played = arranged(read_piece(path, channels), options.tempo, options.transpose, options.velocity_exponent)
    module, began = renderer.module, time.perf_counter()
    try:
        played = on_the_keyboard(played, options.leave_out)
        name = f"{path.stem}.{options.format}"
        with folder.unclipped_sink(name, module.sample_rate, module.channels) as sink:
            renderer.write(played, sink, options.ring_seconds, options.gain_db)
    except OptionError as error:
        raise AudioFileError(f"{shown(path)}: {error.problem}", error.remedy) from error
    took = time.perf_counter() - began
    facts = {"num_notes": len(played.notes.pitch), "channels_played": [each + 1 for each in played.channels]}
    written = folder.add(sink, {"source": str(path), **facts})
    speed = f"{written.seconds / max(took, 1e-9):.0f} times real time"
    line = f"{written.seconds:.2f} s  {facts['num_notes']} notes  {loudness(sink, written)}  {speed}"
    return f"{shown(written.file)}  {line}"
