"""Densities fitted to the latents of a trained model, to sample from in place of its prior.

The prior that a VAE was trained with is seldom where its latents are: the aggregate posterior, the average
of q(z|x) over the data, leaves holes that the decoder has never seen. A density is a `Prior` fitted to draws
from it afterwards, with encoder and decoder as they are, and is kept in a file of its own beside the
checkpoint: arrays and plain text, opened without unpickling anything.
"""

import json
import warnings
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.files import whole_file
from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.allocation import allocation_allowed
from lightning_modules.checkpoints.description import describe, instantiate
from lightning_modules.checkpoints.file import check_members
from lightning_modules.checkpoints.upgrade import FORMAT, upgraded
from lightning_modules.distributions.autoregressive_prior import AutoregressivePrior
from lightning_modules.distributions.mixture_priors import GaussianMixture
from lightning_modules.distributions.priors import HasPrior, Prior
from lightning_modules.errors import CheckpointError, ExperimentError, OptionError
from lightning_modules.numerics.noise import seeded_noise

HEADER = "header"
SUFFIX = ".density.npz"


class DensityEstimator(ABC):
    """Fits a density to latents."""

    @abstractmethod
    def fit(self, latent: Tensor) -> Prior:
        """Fit.

        Args:
            latent: (N, Z, L) draws from the posteriors of training clips.

        Returns:
            The density, in evaluation mode.
        """


class ExpectationMaximisation(DensityEstimator):
    """A Gaussian mixture with diagonal covariances, fitted by EM; frames are taken as independent.

    The number of components is the power of two up to `max_components` with the least Bayesian information
    criterion (Schwarz 1978); the search ends where it rises.

    Args:
        max_components: Largest number of components tried.
        max_frames: Frames drawn from all given, for the time it takes.
        smallest_variance: Added to every variance, so that none collapses onto one frame.
        seed: Of the initial means and of the frames drawn.
    """

    def __init__(
        self,
        max_components: int = 128,
        max_frames: int = 20_000,
        smallest_variance: float = 1e-4,
        seed: int = 0,
    ) -> None:
        if max_components < 1 or max_frames < 1:
            raise OptionError(
                "ExpectationMaximisation needs max_components >= 1 and max_frames >= 1, "
                f"got max_components={max_components}, max_frames={max_frames}",
                "the defaults take about a minute",
            )
        self.max_components = max_components
        self.max_frames = max_frames
        self.smallest_variance = smallest_variance
        self.seed = seed
        self.criteria: dict[int, float] = {}
        """After a fit: components tried -> Bayesian information criterion, in nats per frame."""

    def fit(self, latent: Tensor) -> GaussianMixture:
        """See `DensityEstimator.fit`."""
        frames = latent.detach().transpose(1, 2).flatten(0, 1).cpu().double().numpy()  # (N * L, Z)
        chosen = np.random.default_rng(self.seed).permutation(len(frames))[: self.max_frames]
        frames = frames[chosen]
        best = self._least_criterion(frames)
        density = GaussianMixture(frames.shape[1], best.n_components)
        values = {
            "logits": np.log(best.weights_),
            "mean": best.means_,
            "log_variance": np.log(best.covariances_),
        }
        density.load_state_dict({name: torch.from_numpy(value).float() for name, value in values.items()})
        return density.eval().requires_grad_(False)

    def _least_criterion(self, frames: NDArray[np.float64]) -> Any:  # noqa: ANN401 (scikit-learn has no types)
        from sklearn import exceptions, mixture  # which take a second to import

        self.criteria, best, num_components = {}, None, 1
        while num_components <= min(self.max_components, len(frames)):
            candidate = mixture.GaussianMixture(
                num_components,
                covariance_type="diag",
                reg_covar=self.smallest_variance,
                random_state=self.seed,
            )
            with warnings.catch_warnings():
                # a few steps short of the last digit does not matter to the choice
                warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
                candidate.fit(frames)
            self.criteria[num_components] = candidate.bic(frames) / (2 * len(frames))
            if best is not None and self.criteria[num_components] > self.criteria[best.n_components]:
                break
            best = candidate
            num_components *= 2
        return best


class AutoregressiveFit(DensityEstimator):
    """An autoregressive density, p(z_l | z_<l), by maximum likelihood: samples hang together in time.

    Args:
        num_components: Mixture components of each conditional.
        hidden_size: Features of its network.
        steps: Optimiser steps.
        batch_size: Clips of each.
        learning_rate: At the top of a warm-up and half a cosine (AdamW).
        seed: Of initial weights and batches.
    """

    def __init__(
        self,
        num_components: int = 8,
        hidden_size: int = 128,
        steps: int = 1000,
        batch_size: int = 16,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ) -> None:
        if steps < 1:
            raise OptionError(f"AutoregressiveFit: steps is {steps}", "give at least 1")
        self.num_components = num_components
        self.hidden_size = hidden_size
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed

    def fit(self, latent: Tensor) -> AutoregressivePrior:
        """See `DensityEstimator.fit`."""
        with seeded_noise(self.seed, latent.device), torch.enable_grad():
            density = AutoregressivePrior(latent.shape[1], self.num_components, self.hidden_size)
            density.to(latent.device)
            optimizer = torch.optim.AdamW(density.parameters(), self.learning_rate)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, self.learning_rate, total_steps=self.steps + 1, pct_start=0.05
            )
            for _ in range(self.steps):
                batch = latent[torch.randint(len(latent), (self.batch_size,))]
                loss = -density.log_prob(batch).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(density.parameters(), 10.0)
                optimizer.step()
                schedule.step()
        return density.eval().requires_grad_(False)


@torch.no_grad()
def nats_per_frame(density: Prior, latent: Tensor) -> float:
    """Mean log density of latents (N, Z, L), in nats per latent frame."""
    return torch.cat([density.log_prob(part).flatten() for part in latent.split(8)]).mean().item()


class SavedDensity(NamedTuple):
    """The content of a density file.

    Attributes:
        density: In evaluation mode.
        checkpoint: Name of the checkpoint whose latents it was fitted to.
    """

    density: Prior
    checkpoint: str


def density_path(checkpoint: Path) -> Path:
    """Where a new density of a checkpoint goes: beside it, `best.density.npz` or `best-2.density.npz`."""
    path, count = checkpoint.with_name(checkpoint.stem + SUFFIX), 1
    while path.exists():
        count += 1
        path = checkpoint.with_name(f"{checkpoint.stem}-{count}{SUFFIX}")
    return path


def save_density(density: Prior, path: Path, checkpoint: str) -> None:
    """Write a density, whole or not at all.

    Args:
        density: A prior that keeps its arguments as attributes.
        path: File to write; replaced if it exists.
        checkpoint: Name of the checkpoint whose latents it was fitted to.
    """
    header = {"format": FORMAT, "checkpoint": checkpoint, "density": describe(density, "density")}
    arrays = {name: value.detach().cpu().numpy() for name, value in density.state_dict().items()}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, **{HEADER: np.array(json.dumps(header)), **arrays})


def load_density(path: str | Path) -> SavedDensity:
    """Open a density from its path alone; no code in the file is run.

    Raises:
        CheckpointError: If it is missing, damaged, or no density of this version.
    """
    if not Path(path).is_file():
        raise CheckpointError(
            f"{path} does not exist, or is no file", "make it with `lightning fit_density CHECKPOINT`"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(Path(path), archive)
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        header = json.loads(str(arrays.pop(HEADER)))
        weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
        spoilt = [name for name, weight in weights.items() if not weight.isfinite().all()]
        if spoilt:
            raise ValueError(f"{spoilt[0]} holds NaN or infinity")
    except ExperimentError:
        raise
    except Exception as error:  # whatever a damaged file makes numpy, zipfile and json raise
        raise CheckpointError(
            f"{path} is no density, or damaged ({error})",
            "make it anew with `lightning fit_density CHECKPOINT`",
        ) from error
    if not isinstance(header, dict) or not isinstance(header.get("density"), dict):
        raise CheckpointError(
            f"{path} is no density: its header says nothing of one",
            "make it anew with `lightning fit_density CHECKPOINT`",
        )
    header = upgraded(header, "density", str(path))
    density = instantiate(
        header["density"],
        Prior,  # type: ignore[type-abstract]
        f"density in {path}",
        allowed_bytes=allocation_allowed(weights),
    )
    try:
        density.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"The arrays in {path} are not those of its {type(density).__name__}",
            "make it anew with `lightning fit_density CHECKPOINT`",
        ) from error
    return SavedDensity(density.eval().requires_grad_(False), str(header.get("checkpoint")))


class DrawFromDensity(pl.Callback):
    """Lets samples that are scored or written be drawn from a density: `--density` of the Trainer's verbs.

    Args:
        path: The density's file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the prior, now that the checkpoint's weights are there."""
        self._use(pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same."""
        self._use(pl_module)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same."""
        self._use(pl_module)

    def _use(self, module: pl.LightningModule) -> None:
        assert isinstance(module, GenerativeModule)
        use_density(module, self.path)


def use_density(module: GenerativeModule, path: str | Path) -> None:
    """Let `module` draw its samples from the density in a file instead of its prior.

    Raises:
        CheckpointError: If the file cannot be opened.
        OptionError: If the density is of other latents than the module's.
    """
    density = load_density(path).density
    if not isinstance(module, HasPrior):
        raise OptionError(
            f"{path} is a density of latents, and a {type(module).__name__} has none with a posterior",
            "give a checkpoint of a VAE",
        )
    own, other = (prior.sample(1, 1).shape[1] for prior in (module.latent_prior(), density))
    if own != other:
        raise OptionError(
            f"{path} is a density of {other} latent dimensions, and the model has {own}",
            "make one for this checkpoint with `lightning fit_density CHECKPOINT`",
        )
    module.replace_prior(density)
