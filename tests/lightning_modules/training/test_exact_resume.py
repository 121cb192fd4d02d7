"""Random numbers and positions go into a checkpoint and come back."""

import copy
import io
import random
import re
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from toy_experiment import ToyModule
from toy_fit import fit

from lightning_modules.training.exact_resume import (
    KEY,
    ExactResume,
    Position,
    check_counts,
    random_state,
    restore_random_state,
    state_position,
)


def draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), torch.rand(()).item()]


def test_random_numbers_go_on_from_a_saved_state() -> None:
    random.gauss(0, 1)  # which keeps a second number for the next call
    file = io.BytesIO()
    torch.save(random_state(), file)
    expected = [draw(), draw()]
    file.seek(0)
    restore_random_state(torch.load(file, weights_only=True))
    assert [draw(), draw()] == expected


@pytest.mark.parametrize(("validating", "completed"), [(False, 6), (True, 7)])
def test_a_position_is_stated_as_lightning_would(validating: bool, completed: int) -> None:
    loop = {
        "epoch_loop.state_dict": {},
        "state_dict": {"combined_loader": [{"epoch": 0, "first_batch": 0}, {"of": "another loader"}]},
    }
    state_position(loop, Position(1, 3, 7, 7, validating))
    assert loop["epoch_loop.batch_progress"]["total"]["processed"] == 7
    assert loop["epoch_loop.batch_progress"]["total"]["completed"] == completed
    assert loop["epoch_progress"]["total"] == {"ready": 2, "started": 2, "processed": 1, "completed": 1}
    assert loop["epoch_loop.state_dict"]["_batches_that_stepped"] == 6
    assert loop["state_dict"]["combined_loader"] == [
        {"epoch": 1, "first_batch": 3},
        {"of": "another loader"},
    ]
    once = copy.deepcopy(loop)
    state_position(loop, Position(1, 3, 7, 7, validating))
    assert loop == once


class Dice(ToyModule):
    """Draws in training and in validation."""

    def __init__(self) -> None:
        super().__init__(8000, 1600)
        self.training_draws: list[float] = []
        self.validation_draws: list[float] = []

    def training_step(self, batch, batch_idx):
        self.training_draws.append(torch.rand(()).item())
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx) -> None:
        self.validation_draws.append(torch.rand(()).item())


class Keeper(pl.Callback):
    """Writes a checkpoint after the second batch."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == 2:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "two.ckpt")


def test_validations_draw_the_same_and_a_checkpoint_knows_the_next_draw(tmp_path: Path) -> None:
    torch.manual_seed(3)
    module = Dice()
    fit(tmp_path, ExactResume(), Keeper(), module=module, limit_val_batches=2)
    assert len(set(module.training_draws)) == 8
    assert module.validation_draws[-4:-2] == module.validation_draws[-2:]
    saved = torch.load(tmp_path / "two.ckpt", weights_only=True)[KEY]
    restore_random_state(saved[0])
    assert torch.rand(()).item() == module.training_draws[2]


@pytest.mark.parametrize("wrong", [[], None, "3", 1.5, True])
def test_a_count_that_is_none_is_named(wrong: object) -> None:
    known = {"epoch_progress": {"total": {"ready": 0}}, "is_last_batch": False}
    check_counts(known, {"epoch_progress": {"total": {"ready": 3}}, "is_last_batch": True, "more": 1}, "loop")
    with pytest.raises(TypeError, match=rf"loop.epoch_progress.total.ready is {re.escape(repr(wrong))}"):
        check_counts(known, {"epoch_progress": {"total": {"ready": wrong}}}, "loop")
