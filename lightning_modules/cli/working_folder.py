"""Modules in the working folder: found where a person names them, and only there."""

import importlib.abc
import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from lightning_modules.checkpoints.trust import trusted_packages
from lightning_modules.errors import RunError
from lightning_modules.runs.config import read_config

_MODULE = re.compile(r"(?<![\w./${-])([A-Za-z_]\w*)(?=\.[A-Za-z_])")
"""First word of a class path."""
_CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


class WorkingFolder(importlib.abc.MetaPathFinder):
    """Finds modules of the working folder whose names a person has given.

    With the folder on `sys.path`, as Python does it for scripts, libraries that look for optional packages
    would import whatever lies there under such a name, and start what packages there announce as their
    plug-ins: a folder of checkpoints from elsewhere could run code. A module that is named vouches for its
    neighbours: the folder is appended to `sys.path` when the first one is found. Installed packages come
    first in any case.

    Args:
        folder: The folder in full, for the parser changes into the folder of each config that it reads.
        names: Modules at the top level.
    """

    def __init__(self, folder: str, names: Collection[str]) -> None:
        self.folder = folder
        self.names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if path is not None or fullname not in self.names:
            return None
        found = PathFinder.find_spec(fullname, [self.folder])
        if found is not None and self.folder not in sys.path:
            sys.path.append(self.folder)
        return found


def let_named_modules_be_imported(arguments: Sequence[str]) -> None:
    """Let what a command line, or a config on it, names be imported from the working folder.

    Args:
        arguments: The command line, beginning with the verb.
    """
    folder = os.getcwd()
    # of `python -c` and of notebooks, whose way this is
    sys.path[:] = [folder if entry == "" else entry for entry in sys.path]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, WorkingFolder)]
    sys.meta_path.append(WorkingFolder(folder, named_modules(arguments)))


def named_modules(arguments: Sequence[str]) -> set[str]:
    """Modules at the top level that class paths on a command line, in its configs, or `--trust` begin with.

    Args:
        arguments: The command line, beginning with the verb.
    """
    found = {package.partition(".")[0] for package in trusted_packages()}
    for word in arguments[1:]:
        value = word.partition("=")[2] if word.startswith("-") else word
        if not os.path.exists(value):
            found |= set(_MODULE.findall(value))
        elif value.endswith(_CONFIG_SUFFIXES) and os.path.isfile(value):
            found |= {name for text in _texts_of(Path(value)) for name in _MODULE.findall(text)}
    return found


def _texts_of(config: Path) -> Iterator[str]:
    try:
        yield from _texts(read_config(config))
    except RunError:  # which the parser will say better
        return


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 (plain values)
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
