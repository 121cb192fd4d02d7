"""The data that a checkpoint was trained on, from the config of its run."""

from pathlib import Path

import pytest
import yaml

from datamodules import MaestroDataModule
from lightning_modules.errors import CheckpointError, RunError
from lightning_modules.runs.data import data_of_run


def checkpoint(tmp_path: Path, config: dict[str, object]) -> Path:
    folder = tmp_path / "vae/one/checkpoints"
    folder.mkdir(parents=True)
    (folder.parent / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "best.ckpt").touch()
    return folder / "best.ckpt"


def test_the_data_module_is_built_with_the_runs_options(tmp_path: Path):
    options = {"release": "mini", "sample_rate": 8000, "batch_size": 3}
    section = {"class_path": "datamodules.MaestroDataModule", "init_args": options}
    data = data_of_run(checkpoint(tmp_path, {"data": section}))
    assert type(data) is MaestroDataModule
    assert (data.sample_rate, data.batch_size) == (8000, 3)


def test_a_checkpoint_outside_of_any_run(tmp_path: Path):
    with pytest.raises(RunError, match=r"best\.ckpt lies in no run folder"):
        data_of_run(tmp_path / "best.ckpt")


def test_a_config_without_data(tmp_path: Path):
    with pytest.raises(RunError, match="has no data section"):
        data_of_run(checkpoint(tmp_path, {"experiment": "vae"}))


def test_a_class_that_is_no_data_module(tmp_path: Path):
    section = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 1, "out_features": 1}}
    with pytest.raises(CheckpointError):
        data_of_run(checkpoint(tmp_path, {"data": section}))
