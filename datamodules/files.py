"""Files that are there as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from datamodules.errors import CacheError

PARTIAL_SUFFIX = ".partial"
"""Ends the names of files that are being written; after a kill they may be deleted."""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name only when the context is left without an error.

    Args:
        path: The final name; its folder must exist.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it sees the old content or the new, never a part."""
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the name `path` when the context is left without an error.

    Args:
        path: The final name, replaced if it exists; its folder must exist.

    Yields:
        A hidden neighbour, `.<name>.part`, removed after an error.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):  # what kept one from writing may keep one from removing
            part.unlink()


@contextmanager
def translated_write_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk into advice.

    Raises:
        CacheError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"cannot write in {folder}: {error.strerror or error}",
            "free some space or set `cache_dir` to a folder that can be written to, and start again: "
            "what is finished is kept",
        ) from error
