"""One process at a time makes a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from datamodules.cache.progress import say


@contextmanager
def single_writer(folder: Path, progress: bool = True) -> Iterator[None]:
    """Hold the lock of a folder that is being made; the operating system frees it if this process dies.

    Args:
        folder: The folder; the lock is a file beside it.
        progress: Whether to say that another process is being waited for.
    """
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another process is preparing {folder.name}; waiting for it to finish.", progress)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
