"""The loggers of a run: Weights & Biases, and a CSV file that needs no account."""

import configparser
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info

from datamodules.files import read_limited
from lightning_modules.errors import OptionError
from lightning_modules.loggers.csv_logger import RunCSVLogger
from lightning_modules.loggers.folder_media import FolderMedia
from lightning_modules.loggers.media import MediaLogger
from lightning_modules.loggers.tensorboard_logger import TensorBoardMedia
from lightning_modules.loggers.wandb_logger import Monitor, RunWandbLogger, WandbOptions
from lightning_modules.loggers.wandb_media import WandbMedia
from lightning_modules.runs.folder import Run

MODES = ("online", "offline", "disabled", "shared")
NOT_IN_PROJECT = "/\\#?%:"
LONGEST_PROJECT = 128
SETTINGS_FILES = (Path(".wandb/settings"), Path("wandb/settings"))
"""Of the working folder, the first of them that is there: W&B obeys it, and has no option that forbids it."""
OWN_SETTINGS = {"entity", "project", "mode"}
"""What W&B's own commands write there; other words could send a key to another server."""
_LARGEST_SETTINGS_BYTES = 2**16


def run_loggers(run: Run, config: dict[str, Any], options: WandbOptions, monitor: Monitor) -> list[Logger]:
    """The default loggers of a run: W&B (unless `WANDB_MODE=disabled`) and CSV.

    Args:
        run: The run; its folder holds what both write.
        config: Resolved options, kept with the W&B run.
        options: How the run appears in W&B.
        monitor: Score that the best checkpoint is chosen by.
    """
    csv_logger = RunCSVLogger(run.root)
    mode = wandb_mode()
    if mode == "disabled":
        return [csv_logger]
    return [RunWandbLogger(run, mode, config, options, monitor), csv_logger]


def media_loggers(trainer: pl.Trainer) -> list[MediaLogger]:
    """Where callbacks send sounds, pictures and tables; nowhere in processes that do not write."""
    found = [_media_logger(logger) for logger in trainer.loggers] if trainer.is_global_zero else []
    return [each for each in found if each is not None]


def _media_logger(logger: Logger) -> MediaLogger | None:
    if isinstance(logger, WandbLogger):
        return WandbMedia(logger)
    if isinstance(logger, TensorBoardLogger):
        return TensorBoardMedia(logger)
    return FolderMedia(Path(logger.root_dir)) if isinstance(logger, RunCSVLogger) else None


def check_wandb(options: WandbOptions) -> None:
    """Make sure that W&B will take its mode and the name of the project.

    Raises:
        OptionError: Naming what it would refuse after training has begun.
    """
    mode = wandb_mode()
    if mode not in MODES:
        raise OptionError(f"WANDB_MODE is {mode!r}", f"give one of {', '.join(MODES)}, or leave it unset")
    project = options.project or os.environ.get("WANDB_PROJECT") or ""
    if mode != "disabled" and (len(project) > LONGEST_PROJECT or set(project) & set(NOT_IN_PROJECT)):
        raise OptionError(
            f"The W&B project is {project!r}",
            f"give --wandb.project a name of at most {LONGEST_PROJECT} characters, none of {NOT_IN_PROJECT}",
        )


def require_own_settings() -> None:
    """Make sure that a file of the working folder, which may have come with a checkpoint, does not lead W&B.

    Raises:
        OptionError: If it says more than W&B's own commands write, or cannot be read.
    """
    remedy = "remove it, or set what you want of it by W&B's environment variables, as WANDB_BASE_URL"
    for file in SETTINGS_FILES:
        if not os.path.lexists(file):
            continue
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(read_limited(file, _LARGEST_SETTINGS_BYTES, follow=True).decode())
        except (OSError, ValueError, configparser.Error) as error:
            raise OptionError(f"W&B would read {file}, which is damaged ({error!s:.200})", remedy) from error
        words = {word for section in parser for word in parser[section]} - OWN_SETTINGS
        if words:
            raise OptionError(f"W&B would obey {file}, which sets {', '.join(sorted(words))}", remedy)


def wandb_mode() -> str:
    """The mode in `WANDB_MODE`; else `online` if a key is configured, `offline` if not. Asks nobody.

    Raises:
        OptionError: See `require_own_settings`; not if W&B is disabled.
    """
    configured = os.environ.get("WANDB_MODE")
    if configured != "disabled":
        require_own_settings()
    if configured == "":
        del os.environ["WANDB_MODE"]  # means "not set", but W&B stops at it
    if configured:
        return {"dryrun": "offline", "run": "online"}.get(configured, configured)
    return "online" if _has_wandb_key() else "offline"


def _has_wandb_key() -> bool:
    """Whether W&B finds an API key in the environment, its settings or the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb
    from wandb.sdk.lib import wbauth

    try:
        host = wandb.setup().settings.base_url
        return wbauth.authenticate_session(
            host=host, source="lightning", verify=False, prompt=False, update_session=False
        ) is not None  # fmt: skip
    except Exception as error:
        # a malformed key or netrc file must not keep anybody from training
        rank_zero_info(f"W&B: no usable key ({error})")
        return False
