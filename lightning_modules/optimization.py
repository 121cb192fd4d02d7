"""Optimisers of a LightningModule: with their schedulers, and several of them in one module."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.cli import LRSchedulerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer, do_nothing_closure
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_modules.errors import OptionError


def expect_partial_updates(trainer: pl.Trainer) -> None:
    """Prepare for updates that train a part of the parameters only; to be called in `setup`.

    `strategy: ddp` alone would wait for gradients that the parameters of the other optimisers never get. This
    makes it `ddp_find_unused_parameters_true`, for which Lightning has no public way once the Trainer exists.
    """
    if isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy._ddp_kwargs["find_unused_parameters"] = True


def uncount(optimizer: LightningOptimizer) -> None:
    """Do not count this optimiser's steps in `global_step` and `max_steps`, for the present batch.

    Lightning counts every step of every optimiser, through two hooks that it sets on each optimiser at the
    start of a batch and removes at its end. Stepping the torch optimiser itself instead would leave out the
    precision plugin: loss scaling and the hooks before a step.
    """
    optimizer._on_before_step = do_nothing_closure
    optimizer._on_after_step = do_nothing_closure


def take_step(module: pl.LightningModule, optimizer: LightningOptimizer, loss: Tensor) -> None:
    """One step of one optimiser of a module with manual optimisation, from zeroed gradients."""
    optimizer.zero_grad()
    module.manual_backward(loss)
    optimizer.step()


def step_schedulers(module: pl.LightningModule) -> None:
    """Step all learning-rate schedulers of a module, also where its optimiser left a step out.

    A schedule counts updates of the whole model, so that a run that goes on is where it was.
    """
    schedulers: Any = module.lr_schedulers()
    if schedulers is not None:
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            scheduler.step()


def with_scheduler(
    optimizer: Optimizer, make_scheduler: LRSchedulerCallable | None, every_step: bool = False
) -> dict[str, Any]:
    """An entry of what `configure_optimizers` returns.

    Args:
        optimizer: The optimiser.
        make_scheduler: Makes its scheduler; None for none.
        every_step: Whether Lightning steps the scheduler, at every step of the optimiser; a module with
            manual optimisation calls `step_schedulers` instead.

    Raises:
        OptionError: If the scheduler follows a metric: updates have none.
    """
    if make_scheduler is None:
        return {"optimizer": optimizer}
    scheduler = make_scheduler(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise OptionError(
            f"{type(scheduler).__name__} follows a metric, and schedules here follow the updates",
            "choose a schedule of steps, as lightning_modules.schedules.WarmupCosine",
        )
    stepped = {"scheduler": scheduler, "interval": "step"}
    return {"optimizer": optimizer, "lr_scheduler": stepped if every_step else scheduler}
