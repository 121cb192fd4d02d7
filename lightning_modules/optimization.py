"""What modules with several optimisers need from Lightning, beyond its manual optimisation."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.cli import LRSchedulerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer, do_nothing_closure
from torch.optim import Optimizer


def uncount(optimizer: LightningOptimizer) -> None:
    """Do not count this optimiser's steps in `global_step` and `max_steps`, for the present batch.

    Lightning counts every step of every optimiser, through two hooks that it sets on each optimiser at the
    start of a batch and removes at its end. Stepping the torch optimiser itself instead would leave out the
    precision plugin: loss scaling and the hooks before a step.
    """
    optimizer._on_before_step = do_nothing_closure
    optimizer._on_after_step = do_nothing_closure


def step_schedulers(module: pl.LightningModule) -> None:
    """Step all learning-rate schedulers of a module."""
    schedulers: Any = module.lr_schedulers()
    if schedulers is not None:
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            scheduler.step()


def with_scheduler(optimizer: Optimizer, make_scheduler: LRSchedulerCallable | None) -> dict[str, Any]:
    """An entry of what `configure_optimizers` returns."""
    if make_scheduler is None:
        return {"optimizer": optimizer}
    return {"optimizer": optimizer, "lr_scheduler": make_scheduler(optimizer)}
