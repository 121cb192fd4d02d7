"""A release's files, wherever they lie: a folder, a local zip or a remote zip, one member at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from datamodules.archive.byte_source import FsspecFile, LocalFile
from datamodules.archive.http_file import HttpFile, TransferPolicy
from datamodules.archive.wav_stream import ByteStream
from datamodules.errors import ReleaseError
from datamodules.releases import Release

CRC_MARK = "crc"
"""Begins the second part of a fingerprint that is a checksum, not a time."""


class Metadata(NamedTuple):
    """The release's table.

    Attributes:
        name: Where it was found, for messages; ends in .csv or .json.
        content: Its bytes.
    """

    name: str
    content: bytes


class Archive(ABC):
    """A release as a set of named members.

    Member names are relative to the release's root folder, with forward slashes, as in the metadata:
    `2009/some_performance.wav`.
    """

    is_remote = False
    """Whether every byte costs a transfer."""

    is_packed = False
    """Whether members are no plain files."""

    attempts = 1
    """How often a member is read before its damage counts as final."""

    transferred = 0
    """Bytes received so far over the network."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the archive lies, for messages."""

    @abstractmethod
    def members(self) -> list[str]:
        """Names of all members, sorted."""

    @abstractmethod
    def fingerprint(self, member: str) -> str | None:
        """A short text that changes whenever the member's content does; None if there is no such member.

        Cheap: it never reads the content.
        """

    @abstractmethod
    def packed_size(self, member: str) -> int:
        """Bytes that reading the member takes from the disk or the network; 0 if there is none."""

    @abstractmethod
    def size(self, member: str) -> int:
        """Bytes of the member's content; 0 if there is none."""

    @abstractmethod
    def metadata(self, names: Sequence[str]) -> Metadata:
        """The first of the tables called `names` that there is.

        Raises:
            ReleaseError: If there is none, or it cannot be read.
        """

    @abstractmethod
    def read_bytes(self, member: str) -> bytes:
        """The whole content of a small member.

        Raises:
            ReleaseError: If it is absent or cannot be read.
        """

    @abstractmethod
    def open(self, member: str, keep: Path | None = None) -> AbstractContextManager[Path | ByteStream]:
        """The content of a member, for as long as the context lasts: the path of a plain file, or a stream.

        What a stream gave is checked by its size and CRC-32 when the context is left.

        Args:
            member: Which member.
            keep: Where a stream's content is also written, atomically, once it has proved sound.

        Raises:
            FileNotFoundError: If there is no such member.
            CorruptMemberError: If the content is not what the archive promises.
        """

    def refresh(self) -> bool:
        """Make sure that what is remembered of a remote archive still holds; True if it did not."""
        return False

    def cancel(self) -> None:  # noqa: B027 (most archives never wait)
        """Make waiting reads of other threads give up soon."""


class FolderArchive(Archive):
    """An unpacked release.

    Args:
        root: The release's root folder: the one that holds the metadata and the year folders.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:  # noqa: D102
        return str(self.root)

    def members(self) -> list[str]:  # noqa: D102
        files = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in files)

    def fingerprint(self, member: str) -> str | None:
        """Size in bytes and time of the last change in nanoseconds."""
        try:
            status = (self.root / member).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return f"{status.st_size}-{status.st_mtime_ns}"

    def packed_size(self, member: str) -> int:  # noqa: D102
        return self.size(member)

    def size(self, member: str) -> int:  # noqa: D102
        path = self.root / member
        return path.stat().st_size if path.is_file() else 0

    def metadata(self, names: Sequence[str]) -> Metadata:  # noqa: D102
        for name in names:
            if (self.root / name).is_file():
                return Metadata(f"{self.root}/{name}", self.read_bytes(name))
        raise no_metadata(self.location, names)

    def read_bytes(self, member: str) -> bytes:  # noqa: D102
        path = self.root / member
        try:
            return path.read_bytes()
        except OSError as error:
            raise ReleaseError(
                f"cannot read {path}: {error.strerror}", "check the file's permissions"
            ) from error

    @contextmanager
    def open(self, member: str, keep: Path | None = None) -> Iterator[Path | ByteStream]:
        """The file's path; nothing has to be kept, as it lies there already."""
        path = self.root / member
        if not path.exists():
            raise FileNotFoundError(path)
        yield path


def same_recording(fingerprint: str, other: str) -> bool:
    """Whether two fingerprints may be of the same recording.

    Those of a folder (size and time) and of a zip archive (size and CRC-32) share the size alone: it decides
    if a cache that was made from one is used with the other, and hours of work are not thrown away.
    """
    kinds = [text.partition("-")[2].startswith(CRC_MARK) for text in (fingerprint, other)]
    if kinds[0] == kinds[1]:
        return fingerprint == other
    return fingerprint.partition("-")[0] == other.partition("-")[0]


def no_metadata(location: str, names: Sequence[str]) -> ReleaseError:
    """The error for an archive without its table."""
    return ReleaseError(
        f"{location} holds neither {' nor '.join(names)}",
        "restore the metadata from the official release, or set `release` to the version that lies there",
    )


def open_archive(
    release: Release,
    source: str | Path,
    transfer: TransferPolicy | None = None,
    memory: Path | None = None,
) -> Archive:
    """Open the release at `source`. Nothing is read over the network until it is needed.

    Args:
        release: Which release is expected there.
        source: The release's root folder, or the folder that contains it; a zip file; or the URL of one.
        transfer: How patient downloads are.
        memory: Folder where the table and the directory of remote archives are kept between runs.

    Raises:
        ReleaseError: If `source` is none of these, or a folder without metadata of this release.
    """
    from datamodules.archive.zip_archive import RemoteZipArchive, ZipArchive

    address = str(source)
    if address.startswith(("http://", "https://")):
        return RemoteZipArchive(HttpFile(address, transfer), release, memory)
    if "://" in address:
        return RemoteZipArchive(FsspecFile(address), release, memory)
    path = Path(source).expanduser()
    if path.is_file():
        return ZipArchive(LocalFile(path), release)
    return _open_folder(release, path)


def _open_folder(release: Release, folder: Path) -> FolderArchive:
    if not folder.is_dir():
        raise ReleaseError(
            f"source={str(folder)!r} is not a folder, a zip file or a URL: nothing is there",
            f"give the folder {release.root}/ of the unpacked release, the folder that contains it, "
            f"{release.root}.zip, or its URL",
        )
    for root in (folder, folder / release.root):
        if any((root / name).is_file() for name in release.metadata_names):
            return FolderArchive(root)
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise ReleaseError(
        f"source={str(folder)!r} holds neither {' nor '.join(release.metadata_names)} (found: {found})",
        f"give the folder that holds {release.stem}.csv, or set `release` to the version that lies there",
    )
