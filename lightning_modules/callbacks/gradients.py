"""The size of the gradient."""

import lightning.pytorch as pl
import torch
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from lightning_modules.base import is_logging_step


class GradientNorm(pl.Callback):
    """Logs `train/gradient_norm`, the Euclidean norm of all gradients, before clipping.

    Computed at logging steps only. A module with several optimisers gets one figure for each:
    `train/gradient_norm_0`, `train/gradient_norm_1`, …
    """

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Comes after the gradients were unscaled (mixed precision) and before they are clipped."""
        if not is_logging_step(trainer):
            return
        norm = gradient_norm(optimizer)
        position = trainer.optimizers.index(optimizer) if len(trainer.optimizers) > 1 else None
        suffix = "" if position is None else f"_{position}"
        pl_module.log(f"train/gradient_norm{suffix}", norm, batch_size=1)


def gradient_norm(optimizer: Optimizer) -> torch.Tensor:
    """Euclidean norm over the gradients of all the optimiser's parameters; a scalar, 0 if none."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
