"""Files that are there as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
