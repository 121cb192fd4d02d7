"""The data that the run of a checkpoint was trained on."""

from pathlib import Path

import lightning.pytorch as pl

from lightning_modules.checkpoints.description import instantiate
from lightning_modules.errors import RunError
from lightning_modules.runs.config import check_cache_dir, read_config
from lightning_modules.runs.folder import run_of_checkpoint
from lightning_modules.runs.resume import config_of_checkpoint


def data_of_run(checkpoint: Path) -> pl.LightningDataModule:
    """Build the data module of the run folder that `checkpoint` lies in, as its config.yaml says.

    Raises:
        RunError: If the checkpoint lies in no run folder, or its config cannot be read.
        CheckpointError: If its config builds no data module, or names what may not be built.
    """
    folder = run_of_checkpoint(checkpoint)
    if folder is None:
        raise RunError(
            f"{checkpoint} lies in no run folder, so it is not known which data it was trained on",
            "give a checkpoint where `lightning fit` wrote it, e.g. runs/vae/<id>/checkpoints/best.ckpt",
        )
    config = config_of_checkpoint(checkpoint, folder)
    content = read_config(config)
    check_cache_dir(config, content)
    section = content.get("data")
    if not isinstance(section, dict):
        raise RunError(f"{config} has no data section", "give a checkpoint of a run that was trained on data")
    return instantiate(section, pl.LightningDataModule, f"data section of {config}")
