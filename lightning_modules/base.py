"""The contract between generative models and everything around them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer

from lightning_modules.audio.notes import NoteList
from lightning_modules.checkpoints.allocation import allocation_allowed
from lightning_modules.checkpoints.description import check_fits, check_weights, describe_module, instantiate
from lightning_modules.checkpoints.file import KEY, read_checkpoint
from lightning_modules.distributions.priors import Prior


class WaveformBatch(Protocol):
    """What a data module's batch must offer a model.

    Attributes:
        waveform: (B, C, T) float32 in [-1, 1], on the module's device.
        performance: (B,) int64, which performance each clip comes from.
        start_sample: (B,) int64, first sample of each clip within its performance.
    """

    @property
    def waveform(self) -> Tensor: ...  # noqa: D102
    @property
    def performance(self) -> Tensor: ...  # noqa: D102
    @property
    def start_sample(self) -> Tensor: ...  # noqa: D102


@runtime_checkable
class NoteSource(Protocol):
    """What a data module that knows which notes were played offers beside its batches."""

    def notes(self, performance: int, start_sample: int, num_samples: int) -> NoteList | None:
        """The notes whose keys are down within a clip, or None if they are not known.

        Args:
            performance: As in `WaveformBatch.performance`.
            start_sample: As in `WaveformBatch.start_sample`.
            num_samples: Length T of the clip in samples.
        """


class GenerativeModule(pl.LightningModule, ABC):
    """A LightningModule that makes piano sound.

    Callbacks, metrics, export and tools rely on these members alone and never ask for the concrete class.

    Args:
        sample_rate: Rate of the audio the model reads and writes, in Hz.
        clip_samples: Length of the clips it is trained on, in samples.
        channels: Audio channels C.
    """

    can_reconstruct: bool = False
    """Whether `reconstruct` is implemented, by the class or by this instance of it."""

    can_sample: bool = True
    """Whether `sample` works; not for an instance that makes audio from other audio alone, as a vocoder."""

    can_interpolate: bool = False
    """Whether audio comes from latents that `decode_latent` takes; see `LatentModule`."""

    latent_is_gaussian: bool = False
    """Whether latents are drawn from about N(0, I): interpolation then follows the sphere they lie near."""

    latent_hop_samples: int = 1
    """Samples per latent frame, counted from the first sample: audio may be cut at its multiples."""

    differentiated_twice: tuple[str, ...] = ()
    """Parts whose gradient is itself differentiated in training, which a compiled graph cannot be."""

    has_posterior: bool = False
    """Whether latents have a posterior and a prior: `draw_posterior`, `latent_prior`, `replace_prior`."""

    gradient_norm: Tensor | None = None
    """Norm of the gradients of the optimiser that is about to step, if a callback knows it: a scalar."""

    trained_steps: int | None = None
    """Optimiser steps that the weights had been trained for when they were opened from a checkpoint."""

    def __init__(self, sample_rate: int, clip_samples: int, channels: int = 1) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.clip_samples = clip_samples
        self.channels = channels
        self._checked_description: dict[str, Any] | None = None

    @abstractmethod
    def sample(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Generate audio from nothing.

        Args:
            num_clips: Number of clips N.
            num_samples: Length T of each in samples; the training clip length by default.
            temperature: Scale of the latent noise; below 1 is more typical, above 1 more varied.

        Returns:
            (N, C, T) float32 in [-1, 1], on the module's device.
        """

    def reconstruct(self, waveform: Tensor) -> Tensor:
        """Encode and decode `waveform` without sampling noise.

        Args:
            waveform: (B, C, T) float32 in [-1, 1], any T >= 1.

        Returns:
            (B, C, T) float32.

        Raises:
            NotImplementedError: If `can_reconstruct` is False.
        """
        raise NotImplementedError(f"{type(self).__name__} does not encode audio: it has no reconstruct()")

    def draw_latent(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Draw the latents of clips; arguments as for `sample`.

        Returns:
            (N, Z, L), L = ceil(T / latent_hop_samples).
        """
        raise NotImplementedError(f"{type(self).__name__} draws no latents")

    def encode_latent(self, waveform: Tensor) -> Tensor:
        """Latents (B, Z, L) that `waveform` (B, C, T) is reconstructed from, without noise."""
        raise NotImplementedError(f"{type(self).__name__} does not encode audio")

    def decode_latent(self, latent: Tensor, num_samples: int | None = None) -> Tensor:
        """Audio (B, C, T) in [-1, 1] from latents (B, Z, L), cut to `num_samples` if given."""
        raise NotImplementedError(f"{type(self).__name__} decodes no latents")

    def draw_posterior(self, waveform: Tensor) -> Tensor:
        """Draw latents (B, Z, L) from the posterior of `waveform` (B, C, T)."""
        raise NotImplementedError(f"{type(self).__name__} has no posterior")

    def latent_prior(self) -> Prior:
        """What latents are drawn from by `sample`."""
        raise NotImplementedError(f"{type(self).__name__} has no prior")

    def replace_prior(self, prior: Prior) -> None:
        """Put another density of the same latents in its place."""
        raise NotImplementedError(f"{type(self).__name__} has no prior")

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, but do not compute a norm that is known."""
        norm, self.gradient_norm = self.gradient_norm, None
        if norm is None or not gradient_clip_val or gradient_clip_algorithm not in (None, "norm"):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            clip_grads_with_norm_(parameters, float(gradient_clip_val), norm)

    @property
    def is_logging_step(self) -> bool:
        """Whether this training step's figures are written, every `trainer.log_every_n_steps` of them.

        Others need none: Lightning takes about half a millisecond for each figure that is given to `log`.
        """
        return self._trainer is None or self._trainer._logger_connector.should_update_logs

    def log_evaluation(self, figures: Mapping[str, Tensor], num_clips: int) -> None:
        """Log means of an evaluation batch, for the mean over all clips of all devices.

        Args:
            figures: Scalars, means over the batch's clips.
            num_clips: Clips in the batch of this device.
        """
        # Lightning takes the mean of the devices' clip counts in whole numbers: (5 + 4) / 2 = 4, which makes
        # every figure 12% too large; of multiples of the number of devices it is exact
        weight = num_clips * (self._trainer.world_size if self._trainer is not None else 1)
        self.log_dict(figures, on_step=False, on_epoch=True, batch_size=weight, sync_dist=True)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's opens those of one class alone
        cls, path: str | Path, map_location: str | torch.device = "cpu", trust: Collection[str] = ()
    ) -> Self:
        """Open any checkpoint of any model from its path alone.

        Args:
            path: A checkpoint that this program wrote.
            map_location: Device of the weights.
            trust: Packages whose classes may be built beside the program's own and that of this class.

        Returns:
            The module, of the class that the checkpoint names, in evaluation mode.

        Raises:
            CheckpointError: If `path` is missing, truncated, no checkpoint, one of another program or of
                another kind of model than this class, one that holds pickled objects, or does not fit the
                classes of this version.
        """
        checkpoint = read_checkpoint(path, map_location)
        content = checkpoint[KEY]
        weights = checkpoint["state_dict"]
        package = cls.__module__.partition(".")[0]
        module = instantiate(
            content["module"], cls, f"model of {path}", (package, *trust), allocation_allowed(weights)
        )
        check_weights(module, weights, content["module"], str(path))
        module.load_state_dict(weights)
        module.trained_steps = checkpoint.get("global_step")
        return module.to(map_location).eval()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the checkpoint describe itself: class, arguments, sample rate, clip length, data identity.

        Raises:
            CheckpointError: If this module, or a role object in it, does not keep its constructor arguments
                as attributes of the same names.
        """
        checkpoint[KEY] = describe_module(self, GenerativeModule)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another class, or of audio of another kind.

        Raises:
            CheckpointError: Naming what differs.
        """
        check_fits(self, checkpoint)


class LatentModule(GenerativeModule):
    """A GenerativeModule whose audio comes from latents: implement `decode_latent`, and the others it can.

    `sample` needs `draw_latent`; `reconstruct` needs `encode_latent` and `can_reconstruct`.
    """

    can_interpolate = True

    def sample(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Decode drawn latents; see `GenerativeModule.sample`."""
        num_samples = self.clip_samples if num_samples is None else num_samples
        return self.decode_latent(self.draw_latent(num_clips, num_samples, temperature), num_samples)

    def reconstruct(self, waveform: Tensor) -> Tensor:
        """Decode the latents of `waveform`; see `GenerativeModule.reconstruct`."""
        if not self.can_reconstruct:
            return super().reconstruct(waveform)
        return self.decode_latent(self.encode_latent(waveform), waveform.shape[-1])


load_module = GenerativeModule.load_from_checkpoint
"""Open any checkpoint of any model from its path alone."""
