"""Options that the tool verbs share: a checkpoint's model, and a folder of WAV files with their manifest.

Torch and Lightning are imported inside functions: help, and mistakes in the command line, are quick.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonargparse
from numpy.typing import NDArray

from datamodules.files import whole_file
from lightning_modules.audio.files import AudioSink, UnclippedAudioSink, WrittenAudio, shown
from lightning_modules.errors import AudioFileError, OptionError, RunError
from lightning_modules.runs.folder import checkpoint_in, free_path, new_folder, run_of_checkpoint

if TYPE_CHECKING:
    from lightning_modules.base import GenerativeModule

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 1


class Limits(NamedTuple):
    """What an option's number may be."""

    least: float
    most: float
    exclusive: bool = False
    """Whether it must be more than `least`."""


HOUR, DAY = 3600, 86_400
LIMITS = {
    "block_seconds": Limits(0, DAY, exclusive=True),
    "count": Limits(1, 1_000_000),
    "epochs": Limits(1, 1000),
    "gain_db": Limits(-100, 100),
    "max_failures": Limits(1, 1_000_000),
    "num_clips": Limits(1, 1_000_000),
    "num_pieces": Limits(1, 1_000_000),
    "prompt_seconds": Limits(0, DAY, exclusive=True),
    "ring_seconds": Limits(0, HOUR),
    "seconds": Limits(0, DAY, exclusive=True),
    "seed": Limits(0, 2**63 - 1),
    "steps": Limits(2, 10_000),
    "temperature": Limits(0, 100),
    "tempo": Limits(0.05, 20),
    "top_p": Limits(0, 1, exclusive=True),
    "transpose": Limits(-127, 127),
    "truncation": Limits(0, 100, exclusive=True),
    "velocity_exponent": Limits(0, 100, exclusive=True),
}
"""By the name of an option, which means the same in every verb that has it."""
LONGEST_STEM = 200
"""Bytes of a file's name without its ending: file systems allow 255, and endings are added."""


def add_tool_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Where the model comes from, where it runs, where the results go."""
    parser.add_argument(
        "checkpoint",
        type=str,
        help="A checkpoint that `lightning fit` wrote, or a run's folder: its best; or a folder that "
        "`lightning export --format safetensors` wrote.",
    )
    parser.add_argument(
        "--output",
        type=str,
        help="Folder for the results; if it exists, the next free of FOLDER-2, FOLDER-3 … By default named "
        "after the verb, in the run folder of the checkpoint, or in the working folder if it lies in none.",
    )
    parser.add_argument(
        "--device", type=str, default="auto", help="cpu, cuda, cuda:1 …; auto takes a GPU if there is one."
    )


def add_density_argument(parser: jsonargparse.ArgumentParser) -> None:
    """For verbs that draw samples."""
    parser.add_argument(
        "--density",
        type=str | None,
        help="Draw latents from the density in this file, made by `lightning fit_density`.",
    )


def open_module(options: jsonargparse.Namespace) -> "GenerativeModule":
    """The model of `options.checkpoint` on `options.device`, in evaluation mode, its weights frozen.

    Raises:
        CheckpointError: If the checkpoint cannot be opened or trusted.
        OptionError: If there is no such device.
    """
    import torch

    from lightning_modules import load_module

    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except Exception as error:  # what torch raises depends on the device that is not there
        reason = re.split(r"\n|(?<=\w)\. ", str(error), maxsplit=1)[0]
        raise OptionError(f"--device {name} cannot be used ({reason})", "use cpu, or leave it out") from error
    options.checkpoint = str(checkpoint_in(Path(options.checkpoint)))
    module = load_module(options.checkpoint, device).requires_grad_(False)
    if getattr(options, "density", None) is not None:
        from lightning_modules.inference.density import use_density

        use_density(module, options.density)
    return module


def check_limits(options: jsonargparse.Namespace) -> None:
    """Raise an OptionError unless every number in a verb's options is within its `LIMITS`."""
    for name, limits in LIMITS.items():
        check_number(name, getattr(options, name, None), limits)


def check_number(name: str, value: float | None, limits: Limits) -> None:
    """Raise an OptionError unless an option's number, if it is given, is within limits."""
    least, most, exclusive = limits
    # not the other way round: no comparison with what is no number holds
    if value is not None and not (least <= value <= most and not (exclusive and value == least)):
        shortest = f"{least:g}" if isinstance(least, float) else least
        raise OptionError(
            f"--{name} is {value}",
            f"give {'more than' if exclusive else 'at least'} {shortest}, and at most {most}",
        )


def num_samples_of(seconds: float | None, module: "GenerativeModule") -> int:
    """Length in samples of `--seconds`; the training clip's if None.

    Raises:
        OptionError: If that is less than one sample, or more than memory holds of a model's layers.
    """
    if seconds is None:
        return module.clip_samples
    check_number("seconds", seconds, Limits(1.0 / module.sample_rate, HOUR))
    return round(seconds * module.sample_rate)


class OutputFolder:
    """A new folder for what a verb writes, as a context; the manifest, written last, ends it.

    If an error ends the verb before anything was made, the folder is removed.

    Args:
        verb: Its name.
        options: All its options, for the manifest.

    Attributes:
        path: The folder.
        reserved: Names that are given to nothing else than what asks for them.

    Raises:
        RunError: If it cannot be made.
    """

    def __init__(self, verb: str, options: jsonargparse.Namespace) -> None:
        self.verb = verb
        self.options = options.as_dict()
        self.files: list[dict[str, Any]] = []
        self.reserved: set[str] = set()
        run = run_of_checkpoint(Path(options.checkpoint))
        wanted = Path(options.output).expanduser() if options.output else (run or Path()) / verb
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            self.path = new_folder(wanted)
        except OSError as error:
            raise RunError(
                f"Cannot make the folder {shown(wanted)} ({error.strerror})",
                "give a folder that you may write to with --output",
            ) from error

    def __enter__(self) -> "OutputFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self.files:
            with suppress(OSError):  # which would hide what happened
                (self.path / MANIFEST_NAME).unlink(missing_ok=True)
                self.path.rmdir()

    def sink(self, name: str, sample_rate: int, channels: int) -> AudioSink:
        """Start a WAV file under a name like `name` that is not taken yet; a long name is shortened."""
        return AudioSink(self.free_path(name), sample_rate, channels)

    def unclipped_sink(self, name: str, sample_rate: int, channels: int) -> UnclippedAudioSink:
        """The same for a sound that is turned down where it is too loud."""
        return UnclippedAudioSink(self.free_path(name), sample_rate, channels)

    def free_path(self, name: str) -> Path:
        """One like `name` that is not taken yet; a long name is shortened."""
        stem, suffix = Path(name).stem, Path(name).suffix
        if len(os.fsencode(stem)) > LONGEST_STEM:
            stem = os.fsencode(stem)[:LONGEST_STEM].decode("utf-8", "ignore")  # between two characters
        return free_path(self.path / f"{stem}{suffix}", self.reserved)

    def write_clip(
        self, name: str, waveform: NDArray[Any], sample_rate: int, facts: Mapping[str, Any]
    ) -> WrittenAudio:
        """Write (C, T) as a WAV file and note it in the manifest, with further facts about it."""
        with self.sink(name, sample_rate, len(waveform)) as sink:
            sink.write(waveform)
        return self.add(sink, facts)

    def add(self, sink: AudioSink, facts: Mapping[str, Any]) -> WrittenAudio:
        """Note a finished file in the manifest."""
        written = sink.written()
        self.files.append({**written._asdict(), **sink.facts, **facts})
        return written

    def write_bytes(self, name: str, content: bytes, facts: Mapping[str, Any]) -> str:
        """Write any file, whole or not at all, and note it in the manifest.

        Returns:
            Its name: one like `name` that is not taken yet; a long name is shortened.
        """
        path = self.free_path(name)
        with whole_file(path) as part:
            part.write_bytes(content)
        self.add_file(path, facts)
        return path.name

    def add_file(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Note any finished file in the manifest."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        self.files.append({"file": path.name, "num_bytes": size, "sha256": digest, **facts})

    def make_each(
        self,
        module: "GenerativeModule",
        files: Sequence[str],
        make: Callable[[Path], str],
        **facts: Any,  # noqa: ANN401 (JSON)
    ) -> None:
        """Make something of each input file that can be used, then write the manifest.

        Args:
            module: What makes it.
            files: Paths.
            make: Writes what is made of one file, and returns a line about it.
            facts: More for the manifest.

        Raises:
            AudioFileError: After the others were written, of all files that could not be used.
        """
        failures: dict[str, AudioFileError] = {}
        for name in files:
            try:
                print(make(Path(name)))
            except AudioFileError as error:
                failures[name] = error
                print(f"{shown(name)}  FAILED")
        failed = [{"source": name, "problem": error.problem} for name, error in failures.items()]
        self.write_manifest(module, **facts, failed=failed)
        if self.files:
            print(f"{len(self.files)} of {len(files)} file(s) in {shown(self.path)}")
        if failures:
            raise AudioFileError(
                "\n".join(error.problem for error in failures.values()),
                "; ".join(dict.fromkeys(error.remedy for error in failures.values())),
            )

    def write_manifest(self, module: "GenerativeModule", **facts: Any) -> None:  # noqa: ANN401 (JSON)
        """Write what was made, from which model, with which options."""
        content = {
            "format": MANIFEST_FORMAT,
            "verb": self.verb,
            "checkpoint": str(self.options["checkpoint"]),
            "model": f"{type(module).__module__}.{type(module).__qualname__}",
            "step": module.trained_steps,
            "sample_rate": module.sample_rate,
            "device": str(module.device),
            "options": self.options,
            **facts,
            "files": self.files,
        }
        with whole_file(self.path / MANIFEST_NAME) as part:
            part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
