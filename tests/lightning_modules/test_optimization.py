"""Several optimisers in one module."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from toy_experiment import ToyDataModule, ToyModule
from toy_fit import fit

from lightning_modules.errors import OptionError
from lightning_modules.optimization import (
    expect_partial_updates,
    step_schedulers,
    uncount,
    with_scheduler,
)


def halving(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)


class TwoOptimisers(ToyModule):
    """The second optimiser steps twice per batch and does not count."""

    def __init__(self) -> None:
        super().__init__(8000, 1600)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx) -> None:
        first, second = self.optimizers()
        uncount(second)
        for optimizer in (second, second, first):
            optimizer.zero_grad()
            self.manual_backward((self.network(batch.waveform) - batch.waveform).square().mean())
            optimizer.step()
        step_schedulers(self)

    def configure_optimizers(self):
        return [
            with_scheduler(torch.optim.SGD(self.parameters(), lr=1e-3), halving),
            with_scheduler(torch.optim.SGD(self.parameters(), lr=1e-2), None),
        ]


def test_steps_of_one_optimiser_count_and_schedules_follow_them(tmp_path: Path) -> None:
    module = TwoOptimisers()
    trainer = fit(tmp_path, module=module, max_epochs=1, enable_checkpointing=False, limit_val_batches=0)
    assert trainer.global_step == len(ToyDataModule().train_dataloader()) == 4
    assert [each.param_groups[0]["lr"] for each in trainer.optimizers] == [1e-3 / 2**4, 1e-2]


def test_a_module_without_schedulers_has_none_to_step(tmp_path: Path) -> None:
    class Plain(ToyModule):
        def on_train_batch_end(self, *_: object) -> None:
            step_schedulers(self)

    assert fit(tmp_path, module=Plain(8000, 1600), max_epochs=1, enable_checkpointing=False).global_step == 4


class Scheduled(ToyModule):
    def configure_optimizers(self):
        return with_scheduler(torch.optim.SGD(self.parameters(), lr=1e-3), halving, every_step=True)


def test_lightning_steps_a_scheduler_at_every_step(tmp_path: Path) -> None:
    trainer = fit(tmp_path, module=Scheduled(8000, 1600), max_epochs=1, enable_checkpointing=False)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 1e-3 / 2**4


def test_a_schedule_that_follows_a_metric_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(OptionError, match=r"ReduceLROnPlateau follows a metric.*\n.*WarmupCosine"):
        with_scheduler(torch.optim.SGD([weight], lr=1.0), torch.optim.lr_scheduler.ReduceLROnPlateau)


def test_distributed_training_expects_partial_updates() -> None:
    trainer = pl.Trainer(accelerator="cpu", strategy="ddp", logger=False)
    expect_partial_updates(trainer)
    asked = pl.Trainer(accelerator="cpu", strategy="ddp_find_unused_parameters_true", logger=False)
    assert isinstance(trainer.strategy, DDPStrategy) and isinstance(asked.strategy, DDPStrategy)
    assert trainer.strategy._ddp_kwargs == asked.strategy._ddp_kwargs == {"find_unused_parameters": True}
    expect_partial_updates(
        pl.Trainer(accelerator="cpu", logger=False)
    )  # and nothing to prepare on one device
