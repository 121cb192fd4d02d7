"""The data that the run of a checkpoint was trained on."""

from pathlib import Path
from typing import Any

import jsonargparse
import lightning.pytorch as pl

from lightning_modules.errors import RunError
from lightning_modules.runs.folder import latest_config, run_of_checkpoint


def data_of_run(checkpoint: Path) -> pl.LightningDataModule:
    """Build the data module of the run folder that `checkpoint` lies in, as its config.yaml says.

    Raises:
        RunError: If the checkpoint lies in no run folder, or its config builds no data module.
    """
    folder = run_of_checkpoint(checkpoint)
    if folder is None:
        raise RunError(
            f"{checkpoint} lies in no run folder, so it is not known which data it was trained on",
            "give a checkpoint where `lightning fit` wrote it, e.g. runs/vae/<id>/checkpoints/best.ckpt",
        )
    from omegaconf import OmegaConf

    config = latest_config(folder)
    content: Any = OmegaConf.to_container(OmegaConf.load(config), resolve=True)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningDataModule, "data", required=True)
    try:
        return parser.instantiate(parser.parse_object({"data": content.get("data")})).data
    except jsonargparse.ArgumentError as error:
        raise RunError(
            f"The data section of {config} cannot be used: {error}",
            "install the version of this program that wrote the run",
        ) from error
