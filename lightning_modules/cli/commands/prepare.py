"""Fetch and decode a release, or check what is there.

  lightning prepare --config experiments/data/maestro_2h.yaml
  lightning prepare --release v3.0.0 --max_hours 10 --cache_dir /data/maestro
  lightning prepare --config experiments/data/maestro_v3.yaml --status
  lightning prepare --config experiments/data/audio_folder.yaml --source ~/recordings

It makes the cache that `lightning fit` would make with the same options, and can be stopped at any time: the
next start goes on where it was. It needs neither Lightning nor a GPU.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonargparse

from datamodules.archive.http_file import TransferPolicy
from datamodules.cache.preparation import Preparation
from datamodules.errors import CacheError, OptionError, RunError
from lightning_modules.checkpoints.parsing import innermost
from lightning_modules.runs.config import read_config


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """The options that the data module shares, and what to do."""
    # sixty lines of options would hide the one line that says what is wrong
    parser.usage = "lightning prepare [--config FILE.yaml …] [--KEY VALUE …] [--status | --verify]"
    parser.add_argument(
        "--config",
        action=DataSection,
        metavar="FILE.yaml",
        help="Take the options from the `data:` section of an experiment or overlay; options that follow on "
        "the command line override it. May be given several times.",
    )
    parser.add_argument(
        "--status", type=bool, nargs="?", const=True, default=False, help="Only say how far it is."
    )
    parser.add_argument(
        "--verify",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="Only compare all checksums of the cache.",
    )
    parser.add_class_arguments(Preparation)


def run(options: jsonargparse.Namespace) -> None:
    """Prepare, verify or describe the cache.

    Raises:
        DataError: If that fails; its text says why and what to do.
    """
    preparation = make_preparation(options)
    if options.verify:
        verify(preparation)
    elif not options.status:
        preparation.prepare()
    print(describe(preparation))


def make_preparation(options: jsonargparse.Namespace) -> Preparation:
    """From parsed options."""
    values = {field.name: options[field.name] for field in fields(Preparation)}
    if isinstance(values["transfer"], jsonargparse.Namespace):
        values["transfer"] = TransferPolicy(**values["transfer"].as_dict())
    return Preparation(**values)


def verify(preparation: Preparation) -> None:
    """Read the whole cache.

    Raises:
        CacheError: With one line for each damaged file.
    """
    problems = preparation.verify()
    if problems:
        raise CacheError(
            f"{len(problems)} file(s) of the cache are damaged:\n" + "\n".join(f"  - {p}" for p in problems),
            "delete these files and run `lightning prepare` again: it makes them anew",
        )


def describe(preparation: Preparation) -> str:
    """How far the cache is, in one or two lines."""
    status = preparation.status()
    text = (
        f"{status.finished} of {status.wanted} recordings cached: {status.seconds / 3600:.2f} h, "
        f"{status.num_bytes / 1e9:.2f} GB in {status.folder}"
    )
    if status.hours_left:
        fetch = f", {status.fetch_bytes / 1e9:.2f} GB to fetch" if status.fetch_bytes else ""
        text += f"\n{status.wanted - status.finished} missing: {status.hours_left:.2f} h{fetch}"
    return text


class DataSection(argparse.Action):
    """Fills in options from the `data:` section of a YAML file."""

    def __call__(  # noqa: D102 (argparse's method)
        self,
        parser: argparse.ArgumentParser,
        namespace: Any,  # noqa: ANN401 (jsonargparse's own kind)
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        for name, value in data_options(str(values)).items():
            namespace[name] = value


def data_options(path: str) -> dict[str, Any]:
    """Those options of a file's data module that concern the cache.

    Raises:
        OptionError: If it cannot be read, or configures another data module.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        config: Any = OmegaConf.create(read_config(Path(path)))
        section: Any = OmegaConf.to_container(config.get("data") or OmegaConf.create(), resolve=True)
    except (RunError, OmegaConfBaseException, AttributeError, ValueError) as error:
        reason = getattr(error, "problem", error)
        raise OptionError(
            f"--config {path} cannot be read ({reason})", "give an experiment's YAML file"
        ) from error
    class_path = str(section.get("class_path") or "MaestroDataModule")
    found: dict[str, Any] = section.get("init_args") or {}
    name = class_path.rpartition(".")[2]
    if name not in ("MaestroDataModule", "AudioFolderDataModule"):
        raise OptionError(
            f"--config {path} uses the data module {class_path}",
            "`lightning prepare` knows MaestroDataModule and AudioFolderDataModule",
        )
    if name == "AudioFolderDataModule":
        found["release"] = None
    known = {field.name for field in fields(Preparation)}
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Preparation)
    try:
        parsed = parser.parse_object({name: value for name, value in found.items() if name in known})
    except jsonargparse.ArgumentError as error:
        raise OptionError(f"--config {path}: {innermost(str(error))}", "correct it") from error
    return {name: parsed[name] for name in found if name in known}
