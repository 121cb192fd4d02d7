"""The experiments that come along, found by name from any folder: `vae`, `hardware/gpu`."""

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "experiments"
"""Beside the package, in a checkout and where it is installed."""
SUFFIX = ".yaml"
_OPTIONS = ("--config", "-c")


def experiment_file(name: str) -> str:
    """The path of an experiment.

    Args:
        name: A file, which is returned as it is; else `vae` or `experiments/vae.yaml`. So is one that there
            is not.
    """
    inside = name.removeprefix(f"{FOLDER.name}/").removesuffix(SUFFIX) if "/" in name else name
    if Path(name).is_file() or inside not in experiment_names("**/*"):
        return name
    return str(FOLDER / f"{inside}{SUFFIX}")


def experiment_names(pattern: str = "*") -> list[str]:
    """Names of the experiments that come along; `**/*` for overlays and sweeps as well."""
    return sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob(f"{pattern}{SUFFIX}"))


def with_experiment_files(arguments: list[str]) -> list[str]:
    """A command line on which `--config vae` has become the path of that experiment."""
    return list(_with_files(arguments))


def _with_files(arguments: list[str]) -> Iterator[str]:
    is_value = False
    for word in arguments:
        option, equals, value = word.partition("=")
        if is_value:
            yield experiment_file(word)
        elif option in _OPTIONS and equals:
            yield f"{option}={experiment_file(value)}"
        else:
            yield word
        is_value = word in _OPTIONS
