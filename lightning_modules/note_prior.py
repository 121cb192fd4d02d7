"""A model of notes: which token follows, learnt from MIDI files alone."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn import functional

from datamodules.batch import TokenBatch
from lightning_modules.base import GenerativeModule, MusicEvent, TokenReader
from lightning_modules.errors import OptionError
from lightning_modules.inference.composition import compose, events_until
from lightning_modules.networks.note_transformer import NoteTransformer
from lightning_modules.numerics.nucleus import TEMPERATURE, TOP_P
from lightning_modules.optimization import with_scheduler

TOKEN_RATE = 100
"""What a checkpoint of notes says in place of a sample rate: ticks of the clock per second."""


class NotePrior(GenerativeModule):
    """Draws pieces of music as tokens; it makes no sound: `lightning compose` has a model play that does.

    Its data is `MaestroNotesDataModule`. Logs the negative log-likelihood in nats per token and, as
    `val/nats_per_note`, in nats per note: the sum over all tokens (times, velocities, pedals too) divided by
    the number of notes. Of audio's options only two have a meaning here: `sample_rate` is the ticks of a
    second and `clip_samples` the tokens of a window.

    Args:
        network: Tokens to scores of the next one.
        window_tokens: Tokens S that it hears at a time.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes a scheduler from the optimiser, stepped at every optimiser step.
    """

    def __init__(
        self,
        network: NoteTransformer,
        window_tokens: int,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(TOKEN_RATE, window_tokens)
        self.network = network
        self.window_tokens = window_tokens
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores (B, S, V) of the token after each of (B, S)."""
        scores: Tensor = self.network(tokens)[0]
        return scores

    @property
    def token_network(self) -> NoteTransformer:
        """See `DrawsTokens`."""
        return self.network

    def compose(
        self,
        reader: TokenReader,
        seconds: float,
        seed: int,
        temperature: float = TEMPERATURE,
        top_p: float = TOP_P,
        most_tokens: int | None = None,
    ) -> Iterator[MusicEvent]:
        """Draw a piece; see `Composes.compose`.

        Raises:
            OptionError: If the reader knows other tokens than the network.
        """
        if len(reader.allowed()) != self.network.vocabulary_size:
            raise OptionError(
                f"the network knows {self.network.vocabulary_size} tokens, and the notes have "
                f"{len(reader.allowed())}",
                f"set model.network.vocabulary_size to {len(reader.allowed())}",
            )
        drawn = compose(self.network, reader, self.window_tokens, seed, temperature, top_p)
        last_tick = round(seconds * self.sample_rate)
        return events_until(itertools.islice(drawn, most_tokens), reader, last_tick)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of ten forms
        """One optimiser for the network; its scheduler steps with it."""
        return with_scheduler(self.optimizer(self.parameters()), self.lr_scheduler, every_step=True)

    def training_step(self, batch: TokenBatch, batch_idx: int) -> Tensor:
        """Nats per token, a scalar."""
        loss = self._nats(batch).sum() / batch.counted().sum()
        self.log_training("nats_per_token", loss, {})
        return loss

    def validation_step(self, batch: TokenBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Log the likelihood."""
        self._score("val", batch)

    def test_step(self, batch: TokenBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Log the likelihood."""
        self._score("test", batch)

    def _score(self, stage: str, batch: TokenBatch) -> None:
        """Means that are weighted by what they are means of, so that they are those of the whole split."""
        nats, counted = self._nats(batch).sum(), batch.counted()
        for name, number in (
            ("nats_per_token", int(counted.sum())),
            ("nats_per_note", int((counted & batch.is_note[:, 1:]).sum())),
        ):
            if number:
                self.log_evaluation({f"{stage}/{name}": nats / number}, number)

    def _nats(self, batch: TokenBatch) -> Tensor:
        """(B, S) nats of each target; 0 for those that do not count."""
        scores = self(batch.tokens[:, :-1])
        nats = functional.cross_entropy(scores.transpose(1, 2), batch.tokens[:, 1:], reduction="none")
        return nats * batch.counted()
