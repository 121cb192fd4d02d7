"""What loggers may offer beyond scalars."""

import pytest

from lightning_modules.loggers.csv_logger import RunCSVLogger
from lightning_modules.loggers.media import Rewinds, training_goes_on
from lightning_modules.loggers.tensorboard_logger import RunTensorBoardLogger
from lightning_modules.loggers.wandb_logger import RunWandbLogger


def test_who_takes_scalars_back() -> None:
    assert issubclass(RunCSVLogger, Rewinds) and issubclass(RunTensorBoardLogger, Rewinds)
    assert not issubclass(RunWandbLogger, Rewinds)  # it leaves out what was logged before


def test_only_errors_of_the_disk_become_warnings() -> None:
    with (
        pytest.warns(UserWarning, match=r"Cannot write a file \(full\); training goes on"),
        training_goes_on("a file"),
    ):
        raise OSError(28, "full")
    with pytest.raises(KeyError), training_goes_on("a file"):
        raise KeyError
