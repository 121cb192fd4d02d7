"""Files that are there as a whole or not at all, files of others that are read with care, and locks."""

import errno
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from datamodules.errors import CacheError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PART_SUFFIX = ".part"
"""Ends the hidden names of files that are being written; after a kill they may be deleted."""

_NAME_BYTES = 200  # of 255 that most file systems allow
_STALE_SECONDS = 86_400
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000
"""Hz, of a sound file; beyond, its header is damaged: at 1 Hz a file of a megabyte lasts for days."""
INFINITE = 1e6
"""Full scales; from there on a sample counts as infinite: sums of such samples overflow."""
ABANDONED_SECONDS = 30.0
"""How long a lock is waited for whose holder cannot be seen."""
_POLL_SECONDS = 0.1
_SETTLED_SECONDS = 1.0
"""By then, a process that has just locked a file has said so in it."""
_HELD = (errno.EAGAIN, errno.EACCES)
_OPEN_LOCK = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would wait for ever
    | getattr(os, "O_CLOEXEC", 0)
)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the name `path` when the context is left without an error.

    The file that is written is a hidden neighbour with a random name, made exclusively and without following
    links, so that nobody else can choose where the content goes. What a process that was killed left of
    the same file is removed.

    Args:
        path: The final name, replaced if it exists; its folder must exist.

    Yields:
        An empty file to fill; removed after an error.
    """
    stem = _stem(path)
    _remove_leftovers(path.parent, stem)
    part, descriptor = _create(path.parent, stem)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())  # or after a power cut the new name may lead to an empty file
        os.replace(part, path)
    finally:
        os.close(descriptor)
        with suppress(OSError):  # what kept one from writing may keep one from removing
            part.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it sees the old content or the new, never a part."""
    with whole_file(path) as part:
        part.write_bytes(content)


def _stem(path: Path) -> str:
    """Beginning of the hidden names of one file: cut between characters where names would get too long."""
    name = os.fsencode(path.name)[:_NAME_BYTES].decode("utf-8", "ignore")
    return f".{name}."


def _create(folder: Path, stem: str) -> tuple[Path, int]:
    """A new file that nobody had, locked for as long as the descriptor is open."""
    while True:
        part = folder / f"{stem}{secrets.token_hex(8)}{PART_SUFFIX}"
        with suppress(FileExistsError):
            descriptor = os.open(part, _CREATE, 0o666)
            _try_lock(descriptor)
            with suppress(FileNotFoundError):  # taken for a leftover before it was locked
                if os.stat(part, follow_symlinks=False).st_ino == os.fstat(descriptor).st_ino:
                    return part, descriptor
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock an open file; False if somebody else has done so, or the file system knows no locks."""
    try:
        return fcntl is not None and _lock(descriptor)
    except NoLocksError:
        return False


def _remove_leftovers(folder: Path, stem: str) -> None:
    """Delete parts of the same file that no living process is writing."""
    pattern = re.compile(re.escape(stem) + r"([0-9a-f]{16}\.)?part")
    with suppress(OSError):
        for name in os.listdir(folder):
            if pattern.fullmatch(name):
                _remove_if_left(folder / name)


def _remove_if_left(part: Path) -> None:
    with suppress(OSError):
        if part.is_symlink():
            part.unlink()
            return
        descriptor = os.open(part, _READ)
        try:
            # where nothing can be locked, age decides
            if _try_lock(descriptor) or time.time() - os.fstat(descriptor).st_mtime > _STALE_SECONDS:
                part.unlink()
        finally:
            os.close(descriptor)


def remove_parts(folder: Path) -> None:
    """Delete every part that a process which was killed left in `folder` and below."""
    for pattern in (f".*{PART_SUFFIX}", "*.partial"):  # the second: of earlier versions
        for part in folder.rglob(pattern):
            _remove_if_left(part)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading that is a regular one: no link, pipe, device or folder.

    Raises:
        OSError: If it cannot be opened, or is none.
    """
    try:
        descriptor = os.open(path, _READ)
    except ValueError as error:  # of a zero byte
        raise OSError(errno.EINVAL, str(error)) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "no regular file")


class WithinFile:
    """A file that is read by a library which a damaged header sends to places that files do not have.

    It has no name, from which a library might guess what it is.

    Args:
        file: The file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.readinto, self.tell = file.read, file.readinto, file.tell  # type: ignore[attr-defined]
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, or to the end of the file that is nearest to it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._size}[whence]
        return self._file.seek(min(max(start + offset, 0), self._size))

    def write(self, content: bytes) -> int:
        """Refuse.

        Raises:
            OSError: Always.
        """
        raise OSError(errno.EBADF, "opened for reading")


def read_limited(path: Path, limit: int, follow: bool = False) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Args:
        path: The file.
        limit: The most that is read.
        follow: Whether it may be a link to one.

    Raises:
        OSError: If it cannot be read, is no regular file, or larger.
    """
    real = os.path.realpath(path) if follow and "\0" not in str(path) else path
    with open_regular(Path(real)) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes")
    return content


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


class HeldError(Exception):
    """Another process holds a lock.

    Args:
        holder: E.g. "process 7 on host since 2026-11-28 21:00:00"; empty if no running process says so, as
            on network file systems that report every lock as held.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


class NoLocksError(OSError):
    """A file system has no locks that work."""


@contextmanager
def lock_file(path: Path, remove: bool = True) -> Iterator[None]:
    """Hold a lock.

    Args:
        path: Its file, made if missing; its folder must exist.
        remove: Whether the file is deleted afterwards.

    Raises:
        HeldError: If another process holds it.
        NoLocksError: If the file system has none.
        OSError: If the file cannot be made.
    """
    since = time.monotonic()
    while (descriptor := _try(path, remove)) is None:
        if holder := living_holder(path):
            raise HeldError(holder)
        if time.monotonic() - since > _SETTLED_SECONDS:
            raise HeldError("")
        time.sleep(_POLL_SECONDS)
    with _held(descriptor, path, remove):
        yield


@contextmanager
def lock_file_in_turn(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock as soon as whoever holds it lets go of it; the file stays.

    Args:
        path: Its file, made if missing; its folder must exist.
        say: Told who holds it, if it has to be waited for.

    Raises:
        HeldError: If for some time no running process is seen that holds it.
        NoLocksError: If the file system has none.
        OSError: If the file cannot be made.
    """
    descriptor = _try(path)
    if descriptor is None:
        say(_holder(path))
    since = time.monotonic()
    while descriptor is None:
        if living_holder(path):
            since = time.monotonic()
        elif time.monotonic() - since > ABANDONED_SECONDS:
            raise HeldError("")
        time.sleep(_POLL_SECONDS)
        descriptor = _try(path)
    with _held(descriptor, path, remove=False):
        yield


@contextmanager
def locked_in_turn(path: Path) -> Iterator[None]:
    """Do something while no other process of this machine does it that locks the same existing file.

    Nothing is written, so that the file may be anybody's. Where its file system has no locks, nobody waits.

    Raises:
        OSError: If the file cannot be opened.
    """
    with open(path, "rb") as file:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def living_holder(path: Path) -> str:
    """What a lock's file says of its holder; empty if that process does not run any more, as far as known."""
    holder = _holder(path)
    words = holder.split()
    if len(words) < 4 or not words[1].isdecimal():
        return ""
    if words[3] != socket.gethostname():  # of other machines nothing is known
        return holder
    try:
        os.kill(int(words[1]), 0)
    except (ProcessLookupError, OverflowError):
        return ""
    except PermissionError:
        return holder
    return holder


def _holder(path: Path) -> str:
    try:
        return read_limited(path, 300).decode("utf-8", "replace")
    except OSError:
        return ""


def _try(path: Path, removed: bool = False) -> int | None:
    """An open and locked file, or None if another process holds it.

    Args:
        path: The file.
        removed: Whether its holders delete it, so that what is locked may be gone by then.

    Raises:
        NoLocksError: If the file system has none.
        OSError: If it cannot be made.
    """
    while True:
        descriptor = os.open(path, _OPEN_LOCK, 0o666)
        try:
            is_locked = fcntl is None or _lock(descriptor)
            if is_locked and (not removed or _is_still(path, descriptor)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not is_locked:
            return None


def _lock(descriptor: int) -> bool:
    """Lock an open file; False if somebody else has done so.

    Raises:
        NoLocksError: If the file system has none.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise NoLocksError(error.errno, error.strerror) from error
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.stat(path, follow_symlinks=False).st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


@contextmanager
def _held(descriptor: int, path: Path, remove: bool) -> Iterator[None]:
    try:
        now = datetime.now().isoformat(" ", "seconds")
        with suppress(OSError):  # of a full disk: these are words for others, the lock is held all the same
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}".encode(), 0)
        yield
    finally:
        with suppress(OSError):
            if remove:  # while it is still held: nobody else's
                path.unlink()
            else:
                os.truncate(descriptor, 0)
        os.close(descriptor)
