"""A run's config.yaml: read within limits, and looked at before anything in it is built."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datamodules.files import read_limited
from lightning_modules.checkpoints.trust import Inspection, trusted_packages
from lightning_modules.errors import CheckpointError, RunError

LARGEST_BYTES = 2**20
MAX_NODES = 50_000
MAX_DEPTH = 40
SHARED_OPTIONS = ("sample_rate", "clip_samples", "channels")
"""Options that the data module decides and the model follows."""
MAX_STEPS = "${trainer.max_steps}"
NEVER_WRITTEN = ("config", "trust", "fit", "validate", "test", "predict")
"""Options, and sections of verbs, that a run leaves out of its config."""
FREE_PATHS = ("data.source", "data.cache_dir", "density", "runs_dir")
"""Data are read and kept in one place for all runs; a density is only read; the last is not used."""
OF_CACHE = ("pcm", "notes", "releases", "sources")
"""Folders by which a place for data is known as one."""


def read_config(path: Path) -> dict[str, Any]:
    """The options in a run's config.

    Raises:
        RunError: If it cannot be read, is no table of options, or is made to fill the memory.
    """
    try:
        # a link may lead to a config, but none to a pipe, which would be waited for
        content = read_limited(path, LARGEST_BYTES, follow=True)
        return parse_config(content.decode("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error})",
            "save it as YAML in UTF-8, or give other options with --config",
        ) from error


def parse_config(text: str, where: str) -> dict[str, Any]:
    """The options in YAML.

    Args:
        text: YAML that this program wrote.
        where: Its file, for errors.

    Raises:
        RunError: If it is no table of options, or is made to fill the memory.
    """
    import yaml  # type: ignore[import-untyped]  # ships no type information

    remedy = "correct it, or give other options with --config FILE.yaml"
    if len(text) > LARGEST_BYTES:
        raise RunError(f"{where} is larger than {LARGEST_BYTES:,} bytes", remedy)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        # counted before the objects are made: aliases may stand for as many nodes as one likes
        if root is not None and _size(root, {}, 0) > MAX_NODES:
            raise RunError(f"{where} holds more than {MAX_NODES:,} values", remedy)
        content = yaml.safe_load(text)
    except RecursionError as error:
        raise RunError(f"{where} is nested deeper than {MAX_DEPTH} levels", remedy) from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = error if mark is None else f"line {mark.line + 1}: {getattr(error, 'problem', error)}"
        raise RunError(f"{where} is no YAML: {reason}", remedy) from error
    if not isinstance(content, dict):
        raise RunError(f"{where} is no table of options", remedy)
    return content


def _size(node: Any, sizes: dict[int, int], depth: int) -> int:  # noqa: ANN401 (yaml ships no types)
    """Nodes below and with `node`, each alias counted in full."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if id(node) not in sizes:
        values = node.value if isinstance(node.value, list) else []
        below = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
        sizes[id(node)] = 1 + sum(_size(part, sizes, depth + 1) for part in below)
    return sizes[id(node)]


@contextmanager
def explained_configs(files: Sequence[str]) -> Iterator[None]:
    """Explain what is wrong with configs that a person names, before and while they are parsed.

    Raises:
        RunError: If one cannot be read, or refers to what is not there.
    """
    from omegaconf.errors import OmegaConfBaseException

    named = [Path(file) for file in files if Path(file).is_file()]
    for path in named:
        read_config(path)
    try:
        yield
    except (OmegaConfBaseException, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise RunError(
            f"The options in {', '.join(map(str, named))} cannot be put together ({reason})",
            "correct what stands between ${ and }, or set the environment variable that it names",
        ) from error


def model_section(path: Path) -> dict[str, Any]:
    """The description of the model in an experiment file, with the options that it shares with the data.

    Raises:
        RunError: If the file cannot be read, or describes no model.
    """
    from omegaconf import DictConfig, OmegaConf

    with explained_configs([str(path)]):
        whole: Any = OmegaConf.create(read_config(path))
        parts: dict[str, Any] = {
            name: OmegaConf.to_container(whole[name], resolve=True)
            for name in ("model", "data")
            if isinstance(whole.get(name), DictConfig)
        }
    model, data = (parts.get(name, {}) for name in ("model", "data"))
    if "class_path" not in model:
        raise RunError(f"{path} describes no model", "give a file of experiments, e.g. experiments/vae.yaml")
    given = data.get("init_args") or {}
    shared = {name: given[name] for name in SHARED_OPTIONS if name in given}
    return {"class_path": model["class_path"], "init_args": {**shared, **(model.get("init_args") or {})}}


def with_links(config: str, sources: Sequence[Path]) -> str:
    """Let options follow `trainer.max_steps` in a run's config as they did in the files that it was made of.

    Without, a schedule would keep its length when the run is continued with more steps.

    Args:
        config: Resolved options as YAML.
        sources: The files, of which later ones count.
    """
    import yaml

    content = yaml.safe_load(config)
    steps = (content.get("trainer") or {}).get("max_steps")
    links: dict[tuple[str | int, ...], bool] = {}
    for source in sources:
        for place, value in _leaves(yaml.safe_load(source.read_text(encoding="utf-8")), ()):
            links[place] = isinstance(value, str) and value.replace(" ", "") == MAX_STEPS
    followers = [place for place, follows in links.items() if follows and _at(content, place) == steps]
    for *way, last in followers:
        _at(content, tuple(way))[last] = MAX_STEPS
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True) if followers else config


def _leaves(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:  # noqa: ANN401
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*place, key))
    else:
        yield place, value


def _at(content: Any, place: Sequence[str | int]) -> Any:  # noqa: ANN401 (plain values)
    for key in place:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def check_config(path: Path, objects: Mapping[str, object], arguments: Mapping[str, Any]) -> None:
    """Make sure that the config of a run names nothing that may not be built, and no files outside the run.

    See `checkpoints.trust`.

    Args:
        path: The config.
        objects: Its sections that describe an object: name -> base class.
        arguments: Its sections that hold the arguments of a constructor: name -> class.

    Raises:
        RunError: If it cannot be read.
        CheckpointError: If it names what may not be built or written, or asks for environment variables.
    """
    content = read_config(path)
    steps = _at(content, ("trainer", "max_steps"))
    inspection = Inspection(
        str(path),
        trusted_packages(),
        folder=path.parent,
        free=FREE_PATHS,
        references=(MAX_STEPS,) if isinstance(steps, int) else (),
    )
    for name, value in content.items():
        if not isinstance(name, str) or not name.isidentifier() or name in NEVER_WRITTEN:
            raise RunError(
                f"{path} has the option {name!r}, which a run never writes",
                "use the file that this program wrote, or give the options with --config FILE.yaml",
            )
        if name in arguments and value is not None:
            inspection.check_arguments(value, arguments[name], name)
        else:
            inspection.check(value, objects.get(name, str | list[str] | None), name)
    check_cache_dir(path, content)


def check_cache_dir(path: Path, content: Mapping[str, Any]) -> None:
    """Make sure that the config of a run has data kept where data are kept already, and nowhere else.

    Args:
        path: The config.
        content: Its options.

    Raises:
        CheckpointError: If it names another folder.
    """
    cache = _at(content, ("data", "init_args", "cache_dir"))
    root = "" if cache is None else os.path.expanduser(str(cache))
    if root and not any(os.path.isdir(os.path.join(root, name)) for name in OF_CACHE):
        raise CheckpointError(
            f"{path} has data kept in {cache} (at data.cache_dir), where none are kept so far",
            f"if you trust the file, make that folder with a folder {OF_CACHE[0]} in it, or name the file "
            f"and another: --config {shlex.quote(str(path))} --data.cache_dir FOLDER",
        )
