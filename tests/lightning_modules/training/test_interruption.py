"""Signals stop training between two steps."""

import os
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException
from toy_fit import fit

from lightning_modules.training.interruption import Interruption


class Sender(pl.Callback):
    """Sends signals to this process in the middle of the third step."""

    def __init__(self, *signals: signal.Signals) -> None:
        self.signals = signals
        self.finished = 0

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == 2:
            for each in self.signals:
                os.kill(os.getpid(), each)

    def on_train_batch_end(self, *_: object) -> None:
        self.finished += 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_step_is_finished_and_handlers_are_put_back(tmp_path: Path, number: signal.Signals) -> None:
    before, sender, interruption = signal.getsignal(number), Sender(number), Interruption()
    with pytest.raises(SIGTERMException):
        fit(tmp_path, sender, interruption, enable_checkpointing=False)
    assert sender.finished == 3
    assert interruption.asked == number
    assert signal.getsignal(number) is before


def test_a_second_control_c_stops_within_the_step(tmp_path: Path) -> None:
    sender = Sender(signal.SIGINT, signal.SIGINT)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, sender, Interruption(), enable_checkpointing=False)
    assert sender.finished == 2


def test_a_run_that_nobody_stops_ends_by_itself(tmp_path: Path) -> None:
    interruption = Interruption()
    trainer = fit(tmp_path, interruption, enable_checkpointing=False)
    assert trainer.global_step == 8
    assert interruption.asked is None
