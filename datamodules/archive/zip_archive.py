"""A release inside a zip archive, local or remote; single members are read, nothing is unpacked."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from datamodules.archive.base import (
    CRC_MARK,
    SMALL_MEMBER_BYTES,
    TABLE_BYTES,
    Archive,
    ByteStream,
    Metadata,
    no_metadata,
)
from datamodules.archive.byte_source import ByteSource
from datamodules.archive.http_file import HttpFile
from datamodules.archive.zip_index import ZipMember, index_from_json, index_to_json, read_index
from datamodules.archive.zip_member import MemberStream
from datamodules.errors import AbsentError, AudioError, CorruptMemberError, ReleaseError
from datamodules.files import read_limited, whole_file, write_atomically
from datamodules.releases import Release

# A member that gave unusable audio is read to its end, to tell damage in the archive from a bad recording;
# the longest recording of MAESTRO has half a gigabyte.
_WORTH_CHECKING_BYTES = 1 << 31
_REMOTE_ATTEMPTS = 3
_INDEX_BYTES = 1 << 27


class ZipArchive(Archive):
    """A zip archive on the local disk: stored or deflated, also beyond 4 GB (ZIP64).

    Args:
        source: The archive's bytes.
        release: The release that it should hold, in the folder `release.root` or at its top.
    """

    is_packed = True

    def __init__(self, source: ByteSource, release: Release) -> None:
        self.source = source
        self.release = release
        self._members: dict[str, ZipMember] | None = None

    @property
    def location(self) -> str:  # noqa: D102
        return self.source.location

    @property
    def transferred(self) -> int:  # type: ignore[override]  # noqa: D102
        return self.source.transferred

    def members(self) -> list[str]:  # noqa: D102
        return sorted(self._index())

    def fingerprint(self, member: str) -> str | None:
        """Size in bytes and CRC-32, both from the archive's directory."""
        found = self._index().get(member)
        return f"{found.size}-{CRC_MARK}{found.crc32:08x}" if found else None

    def packed_size(self, member: str) -> int:  # noqa: D102
        found = self._index().get(member)
        return found.compressed if found else 0

    def size(self, member: str) -> int:  # noqa: D102
        found = self._index().get(member)
        return found.size if found else 0

    def metadata(self, names: Sequence[str]) -> Metadata:  # noqa: D102
        for name in names:
            if name in self._index():
                return Metadata(f"{self.location}/{name}", self._read(name, TABLE_BYTES))
        inner = [name for name in self._index() if name.endswith(".zip")]
        if inner:
            raise ReleaseError(
                f"{self.location} holds an archive inside the archive, {inner[0]}",
                f"unpack the outer one and set `source` to {PurePosixPath(inner[0]).name}",
            )
        raise no_metadata(self.location, names)

    def read_bytes(self, member: str) -> bytes:  # noqa: D102
        return self._read(member, SMALL_MEMBER_BYTES)

    def _read(self, member: str, limit: int) -> bytes:
        found = self._index().get(member)
        if found is None or found.size > limit:
            size = (
                "no such member" if found is None else f"{found.size:,} bytes where a small file was expected"
            )
            raise ReleaseError(f"{self.location}/{member}: {size}", "get the official archive")
        for attempt in range(1, self.attempts + 1):
            try:
                stream = MemberStream(self.source, found)
                content = stream.read(found.size)
                stream.drain()
                return content
            except CorruptMemberError as error:
                if attempt == self.attempts:
                    raise ReleaseError(error.problem, "download the archive again") from error
        raise AssertionError("the last failure has raised")

    @contextmanager
    def open(self, member: str, keep: Path | None = None) -> Iterator[ByteStream]:  # noqa: D102
        found = self._index().get(member)
        if found is None:
            raise FileNotFoundError(f"{self.location}/{member}")
        if keep is None:
            stream = MemberStream(self.source, found)
            with _checked_on_leaving(stream):
                yield stream
            return
        keep.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(keep) as part, part.open("wb") as file:
            stream = MemberStream(self.source, found, file.write)
            with _checked_on_leaving(stream):
                yield stream

    def cancel(self) -> None:  # noqa: D102
        self.source.cancel()

    def _index(self) -> dict[str, ZipMember]:
        """Members by their name below the release's root."""
        if self._members is None:
            self._members = self._below_root(self._read_index())
        return self._members

    def _read_index(self) -> dict[str, ZipMember]:
        return read_index(self.source)

    def _below_root(self, index: dict[str, ZipMember]) -> dict[str, ZipMember]:
        tables = [PurePosixPath(name) for name in index if name.endswith(self.release.metadata_names)]
        inside = {path.parent for path in tables if path.name in self.release.metadata_names}
        # without a table, or with several releases, that of the official archive
        root = f"{inside.pop() if len(inside) == 1 else self.release.root}/".removeprefix("./")
        if any(name.startswith(root) for name in index):
            return {
                name.removeprefix(root): member for name, member in index.items() if name.startswith(root)
            }
        return index


class RemoteZipArchive(ZipArchive):
    """A zip archive behind a URL.

    Its table and directory are remembered, so that a complete cache is used without any network. The table is
    that beside the archive, as on the official server (`…/maestro-v3.0.0.csv` beside `….zip`); only if
    there is none, the one inside.

    Args:
        source: The archive's bytes.
        release: The release that it should hold.
        memory: Folder to remember in; None to remember nothing.
    """

    is_remote = True
    attempts = _REMOTE_ATTEMPTS

    def __init__(self, source: ByteSource, release: Release, memory: Path | None = None) -> None:
        super().__init__(source, release)
        digest = hashlib.sha256(source.location.encode()).hexdigest()[:8]
        self._folder = None if memory is None else memory / f"{release.name}-{digest}"

    def metadata(self, names: Sequence[str]) -> Metadata:  # noqa: D102
        remembered = [self._folder / name for name in names] if self._folder else []
        for path in remembered:
            if path.is_file():
                return Metadata(str(path), self._remembered_table(path))
        found = self._metadata_beside(names) or super().metadata(names)
        self._remember(found.name.rpartition("/")[2], found.content)
        return found

    def _remembered_table(self, path: Path) -> bytes:
        try:
            return read_limited(path, TABLE_BYTES)
        except OSError as error:
            raise ReleaseError(
                f"cannot read {path}: {error.strerror or error}", "delete that file"
            ) from error

    def refresh(self) -> bool:
        """Ask the server whether the archive is still the one that is remembered.

        Raises:
            ReleaseError: If it cannot be reached, or is not as large as the official archive.
        """
        self._check_official_size()
        remembered = self._remembered_index()
        if remembered is None or remembered[0] == self.source.version:
            return False
        assert self._folder is not None
        for path in self._folder.iterdir():
            path.unlink()
        self._members = None
        return True

    def _check_official_size(self) -> None:
        official = self.release.archive_bytes
        if self.location == self.release.url and official is not None and self.source.size != official:
            raise ReleaseError(
                f"{self.location} has {self.source.size:,} bytes, the official archive {official:,}",
                "wait until the server is repaired, or set `source` to a copy of the archive",
            )

    def _metadata_beside(self, names: Sequence[str]) -> Metadata | None:
        if not isinstance(self.source, HttpFile):
            return None
        for name in names:
            table = HttpFile(f"{self.location.rpartition('/')[0]}/{name}", self.source.policy)
            try:
                content = table.read_all(TABLE_BYTES)
            except AbsentError:
                continue
            self.source.transferred += table.transferred
            return Metadata(table.url, content)
        return None

    def _read_index(self) -> dict[str, ZipMember]:
        remembered = self._remembered_index()
        if remembered is not None:
            return remembered[1]
        index = read_index(self.source)
        content = {"version": self.source.version, "members": index_to_json(index.values())}
        self._remember("index.json", json.dumps(content).encode())
        return index

    def _remembered_index(self) -> tuple[str, dict[str, ZipMember]] | None:
        """The archive's version and members, if both are remembered."""
        if self._folder is None:
            return None
        try:
            content = json.loads(read_limited(self._folder / "index.json", _INDEX_BYTES))
            return content["version"], index_from_json(content["members"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _remember(self, name: str, content: bytes) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / name, content)


@contextmanager
def _checked_on_leaving(stream: MemberStream) -> Iterator[None]:
    """Read the rest, so that damage in the archive is told from a recording that was always bad.

    Raises:
        CorruptMemberError: If the bytes are not those of the archive's directory.
    """
    try:
        yield
        stream.drain()
    except CorruptMemberError:
        raise
    except AudioError:
        if stream.size <= _WORTH_CHECKING_BYTES:
            stream.drain()
        raise
    finally:
        stream.close()
