"""Turn the model of a checkpoint into files for other programs: torch.export, ONNX, safetensors.

  lightning export runs/vae/<id>/checkpoints/best.ckpt --format pt2 onnx
  lightning export runs/vae/<id> --format safetensors --output piano

pt2 and onnx are graphs: `reconstruct` (waveform to waveform), `encoder` (waveform to latents) and `decoder`
(latents to waveform), as far as the model has them, for any number of clips and any length of whole latent
frames (others are refused; the metadata in each file says how many samples that is). Each file is run and
compared with the model; if one differs by more than 1e-4, nothing is written. A .pt2 opens with
`torch.export.load` alone, without this package; ONNX needs `pip install -e ".[export]"`.

Of a model of notes they are `step`: a token, and keys and values of those before, to scores of the next one.

safetensors are the weights, with a description as JSON and a model card: the folder that goes to the Hugging
Face Hub, and that this package opens again (`pip install -e ".[hub]"`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import jsonargparse

from lightning_modules.audio.files import shown
from lightning_modules.cli.arguments import OutputFolder, add_tool_arguments, open_module
from lightning_modules.runs.folder import run_of_checkpoint

if TYPE_CHECKING:
    from lightning_modules.base import GenerativeModule
    from lightning_modules.inference.export import ExportedFile

SAFETENSORS = "safetensors"


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Which formats."""
    add_tool_arguments(parser)
    parser.add_argument(
        "--format",
        type=Literal["pt2", "onnx", "safetensors"],
        nargs="+",
        default=["pt2"],
        help="One or more; graphs are made and checked on the CPU, whatever --device says.",
    )


def run(options: jsonargparse.Namespace) -> None:
    """Export, check, write.

    Raises:
        ExperimentError: If the model cannot be exported, or what was exported is not the same.
    """
    options.device = "cpu"
    module = open_module(options)
    graphs = [name for name in dict.fromkeys(options.format) if name != SAFETENSORS]
    files = exported_graphs(module, graphs) if graphs else []
    with OutputFolder("export", options) as folder:
        if SAFETENSORS in options.format:
            write_pretrained(module, folder, Path(options.checkpoint))
        if files:
            write_graphs(files, folder)
        folder.write_manifest(module)
        print(f"{len(folder.files)} file(s) in {shown(folder.path)}")


def exported_graphs(module: "GenerativeModule", formats: list[str]) -> "list[ExportedFile]":
    """The graphs of all parts of a model, checked."""
    from lightning_modules.base import can_draw_tokens
    from lightning_modules.inference.export import export_part  # which takes seconds to import
    from lightning_modules.inference.export_graph import parts_of
    from lightning_modules.inference.export_step import export_step

    if can_draw_tokens(module):
        about = {"model": f"{type(module).__module__}.{type(module).__qualname__}", "part": "step"}
        return export_step(module.token_network, formats, about)
    return [file for part in parts_of(module) for file in export_part(module, part, formats)]


def write_graphs(files: "list[ExportedFile]", folder: OutputFolder) -> None:
    """Write graphs, and print how near to the model and how fast they are."""
    print(f"{'file':<18}{'difference':>12}{files[0].speed.unit:>14}{'the model':>12}")
    for file in files:
        speeds = {file.speed.name: file.exported, f"eager_{file.speed.name}": file.eager}
        folder.write_bytes(file.name, file.content, {"difference": file.difference, **speeds})
        print(f"{file.name:<18}{file.difference:>12.1e}{file.exported:>14.0f}{file.eager:>12.0f}")


def write_pretrained(module: "GenerativeModule", folder: OutputFolder, checkpoint: Path) -> None:
    """Write the model as `save_pretrained` does, with the scores of its run."""
    from lightning_modules.checkpoints.repository import NAMES

    module.save_pretrained(folder.path, run=run_of_checkpoint(checkpoint))
    for name in NAMES:
        folder.add_file(folder.path / name, {})
    print(f"open it: GenerativeModule.from_pretrained({str(folder.path)!r})")
