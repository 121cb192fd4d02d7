"""Options of optimisers and schedules that were changed on continuing take effect."""

import copy
import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from toy_experiment import ToyDataModule, ToyModule

from lightning_modules.errors import CheckpointError
from lightning_modules.schedules.learning_rate import WarmupCosine
from lightning_modules.training.changed_options import ChangedOptions, move_to
from lightning_modules.training.exact_resume import ExactResume


class ScheduledToy(ToyModule):
    def __init__(self, sample_rate: int, clip_samples: int, optimizer: Any, lr_scheduler: Any = None) -> None:
        super().__init__(sample_rate, clip_samples, optimizer=optimizer)
        self.lr_scheduler = lr_scheduler

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.lr_scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.lr_scheduler(optimizer), "interval": "step"},
        }


class Rates(pl.Callback):
    def __init__(self) -> None:
        self.used: list[float] = []

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any
    ) -> None:
        self.used.append(optimizer.param_groups[0]["lr"])


def fit(
    folder: Path, steps: int, module: pl.LightningModule, start: Path | None = None
) -> tuple[Any, list[float]]:
    rates = Rates()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        max_steps=steps,
        limit_val_batches=0,
        callbacks=[ChangedOptions(), rates, ExactResume()],
    )
    trainer.fit(module, datamodule=ToyDataModule(), ckpt_path=start and str(start), weights_only=True)
    return trainer, rates.used


def adam(**options: float) -> Any:
    return functools.partial(torch.optim.AdamW, **options)


def cosine(total_steps: int) -> Any:
    return functools.partial(WarmupCosine, total_steps=total_steps, warmup_fraction=0.0)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of 6 steps of a schedule of 6."""
    trainer, rates = fit(tmp_path, 6, ScheduledToy(8000, 1600, adam(lr=0.1), cosine(6)))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert rates[-1] < 0.02
    return tmp_path / "a.ckpt"


def expected(base: float, total: int, steps: range) -> list[float]:
    schedule = WarmupCosine(torch.optim.SGD([torch.zeros(1)], 1.0), total, 0.0)
    return [base * schedule.factor(step) for step in steps]


def test_more_steps_train_with_the_schedule_for_more_steps(stopped: Path) -> None:
    _, rates = fit(stopped.parent, 12, ScheduledToy(8000, 1600, adam(lr=0.1), cosine(12)), stopped)
    assert rates == pytest.approx(expected(0.1, 12, range(6, 12)))
    assert rates[0] > 0.05


def test_another_rate_and_decay_are_applied(stopped: Path, capsys: pytest.CaptureFixture) -> None:
    module = ScheduledToy(8000, 1600, adam(lr=0.02, weight_decay=0.5), cosine(6))
    trainer, rates = fit(stopped.parent, 8, module, stopped)
    assert rates == pytest.approx([0.02 * 0.01] * 2)
    assert trainer.optimizers[0].param_groups[0]["weight_decay"] == 0.5
    saved = torch.load(stopped, weights_only=True)["optimizer_states"][0]["state"][0]["step"]
    assert saved == 6 and trainer.optimizers[0].state_dict()["state"][0]["step"] == 8, "moments go on"


def test_a_schedule_may_be_left_out_and_come_anew(stopped: Path) -> None:
    trainer, rates = fit(stopped.parent, 8, ScheduledToy(8000, 1600, adam(lr=0.3)), stopped)
    assert rates == [0.3, 0.3]
    trainer.save_checkpoint(stopped.parent / "b.ckpt")
    module = ScheduledToy(8000, 1600, adam(lr=0.3), cosine(16))
    _, rates = fit(stopped.parent, 10, module, stopped.parent / "b.ckpt")
    assert rates == pytest.approx(expected(0.3, 16, range(8, 10)))


def test_unchanged_options_change_nothing(stopped: Path) -> None:
    """Not even what a person set on the optimiser while it ran."""
    content = torch.load(stopped, weights_only=True)
    content["optimizer_states"][0]["param_groups"][0]["eps"] = 1e-3
    torch.save(content, stopped)
    trainer, rates = fit(stopped.parent, 8, ScheduledToy(8000, 1600, adam(lr=0.1), cosine(6)), stopped)
    assert trainer.optimizers[0].param_groups[0]["eps"] == 1e-3
    assert rates == pytest.approx([0.1 * 0.01] * 2)


def test_what_cannot_be_applied_is_refused_by_name(stopped: Path) -> None:
    other = functools.partial(torch.optim.SGD, lr=0.1)
    with pytest.raises(CheckpointError, match=r"another optimiser: optimizer is torch\.optim\.SGD"):
        fit(stopped.parent, 8, ScheduledToy(8000, 1600, other, cosine(6)), stopped)
    optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
    with pytest.raises(CheckpointError, match="ReduceLROnPlateau"):
        move_to(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("optimizer_states", "holds no optimiser state"),
        ("lr_schedulers", "no position of schedules"),
        ("loops", "position in training"),
    ],
)
def test_a_checkpoint_with_too_little_is_refused(stopped: Path, name: str, message: str) -> None:
    content = copy.copy(torch.load(stopped, weights_only=True))
    del content[name]
    torch.save(content, stopped)
    with pytest.raises(CheckpointError, match=message):
        fit(stopped.parent, 8, ScheduledToy(8000, 1600, adam(lr=0.1), cosine(6)), stopped)
