"""The command line of a run, before it is parsed: which checkpoint, and which config goes with it."""

import argparse
from pathlib import Path

import lightning.pytorch as pl

from lightning_modules.base import GenerativeModule
from lightning_modules.cli.mistakes import ScanningParser
from lightning_modules.errors import OptionError, RunError
from lightning_modules.loggers.wandb_logger import WandbOptions
from lightning_modules.runs.config import check_config, read_config
from lightning_modules.runs.folder import latest_config, run_of_checkpoint
from lightning_modules.runs.resume import AUTO, config_of_checkpoint, find_checkpoint
from lightning_modules.training.run_checkpoint import RunCheckpoint

SCANNED = ("--config", "--ckpt_path", "--runs_dir", "--experiment", "--run_id")
"""Options that are needed before, or lost by, the full parse."""

LOGGER_OPTION = "--trainer.logger"
_OWN_TENSORBOARD = "lightning_modules.loggers.tensorboard_logger.RunTensorBoardLogger"
OWN_LOGGERS = {
    "TensorBoardLogger": _OWN_TENSORBOARD,
    "lightning.pytorch.loggers.TensorBoardLogger": _OWN_TENSORBOARD,
}


def with_run_config(arguments: list[str]) -> list[str]:
    """Add the run's own config.yaml if a checkpoint is given, and no config that names model and data.

    `lightning fit --ckpt_path runs/vae/…/last.ckpt` continues that run with its own options. A config that
    names less is an overlay on them.

    Raises:
        RunError: If the checkpoint lies in no run's folder.
    """
    arguments = [unabbreviated(word) for word in arguments]
    found = scan_arguments(arguments)
    if found.ckpt_path is None or all(describe(found.config, section) for section in ("model", "data")):
        return arguments
    checkpoint = find_checkpoint(
        found.ckpt_path, Path(found.runs_dir), found.experiment, found.run_id, arguments[0]
    )
    folder = run_of_checkpoint(checkpoint) if checkpoint else None
    if checkpoint is None or (folder is None and found.model is not None):
        return arguments
    if folder is None:
        raise RunError(
            f"{checkpoint} lies in no run's folder, so it is not known which options it was trained with",
            "add --config FILE.yaml, e.g. its run's config.yaml, or leave it where `lightning fit` wrote it",
        )
    # training goes on with the latest options; what is scored is what a checkpoint was written under
    config = latest_config(folder) if arguments[0] == "fit" else config_of_checkpoint(checkpoint, folder)
    check_config(
        config,
        objects={"model": GenerativeModule, "data": pl.LightningDataModule},
        arguments={"trainer": pl.Trainer, "checkpoint": RunCheckpoint, "wandb": WandbOptions},
    )
    names = (AUTO, "last", "best")  # which are looked for where the person says, and not the config
    where = ["--runs_dir", str(folder.parents[1])] if found.ckpt_path in names else []
    return [arguments[0], "--config", str(config), *arguments[1:], *where]


def check_text(arguments: list[str]) -> None:
    """Make sure that a command line can be kept in a run's config, which is text.

    Raises:
        OptionError: Naming the first word that cannot.
    """
    for word in arguments:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise OptionError(
                f"{word:.200} is no text in UTF-8, which a run's config is",
                "give the file or folder a name of letters, or give a link that has one",
            ) from error


def unabbreviated(word: str) -> str:
    """An option that the full parse knows by its beginning, in full: `--ckpt` for `--ckpt_path`."""
    name, equals, value = word.partition("=")
    meant = [option for option in SCANNED if option.startswith(name)]
    return f"{meant[0]}{equals}{value}" if len(meant) == 1 and len(name) > len("--co") else word


def with_own_loggers(arguments: list[str]) -> list[str]:
    """Name the run's logger where Lightning's would know no run: `--trainer.logger TensorBoardLogger`."""
    own = list(arguments)
    for index, (option, value) in enumerate(zip([*arguments], [*arguments[1:], ""], strict=True)):
        name, equals, given = option.partition("=")
        if name.rstrip("+") == LOGGER_OPTION:
            if equals and given in OWN_LOGGERS:
                own[index] = f"{name}={OWN_LOGGERS[given]}"
            elif not equals and value in OWN_LOGGERS:
                own[index + 1] = OWN_LOGGERS[value]
    return own


def describe(configs: list[str], section: str) -> bool:
    """Whether configs name a class for a section, themselves or for one verb."""
    for path in map(Path, configs):
        content = read_config(path) if path.is_file() else {}
        for part in [content, *(value for value in content.values() if isinstance(value, dict))]:
            found = part.get(section)
            if isinstance(found, str) or (isinstance(found, dict) and "class_path" in found):
                return True
    return False


def scan_arguments(arguments: list[str]) -> argparse.Namespace:
    """The few options that are needed before, or lost by, the full parse; and whether a model is named."""
    scan = ScanningParser(add_help=False, allow_abbrev=False)
    scan.add_argument("-c", "--config", action="append", default=[])
    scan.add_argument("--ckpt_path")
    scan.add_argument("--runs_dir", default="runs")
    scan.add_argument("--experiment")
    scan.add_argument("--run_id")
    scan.add_argument("--model")
    return scan.parse_known_args(arguments[1:])[0]
