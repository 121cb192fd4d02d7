"""Pass sound files through the model of a checkpoint.

  lightning reconstruct runs/vae/<id>/checkpoints/best.ckpt piano.wav "take 2.flac" --original_rate

Files of any format that libsndfile reads, of any length and rate. They are resampled to the model's rate and
come out as WAV at that rate, or at their own with --original_rate. A mono model treats each channel by
itself (--mono mixes them first); a mono file goes to both sides of a stereo model. Long files are cut into
overlapping blocks; the result is that of the whole, since the overlap is all that the model looks at.
Writes one WAV per file and manifest.json, and prints the log-mel distance and SI-SDR of each.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from lightning_modules.audio.files import AudioSource, shown
from lightning_modules.cli.arguments import OutputFolder, add_tool_arguments, check_limits, open_module
from lightning_modules.errors import AudioFileError

if TYPE_CHECKING:
    from lightning_modules.inference.reconstruction import FileReconstructor

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Which files, and in what form they come out."""
    add_tool_arguments(parser)
    parser.add_argument("files", type=str, nargs="+", help="Sound files, or folders of them.")
    parser.add_argument(
        "--original_rate", action="store_true", help="Write at the file's sample rate, not the model's."
    )
    parser.add_argument("--mono", action="store_true", help="Mix the channels of each file first.")
    parser.add_argument(
        "--block_seconds", type=float, default=20.0, help="Length of a block: what memory has to hold."
    )


def run(options: jsonargparse.Namespace) -> None:
    """Reconstruct every file that can be read.

    Raises:
        ExperimentError: If the model cannot reconstruct; or, after the others are written, if a file could
            not be used.
    """
    from lightning_modules.inference.reconstruction import FileReconstructor  # which takes seconds to import

    options.files = [str(path) for name in options.files for path in sound_files(Path(name))]
    check_limits(options)
    module = open_module(options)
    reconstructor = FileReconstructor(module, options.block_seconds)
    if reconstructor.context_samples is None:
        print("This model looks at the whole of a file: each is held in memory at once.")
    with OutputFolder("reconstruct", options) as folder:
        folder.reserved = {f"{Path(name).stem}.wav" for name in options.files}
        folder.make_each(
            module,
            options.files,
            lambda path: reconstruct_one(reconstructor, folder, path, options),
            context_samples=reconstructor.context_samples,
        )


def sound_files(path: Path) -> list[Path]:
    """The sound files in a folder, by name; a path that is no folder as it is.

    Raises:
        AudioFileError: If the folder has none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file())
    if not found:
        raise AudioFileError(
            f"{shown(path)} holds no sound files ({', '.join(SUFFIXES)})",
            "give sound files or another folder",
        )
    return found


def reconstruct_one(
    reconstructor: "FileReconstructor", folder: OutputFolder, path: Path, options: jsonargparse.Namespace
) -> str:
    """Write one file's reconstruction; returns a line about it."""
    with AudioSource(path) as source:
        rate = source.sample_rate if options.original_rate else reconstructor.module.sample_rate
        channels = reconstructor.output_channels(source, options.mono)
        with folder.sink(f"{path.stem}.wav", rate, channels) as sink:
            scores = reconstructor.write(source, sink, options.mono)
        facts = {"source_sample_rate": source.sample_rate, "source_channels": source.channels}
    written = folder.add(sink, {"source": str(path), **facts, **scores})
    distance, ratio = scores["log_mel_distance"], scores["si_sdr"]
    figures = f"log-mel distance {distance:.2f} dB  SI-SDR {ratio:.2f} dB"
    return f"{shown(written.file)}  {written.seconds:.2f} s  {figures}"
