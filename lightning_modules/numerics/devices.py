"""Training on several devices as if it were one: the same draws, and statistics of the whole batch."""

from typing import cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor


def expect_partial_updates(trainer: pl.Trainer) -> None:
    """Prepare for updates that train a part of the parameters only; to be called in `setup`.

    `strategy: ddp` alone would wait for gradients that the parameters of the other optimisers never get.
    """
    if isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy._ddp_kwargs["find_unused_parameters"] = True


def draw_uniform(module: pl.LightningModule, num_clips: int, size: int) -> Tensor:
    """(num_clips, size) uniform in (-1, 1): this device's part of what one device would draw for all.

    All devices start from the same seed; each draws for all, so that they stay in step and yet differ.
    """
    world, rank = module.trainer.world_size, module.trainer.global_rank
    draws = 2.0 * torch.rand(world * num_clips, size, device=module.device) - 1.0
    return draws[rank * num_clips : (rank + 1) * num_clips]


def gather(module: pl.LightningModule, value: Tensor) -> Tensor:
    """(B, ...) of this device -> (devices * B, ...) of all, differentiable.

    The gradient flows into this device's part alone, which needs no communication; distributed training then
    takes the mean over devices where the sum is due, so it is multiplied by their number. Lightning's own
    `sync_grads` scrambles gradients that are not contiguous, with gloo.
    """
    world = module.trainer.world_size
    if world == 1:
        return value
    parts = list(cast(Tensor, module.all_gather(value.detach())).unbind())
    if value.requires_grad:
        own = value.clone()
        own.register_hook(lambda gradient: gradient * world)
        parts[module.trainer.global_rank] = own
    return torch.cat(parts)
