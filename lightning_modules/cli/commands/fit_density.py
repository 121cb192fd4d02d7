"""Fit a density to the latents of a checkpoint, to sample from instead of its prior.

  lightning fit_density runs/vae/<id>/checkpoints/best.ckpt
  lightning fit_density runs/vae/<id>/checkpoints/best.ckpt --estimator AutoregressiveFit

Encoder and decoder stay as they are. The density is fitted to the training split of the run's own data,
compared with the prior on its validation split, and written beside the checkpoint as `best.density.npz`.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from lightning_modules.cli.arguments import check_limits
from lightning_modules.errors import OptionError
from lightning_modules.runs.folder import checkpoint_in, free_path

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from torch import Tensor

    from lightning_modules.distributions.priors import HasPrior
    from lightning_modules.inference.density import DensityEstimator

SAY_EVERY_SECONDS = 5.0


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Which checkpoint, and how."""
    from lightning_modules.inference.density import DensityEstimator

    parser.add_argument(
        "checkpoint",
        type=str,
        help="A checkpoint in the run folder that it was written to, or that folder: its best.",
    )
    parser.add_argument(
        "--estimator",
        type=DensityEstimator,
        default={"class_path": "lightning_modules.inference.density.ExpectationMaximisation"},
        help="ExpectationMaximisation (a Gaussian mixture, its size chosen by BIC) or AutoregressiveFit.",
    )
    parser.add_argument(
        "--epochs", type=int, default=4, help="Passes over the training split for its latents."
    )
    parser.add_argument("--output", type=str | None, help="File to write instead.")


def run(options: jsonargparse.Namespace) -> None:
    """Collect latents, fit, compare, write.

    Raises:
        ExperimentError: If the checkpoint has no latents, or its data is not known.
    """
    import torch

    from lightning_modules import load_module
    from lightning_modules.distributions.priors import HasPrior
    from lightning_modules.inference.density import density_path, nats_per_frame, save_density
    from lightning_modules.runs.data import data_of_run

    check_limits(options)
    checkpoint = checkpoint_in(Path(options.checkpoint))
    module = load_module(checkpoint)
    if not isinstance(module, HasPrior):
        raise OptionError(
            f"{checkpoint} holds a {type(module).__name__}, whose latents have no posterior",
            "give a checkpoint of a VAE",
        )
    data = data_of_run(checkpoint)
    data.prepare_data()
    data.setup("fit")
    torch.manual_seed(0)
    passes = []
    for number in range(1, options.epochs + 1):
        loader = data.train_dataloader()
        passes.append(
            latents(module, data, loader, f"latents of the training split, {number}/{options.epochs}")
        )
    training = torch.cat(passes)
    held_out = latents(module, data, data.val_dataloader(), "latents of the validation split")
    estimator = make_estimator(options)
    print(f"fitting by {type(estimator).__name__}", flush=True)
    density = estimator.fit(training)
    path = free_path(Path(options.output)) if options.output else density_path(checkpoint)
    save_density(density, path, checkpoint.name)
    frames = training.shape[0] * training.shape[2]
    model, fitted = shlex.quote(str(checkpoint)), shlex.quote(str(path))
    print(
        f"{type(density).__name__} fitted to {frames:,} latent frames of the training split. On the "
        f"validation split: {nats_per_frame(density, held_out):.1f} nats per frame; the prior: "
        f"{nats_per_frame(module.latent_prior(), held_out):.1f}.\n{path}\n"
        f"Listen: lightning generate {model} --density {fitted}\n"
        f"Test:   lightning test --ckpt_path {model} --density {fitted}"
    )


def make_estimator(options: jsonargparse.Namespace) -> "DensityEstimator":
    """The object that `--estimator` describes."""
    parser = jsonargparse.ArgumentParser()
    add_arguments(parser)
    return parser.instantiate(options).estimator


def latents(module: "HasPrior", data: "pl.LightningDataModule", loader: object, what: str) -> "Tensor":
    """Draws from the posteriors of one pass over a loader's clips, cut to the training length: (N, Z, L).

    Says every few seconds how far it is.
    """
    import time

    import torch

    from lightning_modules.audio.framing import cut_into_clips

    drawn, said = [], 0.0
    with torch.no_grad():
        for number, batch in enumerate(loader):  # type: ignore[arg-type, var-annotated]
            waveform = data.on_after_batch_transfer(batch, number).waveform
            drawn.append(module.draw_posterior(cut_into_clips(waveform, module.clip_samples)))
            if number == 0 or time.monotonic() - said > SAY_EVERY_SECONDS:
                said = time.monotonic()
                print(f"batch {number + 1} of {len(loader)}, {what}", flush=True)  # type: ignore[arg-type]
    return torch.cat(drawn)
