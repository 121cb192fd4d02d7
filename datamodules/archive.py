"""A release's files, wherever they lie: the bytes of one member at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from datamodules.errors import ReleaseError
from datamodules.releases import Release


class Archive(ABC):
    """A release as a set of named members.

    Member names are relative to the release's root folder, with forward slashes, as in the metadata:
    `2009/some_performance.wav`.
    """

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
    def read_bytes(self, member: str) -> bytes:
        """The whole content of a small member, such as the metadata.

        Raises:
            ReleaseError: If it is absent or cannot be read.
        """

    @abstractmethod
    def local_file(self, member: str) -> AbstractContextManager[Path]:
        """A file on the local disk with the member's content, for as long as the context lasts.

        Decoders read a plain file several times faster than a Python file object, and without holding
        the interpreter's lock. An archive whose members are no plain files extracts one to a temporary
        file and deletes it on leaving.

        Raises:
            FileNotFoundError: If there is no such member.
        """


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

    def read_bytes(self, member: str) -> bytes:  # noqa: D102
        path = self.root / member
        try:
            return path.read_bytes()
        except OSError as error:
            raise ReleaseError(
                f"cannot read {path}: {error.strerror}", "check the file's permissions"
            ) from error

    @contextmanager
    def local_file(self, member: str) -> Iterator[Path]:  # noqa: D102
        path = self.root / member
        if not path.exists():
            raise FileNotFoundError(path)
        yield path


def open_archive(release: Release, source: str | Path) -> Archive:
    """Open the release at `source`.

    Args:
        release: Which release is expected there.
        source: The release's root folder, or the folder that contains it.

    Raises:
        ReleaseError: If `source` is no folder, or holds no metadata of this release.
    """
    _refuse_unsupported(str(source))
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ReleaseError(
            f"source={str(source)!r} is not a folder: nothing is there",
            f"give the folder {release.root}/ of the unpacked release, or the folder that contains it",
        )
    for root in (folder, folder / release.root):
        if any((root / f"{release.stem}{suffix}").is_file() for suffix in (".csv", ".json")):
            return FolderArchive(root)
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise ReleaseError(
        f"source={str(source)!r} holds neither {release.stem}.csv nor {release.stem}.json (found: {found})",
        f"give the folder that holds {release.stem}.csv, or set `release` to the version that lies there",
    )


def _refuse_unsupported(source: str) -> None:
    """Say what works instead of a zip or an address."""
    is_address = "://" in source
    if is_address or source.lower().endswith(".zip"):
        kind = "an address" if is_address else "a zip archive"
        raise ReleaseError(
            f"source={source!r} is {kind}, which cannot be read directly",
            "download and unpack the archive, and give the unpacked folder",
        )
