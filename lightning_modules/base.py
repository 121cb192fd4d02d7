"""The contract between generative models and everything around them."""

import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, TypeGuard, runtime_checkable

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.batch import Batch, NoteBatch, NoteSink
from datamodules.files import read_limited
from lightning_modules.checkpoints.allocation import allocation_allowed
from lightning_modules.checkpoints.card import model_card
from lightning_modules.checkpoints.description import check_fits, check_weights, describe_module, instantiate
from lightning_modules.checkpoints.file import KEY, read_checkpoint
from lightning_modules.checkpoints.hub import fetched, uploaded
from lightning_modules.checkpoints.repository import write_repository
from lightning_modules.errors import OptionError, RunError
from lightning_modules.numerics.nucleus import TEMPERATURE, TOP_P
from lightning_modules.runs.config import model_section
from lightning_modules.runs.experiments import experiment_file

_LARGEST_SCORES_BYTES = 2**24


class AudioModel(Protocol):
    """The members of every `GenerativeModule` that its users need beside a capability.

    Attributes:
        sample_rate: Rate of the audio the model reads and writes, in Hz.
        clip_samples: Length of the clips it is trained on, in samples.
        channels: Audio channels C.
        latent_hop_samples: Samples per latent frame, counted from the first sample: audio may be cut at its
            multiples.
    """

    sample_rate: int
    clip_samples: int
    channels: int
    latent_hop_samples: int

    @property
    def device(self) -> torch.device:
        """Where the weights are, and audio is made."""


@runtime_checkable
class Samples(AudioModel, Protocol):
    """Makes audio from nothing; see `can_sample`."""

    def sample(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Generate audio.

        Args:
            num_clips: Number of clips N.
            num_samples: Length T of each in samples; the training clip length by default.
            temperature: Scale of the latent noise; below 1 is more typical, above 1 more varied.

        Returns:
            (N, C, T) float32 in [-1, 1], on the module's device, without gradients.
        """


@runtime_checkable
class Reconstructs(AudioModel, Protocol):
    """Makes audio from other audio, which it should sound like; see `can_reconstruct`."""

    def reconstruct(self, waveform: Tensor) -> Tensor:
        """Encode and decode `waveform` without sampling noise.

        Args:
            waveform: (B, C, T) float32 in [-1, 1], any T >= 1.

        Returns:
            (B, C, T) float32, without gradients.
        """


@runtime_checkable
class HasLatents(AudioModel, Protocol):
    """Makes audio from latents; see `has_latents`.

    Attributes:
        latent_is_gaussian: Whether latents are drawn from about N(0, I): interpolation then follows the
            sphere they lie near.
    """

    latent_is_gaussian: bool

    def decode_latent(self, latent: Tensor, num_samples: int | None = None) -> Tensor:
        """Audio (B, C, T) in [-1, 1] from latents (B, Z, L), cut to `num_samples` if given."""

    def draw_latent(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Draw the latents of clips; arguments as for `Samples.sample`.

        Returns:
            (N, Z, L), L = ceil(T / latent_hop_samples).

        Raises:
            OptionError: If the model draws none; never if it can sample.
        """

    def encode_latent(self, waveform: Tensor) -> Tensor:
        """Latents (B, Z, L) that `waveform` (B, C, T) is reconstructed from, without noise.

        Raises:
            OptionError: If the model encodes nothing; never if it can reconstruct.
        """


@runtime_checkable
class RendersNotes(AudioModel, Protocol):
    """Makes audio from the notes that batches then must carry; see `renders_notes`.

    Attributes:
        reads_notes: True: data modules are to send notes along.
        render_unit_samples: A piece rendered in parts that begin at multiples of this many samples, and are
            multiples of it long, is the piece rendered whole …
        lookahead_samples: … if each part is rendered with this many samples more, which are cut off again.
    """

    reads_notes: bool
    render_unit_samples: int
    lookahead_samples: int

    def render(self, notes: NoteBatch, num_samples: int) -> Tensor:
        """Play notes.

        Args:
            notes: Of B clips.
            num_samples: Length T of the clips in samples.

        Returns:
            (B, C, T) float32, without gradients. Beyond [-1, 1] where many notes are loud: whoever writes a
            file turns the whole piece down.
        """


class MusicEvent(Protocol):
    """A note, or a pedal move, of a piece."""

    @property
    def tick(self) -> int:
        """When it begins, in ticks of the reader that it comes from."""

    def until(self, tick: int) -> Self:
        """The same, ended at a tick at the latest."""

    def write_to(self, sink: NoteSink) -> None:
        """Play it there."""


class TokenReader(Protocol):
    """Knows which tokens make sense after those that it has read, and what they mean.

    Attributes:
        tick: The time that is reached.
    """

    tick: int

    def allowed(self) -> NDArray[np.bool_]:
        """(V,) bool: tokens that may come next."""

    def read(self, token: int) -> MusicEvent | None:
        """Take a token; returns the event that is complete with it, if one is."""


@runtime_checkable
class Composes(Protocol):
    """Makes pieces of music, as notes; see `can_compose`."""

    def compose(
        self,
        reader: TokenReader,
        seconds: float,
        seed: int,
        temperature: float = TEMPERATURE,
        top_p: float = TOP_P,
        most_tokens: int | None = None,
    ) -> Iterator[MusicEvent]:
        """Draw a piece.

        Args:
            reader: Has read nothing yet, and reads what is drawn; from a `ReadsNotes`.
            seconds: Where the piece ends.
            seed: Of the draws.
            temperature: Below 1 is more typical, above 1 more varied; 0 takes the likeliest token.
            top_p: Draw from the likeliest tokens that together have this probability.
            most_tokens: The piece ends after as many at the latest.

        Returns:
            Its events in the order of their times.
        """


class TokenNetwork(Protocol):
    """Scores tokens by those before them, and remembers what it has read.

    Attributes:
        vocabulary_size: Number of tokens V.
    """

    vocabulary_size: int

    def __call__(self, tokens: Tensor, cache: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score what comes next after each token.

        Args:
            tokens: (B, S) int64.
            cache: What is remembered of the P tokens before these; None for none.

        Returns:
            Logits (B, S, V) float32, and what is remembered of P + S tokens.
        """

    def empty_cache(self, batch: int) -> Tensor:
        """What is remembered before the first token, on the network's device.

        Args:
            batch: Number of pieces B.

        Returns:
            (K, 2, B, N, 0, D), K, N and D as the network likes; the fifth grows to P.
        """


@runtime_checkable
class DrawsTokens(Protocol):
    """Draws tokens one after the other; see `can_draw_tokens`.

    Attributes:
        window_tokens: Tokens that the network hears at a time.
    """

    window_tokens: int

    @property
    def token_network(self) -> TokenNetwork:
        """What scores the next token; a Module."""


@runtime_checkable
class ReadsNotes(Protocol):
    """A data module of notes: it knows what the tokens of its batches mean."""

    def token_reader(self) -> TokenReader:
        """A reader at the beginning of a piece."""

    def note_batch(self, midi: bytes, sample_rate: int, num_samples: int) -> NoteBatch:
        """The notes of a MIDI file, as a batch of one clip of its beginning."""


def can_sample(model: object) -> TypeGuard[Samples]:
    """Whether a model makes audio from nothing."""
    return has(model, Samples)


def can_reconstruct(model: object) -> TypeGuard[Reconstructs]:
    """Whether a model makes audio from other audio."""
    return has(model, Reconstructs)


def has_latents(model: object) -> TypeGuard[HasLatents]:
    """Whether a model's audio comes from latents."""
    return has(model, HasLatents)


def renders_notes(model: object) -> TypeGuard[RendersNotes]:
    """Whether a model makes audio from notes."""
    return has(model, RendersNotes)


def can_compose(model: object) -> TypeGuard[Composes]:
    """Whether a model makes pieces of music, as notes."""
    return has(model, Composes)


def can_draw_tokens(model: object) -> TypeGuard[DrawsTokens]:
    """Whether a model draws tokens one after the other."""
    return has(model, DrawsTokens)


COMMANDS = (
    (can_sample, "generate {} --num_clips 4"),
    (can_reconstruct, "reconstruct {} piano.wav"),
    (renders_notes, "render {} piece.mid"),
    (can_draw_tokens, "compose {}"),
)
"""What the command line does with a model that can."""


def other_use(model: object) -> str:
    """What can be done with a model that cannot do what was asked of it, as the end of a sentence."""
    verbs = [f"`lightning {command.partition(' ')[0]}`" for can, command in COMMANDS if can(model)]
    return f"; this model is for {' and '.join(verbs)}" if verbs else ""


def can_resynthesise(model: object) -> bool:
    """Whether a model makes a version of its own of each clip of a batch; see `resynthesise`."""
    return can_reconstruct(model) or renders_notes(model)


def resynthesise(model: object, batch: Batch) -> Tensor:
    """The model's own version of each clip of a batch, from its notes or else from its waveform: (B, C, T).

    Raises:
        OptionError: If the model can do neither, or reads notes and the batch has none.
    """
    if renders_notes(model):
        return model.render(batch.known_notes(), batch.waveform.shape[-1]).clamp(-1.0, 1.0)
    if can_reconstruct(model):
        return model.reconstruct(batch.waveform)
    raise OptionError(
        f"{type(model).__name__} neither reconstructs nor renders notes", "use a model that does"
    )


def has(model: object, capability: type) -> bool:
    """Whether a model has all members of a Protocol and does not say that it `lacks` it nevertheless."""
    return isinstance(model, capability) and capability not in getattr(model, "lacks", ())


def is_logging_step(trainer: pl.Trainer) -> bool:
    """Whether what is logged in this training step is written, every `trainer.log_every_n_steps` of them.

    The Trainer's own test, which has no public name; a step counter would have to know how many optimisers a
    module steps per batch.
    """
    return trainer._logger_connector.should_update_logs


class GenerativeModule(pl.LightningModule):
    """A LightningModule that makes piano sound.

    What a model can do is what it implements of the Protocols above: `sample`, `reconstruct`, and so on.
    Callbacks, metrics, export and tools ask for these alone, never for the concrete class. With one of them,
    `training_step` and `configure_optimizers` a model trains, is validated, tested and listened to.

    Args:
        sample_rate: Rate of the audio the model reads and writes, in Hz.
        clip_samples: Length of the clips it is trained on, in samples.
        channels: Audio channels C.
    """

    lacks: frozenset[type] = frozenset()
    """Capabilities of the class that this instance does not have, as a vocoder's of sampling."""

    latent_hop_samples: int = 1
    """See `AudioModel`."""

    trained_steps: int | None = None
    """Optimiser steps that the weights had been trained for when they were opened from a checkpoint."""

    trained_data: dict[str, Any] | None = None
    """What they had been trained on, likewise."""

    def __init__(self, sample_rate: int, clip_samples: int, channels: int = 1) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.clip_samples = clip_samples
        self.channels = channels
        self._checked_description: dict[str, Any] | None = None

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 (Python's own signature)
        """Take the gradients from what is made for listening: training has its own ways to make audio."""
        super().__init_subclass__(**options)
        for name in ("sample", "reconstruct", "render"):
            if name in vars(cls):
                setattr(cls, name, torch.no_grad()(vars(cls)[name]))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing of its own: `callbacks.Evaluation` scores what the model makes."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing of its own, as in validation."""

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Resynthesise a batch, or else sample as many clips of its length: (B, C, T).

        Raises:
            OptionError: If the model can do neither.
        """
        if can_resynthesise(self):
            return resynthesise(self, batch)
        if can_sample(self):
            return self.sample(len(batch.waveform), batch.waveform.shape[-1])
        raise OptionError(
            f"{type(self).__name__} neither samples nor reconstructs", "give it `sample` or `reconstruct`"
        )

    def log_training(self, name: str, loss: Tensor, figures: Mapping[str, Tensor | float]) -> None:
        """Log a loss at every step, and what it consists of when that is written.

        Lightning takes about half a millisecond for each figure that is given to `log`.

        Args:
            name: Of the loss.
            loss: Scalar.
            figures: Scalars by name.
        """
        self.log(f"train/{name}", loss.detach(), prog_bar=True)
        if self._trainer is None or is_logging_step(self._trainer):
            self.log_dict({f"train/{key}": figure for key, figure in figures.items()})

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
        checkpoint = read_checkpoint(path)
        content = checkpoint[KEY]
        weights = checkpoint["state_dict"]
        package = cls.__module__.partition(".")[0]
        module = instantiate(
            content["module"], cls, f"model of {path}", (package, *trust), allocation_allowed(weights)
        )
        check_weights(module, weights, content["module"], str(path))
        module.load_state_dict(weights)
        module.trained_steps = checkpoint.get("global_step")
        module.trained_data = content.get("data")
        try:
            return module.to(map_location).eval()
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise OptionError(
                f"The device {map_location} cannot be used ({reason})", "use 'cpu', or leave it out"
            ) from error

    @classmethod
    def from_pretrained(
        cls, name: str | Path, revision: str | None = None, trust: Collection[str] = ()
    ) -> Self:
        """Open a model of the Hugging Face Hub, or of a folder; nothing that comes with it is run.

        Args:
            name: `user/name`, or a folder that `save_pretrained` wrote.
            revision: Branch, tag or commit; the newest by default.
            trust: As for `load_from_checkpoint`.

        Raises:
            CheckpointError: If it cannot be fetched, or as for `load_from_checkpoint`.
        """
        return cls.load_from_checkpoint(fetched(str(name), revision), trust=trust)

    def save_pretrained(
        self, folder: str | Path, name: str | None = None, run: str | Path | None = None
    ) -> None:
        """Write the model as a folder: weights as safetensors, description as JSON, a model card.

        Args:
            folder: Made if absent.
            name: What the card calls it; the folder's name by default.
            run: Folder of the run that it comes from, whose test scores the card shows.
        """
        content = describe_module(self, GenerativeModule)
        content["data"] = content["data"] or self.trained_data
        commands = [command for can, command in COMMANDS if can(self)]
        card = model_card(name or Path(folder).name, content, self.trained_steps, _scores_of(run), commands)
        write_repository(Path(folder), content, self.state_dict(), self.trained_steps, card)

    def push_to_hub(self, name: str, run: str | Path | None = None, private: bool = False) -> str:
        """Send the model to the Hugging Face Hub (`pip install -e ".[hub]"`).

        Args:
            name: `user/name`; made if there is none.
            run: As for `save_pretrained`.
            private: Whether only its owner sees it.

        Returns:
            The address of the commit.

        Raises:
            CheckpointError: If it cannot be sent.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, name, run)
            return uploaded(Path(folder), name, private)

    @classmethod
    def from_config(cls, path: str | Path, trust: Collection[str] = ()) -> Self:
        """Build the model of an experiment file, untrained, as `lightning fit --config` does.

        Args:
            path: E.g. `experiments/vae.yaml`; `vae` finds it from any folder.
            trust: Packages whose classes may be built beside the program's own and that of this class.

        Returns:
            The module, of the class that the file names; sample rate, clip length and channels are those of
            the file's data section.

        Raises:
            RunError: If the file cannot be read, or describes no model.
            CheckpointError: If its model cannot be built.
        """
        description = model_section(Path(experiment_file(str(path))))
        package = cls.__module__.partition(".")[0]
        return instantiate(description, cls, f"model of {path}", (package, *trust))

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


class LatentModule(GenerativeModule, ABC):
    """A GenerativeModule whose audio comes from latents: implement the methods of `HasLatents`."""

    latent_is_gaussian: bool = False
    """See `HasLatents`."""

    @abstractmethod
    def draw_latent(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """See `HasLatents.draw_latent`."""

    @abstractmethod
    def encode_latent(self, waveform: Tensor) -> Tensor:
        """See `HasLatents.encode_latent`."""

    @abstractmethod
    def decode_latent(self, latent: Tensor, num_samples: int | None = None) -> Tensor:
        """See `HasLatents.decode_latent`."""

    def sample(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Decode drawn latents; see `Samples.sample`."""
        num_samples = self.clip_samples if num_samples is None else num_samples
        return self.decode_latent(self.draw_latent(num_clips, num_samples, temperature), num_samples)

    def reconstruct(self, waveform: Tensor) -> Tensor:
        """Decode the latents of `waveform`; see `Reconstructs.reconstruct`."""
        return self.decode_latent(self.encode_latent(waveform), waveform.shape[-1])


def _scores_of(run: str | Path | None) -> list[dict[str, Any]]:
    """Test scores in a run's folder; none if it was not tested.

    Raises:
        RunError: If they are damaged.
    """
    file = Path(run or "") / "test/scores.json"
    if run is None or not file.is_file():
        return []
    try:
        scores = json.loads(read_limited(file, _LARGEST_SCORES_BYTES, follow=True))["scores"]
        if not isinstance(scores, list) or not all(map(_is_score, scores)):
            raise ValueError("no table of scores")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise RunError(
            f"{file} is damaged ({type(error).__name__}: {error})",
            "move it away to go on without scores, or run `lightning test` again",
        ) from error
    return scores


def _is_score(value: Any) -> bool:  # noqa: ANN401 (any JSON)
    """Whether a model card can show it."""
    if not isinstance(value, dict):
        return False
    texts = [value.get("name"), value.get("of"), value.get("better", ""), value.get("unit") or ""]
    numbers = [value.get(key) for key in ("value", "low", "high")]
    return all(isinstance(text, str) for text in texts) and all(
        number is None or isinstance(number, int | float) for number in numbers
    )


load_module = GenerativeModule.load_from_checkpoint
"""Open any checkpoint of any model from its path alone."""
