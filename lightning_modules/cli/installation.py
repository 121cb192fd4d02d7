"""Whether what is installed is what the project asks for, can be imported and works."""

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

from packaging.requirements import Requirement

from lightning_modules.cli.operations import OPERATIONS
from lightning_modules.errors import InstallationError

PACKAGE = "maestro-lightning"
PAIR = ("torch", "torchaudio")
MODULES = {"pyyaml": "yaml", "pillow": "PIL", "pywavelets": "pywt", "scikit-learn": "sklearn"}
"""Modules that are not called as their distributions."""


def requirements() -> list[Requirement]:
    """Requirements of the project on this machine, from its pyproject.toml or its installed metadata."""
    source = Path(__file__).parents[2] / "pyproject.toml"
    if source.is_file():
        lines = tomllib.loads(source.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        lines = metadata.requires(PACKAGE) or []
    wanted = map(Requirement, lines)
    return [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]


def misfits() -> list[str]:
    """Requirements that are missing here, or installed in a version out of bounds."""
    found = []
    for each in requirements():
        try:
            version = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            found.append(f"{each.name} is missing")
            continue
        if not each.specifier.contains(version, prereleases=True):
            found.append(f"{each.name} is {version}, needed is {each.specifier}")
    return found


def require_pair(is_sure: bool = False) -> None:
    """Make sure that torch and torchaudio can be loaded beside each other.

    Args:
        is_sure: Import them also where their versions are as asked for.

    Raises:
        InstallationError: If they cannot; it names the versions and the command that mends it.
    """
    wanted = [each for each in requirements() if each.name in PAIR]
    if not is_sure and all(each.specifier.contains(_version(each.name)) for each in wanted):
        return
    try:
        for name in PAIR:
            import_module(name)
    except Exception as error:  # a library that cannot be loaded raises what it likes
        installed = " with ".join(f"{name} {_version(name)}" for name in PAIR)
        pins = " ".join(f"'{each.name}{each.specifier}'" for each in wanted)
        raise InstallationError(
            f"{installed}: this pair cannot be loaded ({_reason(error)})", f"run `pip install {pins}`"
        ) from error


def failures() -> Iterator[tuple[str, str]]:
    """Packages that cannot be imported, or whose compiled part does not work: name and reason.

    Torch and torchaudio are left out where `require_pair` finds fault with them.
    """
    try:
        require_pair(is_sure=True)
        told: tuple[str, ...] = ()
    except InstallationError:
        told = PAIR
    for name in [*(each.name for each in requirements() if each.name not in told), *_optional()]:
        try:
            import_module(MODULES.get(name.lower(), name.replace("-", "_").lower()))
            OPERATIONS.get(name, lambda: None)()
        except Exception as error:  # a broken library raises what it likes
            yield f"{name} {_version(name)}", _reason(error)


def _optional() -> list[str]:
    """Compiled packages of extras, where they are installed."""
    return [name for name in ("onnxruntime",) if _version(name) != "0"]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "0"


def _reason(error: BaseException) -> str:
    """First line of what was raised first, without the folder that it may begin with."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    text = next(iter(str(error).splitlines()), "")
    return re.sub(r"^/\S*/", "", text) or type(error).__name__
