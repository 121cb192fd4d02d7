"""What a run was started with stays beside its results."""

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from toy_experiment import ToyDataModule, ToyModule

from lightning_modules.runs.code_version import code_version
from lightning_modules.training.record_run import RecordRun


class Notebook(Logger):
    """Remembers hyper-parameters."""

    name = version = property(lambda self: None)

    def __init__(self) -> None:
        super().__init__()
        self.params: list[dict[str, object]] = []

    def log_hyperparams(self, params, *_: object) -> None:
        self.params.append(params)

    def log_metrics(self, metrics, step=None) -> None: ...


def test_options_identity_and_folder_are_recorded_once(tmp_path: Path) -> None:
    notebook = Notebook()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        default_root_dir=tmp_path / "elsewhere",
        logger=notebook,
        callbacks=[RecordRun(tmp_path, "experiment: toy\n")],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = ToyDataModule()
    trainer.fit(ToyModule(8000, 1600), datamodule=data)
    trainer.test(ToyModule(8000, 1600), datamodule=data, verbose=False)
    assert [path.read_text() for path in tmp_path.glob("config*.yaml")] == ["experiment: toy\n"]
    assert trainer.default_root_dir == str(tmp_path)
    identity = {"data_identity": data.identity, "code": code_version()}
    assert [each for each in notebook.params if "data_identity" in each] == [identity, identity]
