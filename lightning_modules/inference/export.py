"""Models as files for other programs: torch.export (.pt2) and ONNX, checked against the model itself."""

import importlib.util
import io
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from lightning_modules.base import GenerativeModule
from lightning_modules.errors import ExportError
from lightning_modules.inference.export_graph import EXAMPLE_FRAMES, Part, pruned

TOLERANCE = 1e-4
"""Largest difference from the model itself, 1 = full scale."""
METADATA_NAME = "metadata.json"
LEAST_FRAMES, MOST_FRAMES = (1, 2, 8), 1 << 20
"""Frames of a clip, the first that a graph takes. Two of audio, since torch makes a special case of one; a
spectrogram, which reflects some at each end, needs more."""
PIP = 'pip install -e ".[export]"'


class Program(NamedTuple):
    """A graph.

    Attributes:
        graph: What torch.export made.
        least_frames: Smallest length that it takes, in frames.
    """

    graph: ExportedProgram
    least_frames: int


class Speed(NamedTuple):
    """How fast something is.

    Attributes:
        name: Of the quantity.
        unit: For tables.
        measure: Gives it for a function that does what the graph does.
    """

    name: str
    unit: str
    measure: Callable[[Callable[..., Any]], float]


class ExportedFile(NamedTuple):
    """One file, checked.

    Attributes:
        name: Of the file.
        content: Its bytes.
        difference: Largest difference from the model on fresh inputs.
        speed: What is measured of it.
        eager: That, of the model.
        exported: The same of the file.
    """

    name: str
    content: bytes
    difference: float
    speed: Speed
    eager: float
    exported: float


def exported_program(part: Part) -> Program:
    """The graph of a part, for any number of clips and any length from the smallest of `LEAST_FRAMES` it can.

    Raises:
        ExportError: If it has none, with torch's reason.
    """
    example = part.example(2, EXAMPLE_FRAMES, 0)
    module = pruned(part)
    for least in LEAST_FRAMES[0 if part.unit == 1 else 1 :]:
        length = part.unit * Dim("frames", min=least, max=MOST_FRAMES)
        try:
            graph = torch.export.export(module, (example,), dynamic_shapes=({0: Dim.DYNAMIC, 2: length},))
            graph.module()(part.example(1, least, 0))
        except Exception as error:  # torch raises many kinds
            reason = reason_of(error)
            continue
        return Program(graph, least)
    raise ExportError(
        f"The {part.name} of this model does not export for lengths that vary: {reason}",
        "use a model of other networks",
    )


def reason_of(error: BaseException) -> str:
    """The cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def as_pt2(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """The file that `torch.export.load` opens, with its metadata beside the graph."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA_NAME: json.dumps(metadata)})
    return buffer.getvalue()


def run_pt2(content: bytes) -> Callable[..., Any]:
    """A function that runs such a file."""
    return torch.export.load(io.BytesIO(content)).module()


def as_onnx(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """An ONNX model, with its metadata as properties.

    Raises:
        ExportError: If the packages for it are missing, or it has an operation that ONNX lacks.
    """
    _require("onnx", "onnxscript")
    try:
        converted = torch.onnx.export(program, (), dynamo=True, verbose=False)
    except Exception as error:  # torch raises many kinds
        raise ExportError(
            f"This model does not convert to ONNX: {reason_of(error)}", "use --format pt2"
        ) from error
    assert converted is not None  # with no file name given, the program is returned
    converted.model.metadata_props.update(metadata)
    return converted.model_proto.SerializeToString()


def run_onnx(content: bytes) -> Callable[..., Any]:
    """A function that runs such a model with ONNX Runtime on the CPU.

    Raises:
        ExportError: If ONNX Runtime is missing.
    """
    _require("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*values: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = {name: value.numpy() for name, value in zip(names, values, strict=True)}
        made = tuple(map(torch.from_numpy, session.run(None, given)))
        return made[0] if len(made) == 1 else made

    return run


def _require(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ExportError(f"ONNX needs the package {package}, which is missing", PIP)


FORMATS = {"pt2": (as_pt2, run_pt2), "onnx": (as_onnx, run_onnx)}


def description(model: GenerativeModule, part: Part, least_frames: int) -> dict[str, str]:
    """The metadata of a file, as text."""
    length = "any length" if part.unit == 1 else f"T a multiple of {part.unit}"
    return {
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "part": part.name,
        "sample_rate": str(model.sample_rate),
        "channels": str(model.channels),
        "latent_hop_samples": str(model.latent_hop_samples),
        "input": f"{part.input_name}, float32, {part.module.forward.__doc__} {length}",
        "length_multiple_of": str(part.unit),
        "least_length": str(part.unit * least_frames),
        "torch": torch.__version__,
    }


@torch.no_grad()
def export_part(model: GenerativeModule, part: Part, formats: list[str]) -> list[ExportedFile]:
    """Export one part to some of `FORMATS`, and check each file against the model.

    Raises:
        ExportError: If that fails, or the file's output differs by more than `TOLERANCE`.
    """
    program = exported_program(part)
    metadata = description(model, part, program.least_frames)
    return checked_files(
        part.name,
        program.graph,
        metadata,
        formats,
        part.module,
        lambda function: largest_difference(part, function, program.least_frames),
        Speed("real_time_factor", "x real time", lambda function: real_time_factor(model, part, function)),
    )


def checked_files(
    name: str,
    graph: ExportedProgram,
    metadata: Mapping[str, str],
    formats: list[str],
    eager: Callable[..., Any],
    difference: Callable[[Callable[..., Any]], float],
    speed: Speed,
) -> list[ExportedFile]:
    """A graph as files, each of which is opened again and compared with the model.

    Args:
        name: Of the files, without the format.
        graph: What they hold.
        metadata: What they say of themselves.
        formats: Some of `FORMATS`.
        eager: The model's own function.
        difference: Largest one between the model's function and another.
        speed: To be measured of both.

    Raises:
        ExportError: If a file's output differs by more than `TOLERANCE`.
    """
    files = []
    for kind in formats:
        write, load = FORMATS[kind]
        content = write(graph, metadata)
        function = load(content)
        found = difference(function)
        if not found <= TOLERANCE:
            raise ExportError(
                f"{name}.{kind} differs from the model by {found:.2g}, more than {TOLERANCE:g}",
                "choose another --format; nothing was written",
            )
        speeds = (speed.measure(each) for each in (eager, function))
        files.append(ExportedFile(f"{name}.{kind}", content, found, speed, *speeds))
    return files


def largest_difference(part: Part, function: Callable[[Tensor], Tensor], least_frames: int = 1) -> float:
    """Between a part and what was made of it, on fresh inputs of several sizes; NaN where a shape differs."""
    worst = 0.0
    sizes = ((1, least_frames), (1, EXAMPLE_FRAMES + 3), (3, 2 * EXAMPLE_FRAMES + 1))
    for seed, (batch, frames) in enumerate(sizes, 1):
        value = part.example(batch, frames, seed)
        wanted, found = part.module(value), function(value)
        if found.shape != wanted.shape:
            return math.nan
        worst = max(worst, float((found - wanted).abs().nan_to_num(math.inf).max()))
    return worst


def real_time_factor(model: GenerativeModule, part: Part, function: Callable[[Tensor], Tensor]) -> float:
    """Seconds of audio per second of work, best of three runs after a first one, on eight seconds."""
    frames = max(round(8.0 * model.sample_rate / model.latent_hop_samples), 8)
    value = part.example(1, frames, 9)
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        function(value)
        times.append(time.perf_counter() - begin)
    return frames * model.latent_hop_samples / model.sample_rate / min(times[1:])
