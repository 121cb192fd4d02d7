"""When samples are written, and that a disk that refuses them ends nothing."""

from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from toy_experiment import ToyDataModule, ToyModule

from lightning_modules.base import GenerativeModule
from lightning_modules.callbacks.validation_samples import ValidationSamples
from lightning_modules.errors import OptionError
from lightning_modules.loggers.csv_logger import RunCSVLogger
from lightning_modules.loggers.media import MediaLogger


class Notebook(ValidationSamples):
    """Writes a random number, and remembers which loggers were shown it."""

    def __init__(self, every_n_validations: int = 1, fails: bool = False, at_first: bool = True) -> None:
        super().__init__(every_n_validations, 3, at_first)
        self.fails = fails
        self.shown: list[MediaLogger] = []

    def write(
        self, trainer: pl.Trainer, module: GenerativeModule, folder: Path
    ) -> Callable[[MediaLogger], None]:
        assert not module.training and not torch.is_grad_enabled()
        if self.fails:
            raise OSError(28, "No space left on device")
        (folder / "number.txt").write_text(str(torch.rand(()).item()))
        return self.shown.append


def fit(folder: Path, callback: Notebook) -> pl.Trainer:
    trainer = pl.Trainer(
        max_epochs=4,
        default_root_dir=folder,
        accelerator="cpu",
        logger=RunCSVLogger(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(ToyModule(8000, 1600), datamodule=ToyDataModule())
    return trainer


def test_every_few_validations_and_the_last_by_the_seed_alone(tmp_path: Path) -> None:
    callback = Notebook(every_n_validations=2)
    fit(tmp_path, callback)
    found = {path.parent.name: path.read_text() for path in (tmp_path / "samples").glob("*/number.txt")}
    assert sorted(found) == ["step_000004", "step_000012", "step_000016"]  # epochs 1, 3 and, as the last, 4
    assert set(found.values()) == {str(torch.rand((), generator=torch.Generator().manual_seed(3)).item())}
    assert len(callback.shown) == 3
    assert callback.state_dict() == {"validations": 4}


def test_every_third_and_the_last(tmp_path: Path) -> None:
    fit(tmp_path, Notebook(every_n_validations=3, at_first=False))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["step_000012", "step_000016"]


def test_a_full_disk_is_warned_of_and_training_goes_on(tmp_path: Path) -> None:
    callback = Notebook(fails=True)
    with pytest.warns(UserWarning, match=r"Cannot write samples into .*No space left.*training goes on"):
        trainer = fit(tmp_path, callback)
    assert trainer.global_step == 16 and not callback.shown


def test_never_is_no_choice() -> None:
    with pytest.raises(OptionError, match="Notebook's every_n_validations is 0"):
        Notebook(0)
