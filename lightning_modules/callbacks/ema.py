"""Moving average of the weights: the loss follows the weights, everything that is heard their average."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lightning_modules.errors import OptionError
from lightning_modules.numerics.moving_average import warmed_decay


class EMA(WeightAveraging):
    """Exponential moving average of all weights, for a module with one optimiser.

    Validation, checkpoints and the model after `fit` have the average; a checkpoint keeps the weights being
    trained beside it, so that a continued run goes on with both. Early averages are short,
    min(decay, (1 + t) / (10 + t)) after t steps, so that the random weights of the start are soon forgotten.
    Training itself is the same to the bit as without.

    Lightning's own `EMAWeightAveraging` keeps over a third of the initial weights after 1,000 steps at its
    default decay, and a checkpoint that is written within a validation has average and weights exchanged.

    Args:
        decay: Share of the old average in the new one, in [0, 1).

    Raises:
        OptionError: If `decay` is out of range; when `fit` starts, if the module takes several optimisers'
            steps by itself.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise OptionError(f"EMA's decay is {decay}", "give a value from 0 (no average) to below 1")
        super().__init__(use_buffers=False, multi_avg_fn=warmed_average(decay))  # buffers are copied
        self.decay = decay
        self._averaged = False
        """Whether the module holds the average, and the average's place the weights being trained."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Copy the module, unless it averages by itself."""
        if stage == "fit" and not pl_module.automatic_optimization:
            raise OptionError(
                f"{type(pl_module).__name__} trains its parts by turns, and EMA would average all of them",
                "leave the callback out; WaveGAN has `ema_decay`",
            )
        super().setup(trainer, pl_module, stage)
        self._averaged = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Go on with the weights being trained."""
        self._hold(pl_module, averaged=False)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the average; until the next training step it stays in place."""
        self._hold(pl_module, averaged=True)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The average is in place already."""

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The average stays in place."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the module."""
        self._hold(pl_module, averaged=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as the module's weights, and those being trained beside it."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._averaged:
            average, trained = checkpoint["current_model_state"], checkpoint["state_dict"]
            checkpoint["state_dict"], checkpoint["current_model_state"] = average, trained

    def _hold(self, module: pl.LightningModule, averaged: bool) -> None:
        if self._average_model is not None and self._averaged != averaged:
            self._swap_models(module)
            self._averaged = averaged


def warmed_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Moves averages towards weights in place, given how many averages there were before."""

    @torch.no_grad()
    def average(averages: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
        move = get_ema_multi_avg_fn(float(warmed_decay(decay, int(count))))
        move(averages, weights, count)

    return average
