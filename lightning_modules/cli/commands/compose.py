"""Make music from nothing with a note prior, and play it with a model that plays notes.

  lightning compose runs/note_prior/<id> --seconds 60 --render runs/wavegan_notes/<id>
  lightning compose runs/note_prior/<id> --prompt piece.mid --prompt_seconds 20 --top_p 0.9

Writes piece.mid, piece.png (a piano roll), with --render piece.wav, and manifest.json; with --report also
report.html, a page of rolls and players. The same seed makes the same piece; --num_pieces takes the seeds
that follow. With --prompt a piece begins with that MIDI file, or its first seconds, and goes on from it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from lightning_modules.audio.files import shown
from lightning_modules.cli.arguments import OutputFolder, add_tool_arguments, check_limits, open_module
from lightning_modules.errors import OptionError
from lightning_modules.numerics.nucleus import TEMPERATURE, TOP_P

if TYPE_CHECKING:
    from datamodules.release.notes import Played
    from lightning_modules.cli.composing import Composer
    from lightning_modules.cli.rendering import PieceRenderer

NAME = "piece"


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """How long, how it is drawn, and what plays it."""
    add_tool_arguments(parser)
    parser.add_argument("--seconds", type=float, default=120.0, help="Length of what is composed.")
    parser.add_argument("--seed", type=int, default=0, help="Another seed, another piece; 0 or more.")
    parser.add_argument("--num_pieces", type=int, default=1, help="How many, each with the next seed.")
    parser.add_argument(
        "--temperature", type=float, default=TEMPERATURE, help="Below 1 is more typical, above 1 more varied."
    )
    parser.add_argument(
        "--top_p",
        type=float,
        default=TOP_P,
        help="Draw from the likeliest tokens that together have this probability: up to 1, which is all.",
    )
    parser.add_argument("--prompt", type=str | None, help="A MIDI file to go on from.")
    parser.add_argument(
        "--prompt_seconds", type=float | None, help="How much of its beginning to use; all by default."
    )
    parser.add_argument(
        "--render", type=str | None, help="A checkpoint of a model that plays notes, or its run."
    )
    parser.add_argument(
        "--gain_db", type=float, default=0.0, help="Gain of the sound in dB; what would clip is turned down."
    )
    parser.add_argument(
        "--report", action="store_true", help="Write report.html, which holds all pieces and their sound."
    )


def run(options: jsonargparse.Namespace) -> None:
    """Compose, play and draw.

    Raises:
        ExperimentError: If the options make no sense, or a model cannot do what is asked of it.
    """
    from lightning_modules.cli.composing import Composer, picture  # which takes seconds to import
    from lightning_modules.cli.piece_report import ComposedPiece, write_piece_report
    from lightning_modules.cli.rendering import PieceRenderer, read_piece

    check_options(options)
    module = open_module(options)
    composer = Composer(module)
    renderer = None
    if options.render is not None:
        player = jsonargparse.Namespace(checkpoint=options.render, device=options.device)
        renderer = PieceRenderer(open_module(player))
    with OutputFolder("compose", options) as folder:
        pieces = []
        for seed in range(options.seed, options.seed + options.num_pieces):
            path = write_notes(composer, folder, options, seed)
            played = read_piece(path)
            seconds = max(float(played.notes.offset.max()), options.seconds)
            sound = None if renderer is None else play(renderer, folder, played, options)
            title = f"seed {seed}, temperature {options.temperature:g}, top-p {options.top_p:g}"
            print(shown(folder.write_bytes(f"{NAME}.png", picture(played, seconds, title), {})))
            pieces.append(ComposedPiece(title, played, seconds, sound))
        if options.report:
            write_piece_report(folder.path, module, Path(options.checkpoint), pieces)
        folder.write_manifest(module, seed=options.seed)
        print(f"{len(folder.files)} file(s) in {shown(folder.path)}")


def check_options(options: jsonargparse.Namespace) -> None:
    """Raise an OptionError unless the numbers make sense."""
    check_limits(options)
    if options.prompt_seconds is not None and options.prompt is None:
        raise OptionError("--prompt_seconds is given without --prompt", "leave it out, or give a MIDI file")


def write_notes(
    composer: "Composer", folder: OutputFolder, options: jsonargparse.Namespace, seed: int
) -> Path:
    """Compose into a MIDI file; returns its path.

    Raises:
        OptionError: If there is no note in it.
    """
    from lightning_modules.audio.midi_sink import MidiSink
    from lightning_modules.cli.composing import progress, write_events

    prompt = []
    if options.prompt is not None:
        prompt = composer.prompt(Path(options.prompt), options.prompt_seconds)
    events = composer.events(options.seconds, seed, options.temperature, options.top_p, prompt)
    path = folder.free_path(f"{NAME}.mid")
    with progress("Composing", options.seconds) as advance, MidiSink(path) as sink:
        write_events(events, sink, advance)
        if sink.num_notes == 0:
            raise OptionError(
                f"the model drew no note in {options.seconds:g} s",
                "give more --seconds, another --seed, or train it for longer",
            )
    folder.add_file(path, {"num_notes": sink.num_notes, "prompt": options.prompt})
    print(f"{shown(path.name)}  {sink.num_notes} notes")
    return path


def play(
    renderer: "PieceRenderer", folder: OutputFolder, played: "Played", options: jsonargparse.Namespace
) -> Path:
    """Write the sound of a piece, which rings on for two seconds; returns its path."""
    from lightning_modules.cli.composing import progress
    from lightning_modules.cli.rendering import loudness

    module, ring_seconds = renderer.module, 2.0
    with (
        progress("Playing", renderer.num_samples(played, ring_seconds) / module.sample_rate) as advance,
        folder.unclipped_sink(f"{NAME}.wav", module.sample_rate, module.channels) as sink,
    ):
        renderer.write(played, sink, ring_seconds, options.gain_db, advance)
    written = folder.add(sink, {"played_by": options.render})
    print(f"{shown(written.file)}  {written.seconds:.2f} s  {loudness(sink, written)}")
    return folder.path / written.file
