"""A release as a folder: regular files inside it, and nothing else that its table may name."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from datamodules.archive.base import (
    SMALL_MEMBER_BYTES,
    TABLE_BYTES,
    Archive,
    Metadata,
    no_metadata,
)
from datamodules.errors import AudioError, ReleaseError
from datamodules.files import open_regular, read_limited

REFUSED = "refused"
"""Fingerprint of what is not read."""

_INSIDE = "put the file itself there: only regular files inside the release's folder are read"


class FolderArchive(Archive):
    """An unpacked release.

    A link is followed as long as it stays inside; one that leaves the release, a pipe or a device is refused.

    Args:
        root: The release's root folder: the one that holds the metadata and the year folders.
    """

    may_leave = False
    """Whether links may lead out of the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:  # noqa: D102
        return str(self.root)

    def members(self) -> list[str]:  # noqa: D102
        files = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in files)

    def fingerprint(self, member: str) -> str | None:
        """Size in bytes and time of the last change in nanoseconds; a fixed word for what is refused."""
        try:
            found = self._find(member)
        except ReleaseError:
            return REFUSED
        return None if found is None else f"{found[1].st_size}-{found[1].st_mtime_ns}"

    def packed_size(self, member: str) -> int:  # noqa: D102
        return self.size(member)

    def size(self, member: str) -> int:  # noqa: D102
        try:
            found = self._find(member)
        except ReleaseError:
            return 0
        return 0 if found is None else found[1].st_size

    def metadata(self, names: Sequence[str]) -> Metadata:  # noqa: D102
        for name in names:
            if self._find(name) is not None:
                return Metadata(f"{self.root}/{name}", self._read(name, TABLE_BYTES))
        raise no_metadata(self.location, names)

    def read_bytes(self, member: str) -> bytes:  # noqa: D102
        return self._read(member, SMALL_MEMBER_BYTES)

    @contextmanager
    def open(self, member: str, keep: Path | None = None) -> Iterator["FileStream"]:
        """The file's content; nothing has to be kept, as it lies there already."""
        try:
            found = self._find(member)
        except ReleaseError as error:
            raise AudioError(error.problem, error.remedy) from error
        if found is None:
            raise FileNotFoundError(self.root / member)
        with open_stream(found[0], str(self.root / member)) as stream:
            yield stream

    def _read(self, member: str, limit: int) -> bytes:
        found = self._find(member)
        path = self.root / member
        try:
            if found is None:
                raise FileNotFoundError(None, "No such file")
            return read_limited(found[0], limit)
        except OSError as error:
            raise ReleaseError(
                f"cannot read {path}: {error.strerror or error}", "check the file and its permissions"
            ) from error

    def _find(self, member: str) -> tuple[Path, os.stat_result] | None:
        """Where a member really lies, and what it is; None if it does not exist.

        Raises:
            ReleaseError: If it lies outside the release, or is no regular file.
        """
        path = self.root / member
        try:
            real = path.resolve(strict=True)
            status = real.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a name too long
            raise ReleaseError(f"cannot read {path}: {error}", "check its name and permissions") from error
        if not self.may_leave and not real.is_relative_to(self.root.resolve()):
            raise ReleaseError(f"{path} is a link that leaves the release, to {real}", _INSIDE)
        if not stat.S_ISREG(status.st_mode):
            kind = next((name for name, test in _KINDS if test(status.st_mode)), "no file")
            raise ReleaseError(f"{path} is {kind}, no regular file", _INSIDE)
        return real, status


_KINDS = (
    ("a folder", stat.S_ISDIR),
    ("a pipe", stat.S_ISFIFO),
    ("a device", stat.S_ISCHR),
    ("a device", stat.S_ISBLK),
    ("a socket", stat.S_ISSOCK),
)


@contextmanager
def open_stream(path: Path, name: str | None = None) -> "Iterator[FileStream]":
    """The content of a regular file, for as long as the context lasts.

    Args:
        path: The file.
        name: What messages call it; its path if None.

    Raises:
        AudioError: If it cannot be opened or read.
    """
    name = name or str(path)
    try:
        file = open_regular(path)
    except FileNotFoundError as error:
        raise AudioError(
            f"{name}: no such file", "restore the recording from the official release"
        ) from error
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror or error})", "check the file") from error
    with file:
        yield FileStream(file, name)


class FileStream:
    """An open file as a `ByteStream`.

    Args:
        file: The file.
        name: What messages call it.

    Attributes:
        file: The file, for decoders that go back and forth.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.size = os.fstat(file.fileno()).st_size
        self.file = file

    def readinto(self, target: memoryview) -> int:  # noqa: D102
        filled = 0
        while filled < len(target) and (count := self._read_some(target[filled:])):
            filled += count
        return filled

    def read(self, size: int) -> bytes:  # noqa: D102
        target = bytearray(min(size, self.size))
        return bytes(target[: self.readinto(memoryview(target))])

    def _read_some(self, target: memoryview) -> int:
        try:
            return self.file.readinto(target)  # type: ignore[attr-defined]
        except OSError as error:
            raise AudioError(
                f"{self.name}: cannot be read ({error.strerror})", "check the disk, or restore the recording"
            ) from error
