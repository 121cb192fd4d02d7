"""One process at a time makes a folder."""

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datamodules.cache.progress import say
from datamodules.errors import CacheError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS = 0.1
_ABANDONED_SECONDS = 30.0
_HELD = (errno.EAGAIN, errno.EACCES)
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def single_writer(folder: Path, progress: bool = True) -> Iterator[None]:
    """Hold the lock of a folder that is being made; the operating system frees it if this process dies.

    Args:
        folder: The folder; the lock is a file beside it.
        progress: Whether to say that another process is being waited for.

    Raises:
        CacheError: If the file system has no locks that work.
        OSError: If the file cannot be made.
    """
    path = Path(f"{folder}.lock")
    descriptor = os.open(path, _OPEN, 0o666)
    try:
        if fcntl is not None and not _locked(descriptor, path):
            holder = _holder(path)
            say(
                f"Another process is preparing {Path(folder).name}; waiting for it to finish."
                f"{holder and f' It is {holder}.'}",
                progress,
            )
            _wait(descriptor, path)
        with suppress(OSError):  # only for messages
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
        with suppress(OSError):
            os.truncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path) -> bool:
    """Try to lock an open file; False if another process holds it.

    Raises:
        CacheError: If that cannot be done on its file system.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise _no_locks(path, error.strerror or str(error)) from error
    return True


def _wait(descriptor: int, path: Path) -> None:
    """Wait for the lock as long as somebody may hold it.

    Raises:
        CacheError: If nobody does who can be seen: some network file systems answer like that.
    """
    since = time.monotonic()
    while not _locked(descriptor, path):
        if _is_alive(_holder(path)):
            since = time.monotonic()
        elif time.monotonic() - since > _ABANDONED_SECONDS:
            raise _no_locks(path, "it is reported as locked, but no running process holds it")
        time.sleep(_POLL_SECONDS)


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:300]
    except OSError:
        return ""


def _is_alive(holder: str) -> bool:
    """Whether a holder may still run; of one on another machine nothing is known."""
    words = holder.split()
    if len(words) != 4 or not words[1].isdecimal():
        return False
    if words[3] != socket.gethostname():
        return True
    try:
        os.kill(int(words[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _no_locks(path: Path, reason: str) -> CacheError:
    return CacheError(
        f"cannot lock {path}: {reason}",
        "the file system there has no locks that work: set `cache_dir` to a local disk, or prepare the cache "
        "once on a local disk with `lightning prepare` and copy it there",
    )
