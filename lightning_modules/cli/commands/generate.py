"""Make audio from nothing with the model of a checkpoint.

  lightning generate runs/vae/<id>/checkpoints/best.ckpt --num_clips 4 --seconds 10

Writes `clip_0000.wav` … and manifest.json. A clip depends on the seed and its number alone: the first four of
a hundred are those that `--num_clips 4` gives (on the same kind of device).
"""

import itertools

import jsonargparse

from lightning_modules.audio.files import shown
from lightning_modules.cli.arguments import (
    OutputFolder,
    add_density_argument,
    add_tool_arguments,
    check_limits,
    num_samples_of,
    open_module,
)


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Options of the model, of the clips and of the draw."""
    add_tool_arguments(parser)
    parser.add_argument("--num_clips", type=int, default=4, help="How many clips.")
    parser.add_argument(
        "--seconds", type=float, help="Length of each; the length that the model was trained on by default."
    )
    parser.add_argument("--seed", type=int, default=0, help="Another seed, other clips; 0 or more.")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="Scale of the latent noise: below 1 is more typical, above 1 more varied. For a model with "
        "uniform noise, a temperature below 1 is a truncation.",
    )
    add_density_argument(parser)
    parser.add_argument(
        "--truncation",
        type=float,
        help="Largest absolute value of normal latent noise, in standard deviations, before the temperature.",
    )


def run(options: jsonargparse.Namespace) -> None:
    """Draw the clips and write them.

    Raises:
        ExperimentError: If the options make no sense, or the model cannot do what they ask for.
    """
    from lightning_modules.inference.sampling import drawn_clips  # which takes seconds to import

    check_limits(options)
    module = open_module(options)
    num_samples = num_samples_of(options.seconds, module)
    clips = drawn_clips(
        module, options.num_clips, num_samples, options.seed, options.temperature, options.truncation
    )
    first = next(clips)  # a model that cannot do it says so before there is a folder
    with OutputFolder("generate", options) as folder:
        for index, clip in enumerate(itertools.chain([first], clips)):
            written = folder.write_clip(
                f"clip_{index:04d}.wav", clip.numpy(), module.sample_rate, {"index": index}
            )
            print(f"{written.file}  {written.seconds:.2f} s  peak {written.peak:.3f}  rms {written.rms:.4f}")
        folder.write_manifest(module, seed=options.seed)
        print(f"{len(folder.files)} clip(s) in {shown(folder.path)}")
