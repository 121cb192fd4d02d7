"""Turn the model of a checkpoint into files for other programs: torch.export and ONNX.

  lightning export runs/vae/<id>/checkpoints/best.ckpt --format pt2 onnx

Writes `reconstruct` (waveform to waveform), `encoder` (waveform to latents) and `decoder` (latents to
waveform), as far as the model has them, for any number of clips and any length of whole latent frames (others
are refused; the metadata in each file says how many samples that is). Each file is run and compared with the
model; if one differs by more than 1e-4, nothing is written. A .pt2 opens with `torch.export.load` alone,
without this package; ONNX needs `pip install -e ".[export]"`.

Of a model of notes it writes `step`: a token, and keys and values of those before, to scores of the next one.
"""

from typing import Literal

import jsonargparse

from lightning_modules.audio.files import shown
from lightning_modules.cli.arguments import OutputFolder, add_tool_arguments, open_module


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Which formats."""
    add_tool_arguments(parser)
    parser.add_argument(
        "--format",
        type=Literal["pt2", "onnx"],
        nargs="+",
        default=["pt2"],
        help="One or both; graphs are made and checked on the CPU, whatever --device says.",
    )


def run(options: jsonargparse.Namespace) -> None:
    """Export, check, write.

    Raises:
        ExperimentError: If the model cannot be exported, or what was exported is not the same.
    """
    from lightning_modules.inference.export import export_part  # which takes seconds to import
    from lightning_modules.inference.export_graph import parts_of
    from lightning_modules.inference.export_step import export_step
    from lightning_modules.networks.note_transformer import NoteTransformer

    options.device = "cpu"
    module = open_module(options)
    formats = list(dict.fromkeys(options.format))
    network = getattr(module, "network", None)
    if isinstance(network, NoteTransformer):
        about = {"model": f"{type(module).__module__}.{type(module).__qualname__}", "part": "step"}
        files, speed, unit = export_step(network, formats, about), "steps_per_second", "steps/s"
    else:
        files = [file for part in parts_of(module) for file in export_part(module, part, formats)]
        speed, unit = "real_time_factor", "x real time"
    with OutputFolder("export", options) as folder:
        print(f"{'file':<18}{'difference':>12}{unit:>14}{'the model':>12}")
        for file in files:
            facts = {
                "difference": file.difference,
                speed: file.real_time_factor,
                f"eager_{speed}": file.eager_real_time_factor,
            }
            folder.write_bytes(file.name, file.content, facts)
            speeds = f"{file.real_time_factor:>14.0f}{file.eager_real_time_factor:>12.0f}"
            print(f"{file.name:<18}{file.difference:>12.1e}{speeds}")
        folder.write_manifest(module)
        print(f"{len(files)} file(s) in {shown(folder.path)}")
