"""Go from one sound to another through the latents of a checkpoint's model.

  lightning interpolate runs/vae/<id>/checkpoints/best.ckpt first.wav second.wav --steps 8
  lightning interpolate runs/wavegan/<id>/checkpoints/best.ckpt 1 2 --joined

Each end is a sound file or a whole number, the seed of a draw (the first clip of `lightning generate` with
that --seed); a file whose name is a number is ./NAME. Of two lengths the shorter counts. Files are mixed to
the model's channels. Writes `step_00.wav` … and manifest.json.
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
    """The ends, and the way between them."""
    add_tool_arguments(parser)
    parser.add_argument("first", type=str, help="Seed or sound file to start from.")
    parser.add_argument("second", type=str, help="Seed or sound file to arrive at.")
    parser.add_argument(
        "--steps", type=int, default=8, help="Number of clips, both ends included; 2 or more."
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help="Length of each; by default that of the files, or the model's training length.",
    )
    parser.add_argument(
        "--path",
        choices=["auto", "linear", "spherical"],
        default="auto",
        help="Straight, or along the sphere that Gaussian latents lie near; auto asks the model.",
    )
    add_density_argument(parser)
    parser.add_argument("--temperature", type=float, default=1.0, help="Scale of the noise of drawn ends.")
    parser.add_argument(
        "--joined", action="store_true", help="Write all steps end to end as joined.wav, too."
    )


def run(options: jsonargparse.Namespace) -> None:
    """Write the steps.

    Raises:
        ExperimentError: If the options make no sense, or the model cannot do what they ask for.
    """
    from lightning_modules.inference.interpolation import interpolate  # which takes seconds to import

    check_limits(options)
    module = open_module(options)
    num_samples = None if options.seconds is None else num_samples_of(options.seconds, module)
    spherical = None if options.path == "auto" else options.path == "spherical"
    ends = (options.first, options.second)
    clips = interpolate(module, ends, options.steps, num_samples, spherical, options.temperature)
    first = next(clips)  # what cannot be done is said before there is a folder
    with OutputFolder("interpolate", options) as folder:
        written = []
        for index, (weight, clip) in enumerate(itertools.chain([first], clips)):
            written.append(clip.numpy())
            name = f"step_{index:02d}.wav"
            print(folder.write_clip(name, written[-1], module.sample_rate, {"weight": weight}).file)
        if options.joined:
            with folder.sink("joined.wav", module.sample_rate, module.channels) as sink:
                for each in written:
                    sink.write(each)
            folder.add(sink, {})
        path = "spherical" if (module.latent_is_gaussian if spherical is None else spherical) else "linear"
        folder.write_manifest(module, path=path)
        print(f"{len(written)} step(s), {path}, in {shown(folder.path)}")
