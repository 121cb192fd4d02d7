"""The directory of a zip archive: which members it has, and where their bytes lie."""

import io
import json
import struct
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import PurePosixPath

from datamodules.archive.byte_source import ByteSource
from datamodules.errors import ReleaseError

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
LOCAL_HEADER_BYTES = 30

_ENCRYPTED_FLAG = 1
# sound never becomes so much smaller; below the first, no size does harm
_BOMB_BYTES, _BOMB_RATIO = 1 << 28, 100
_DIRECTORY_BYTES = 1 << 26
# the end record, its longest comment, and the two ZIP64 records before it
_TAIL_BYTES = 22 + (1 << 16) + 20 + 56


@dataclass(frozen=True)
class ZipMember:
    """One file of an archive, as its directory describes it.

    Attributes:
        name: Full name in the archive, in plain spelling.
        header: Offset of the local header in bytes.
        limit: Offset before which the member must end: the next header, or the directory.
        compressed: Size in the archive in bytes.
        size: Size in bytes.
        crc32: CRC-32 of the content.
        method: `STORED` or `DEFLATED`.
        stored_name: The name as it was spelt.
    """

    name: str
    header: int
    limit: int
    compressed: int
    size: int
    crc32: int
    method: int
    stored_name: str


_TYPES = (str, int, int, int, int, int, int, str)


def read_index(source: ByteSource) -> dict[str, ZipMember]:
    """Read the directory of an archive: three requests at most, whatever the archive's size.

    Returns:
        Its files by name; folders are left out.

    Raises:
        ReleaseError: If it is no complete zip archive, or a member is not safe or not readable: a name that
            leaves the release's folder, one that occurs twice, encryption, a compression other than
            deflate, or bytes that overlap another member's.
    """
    try:
        with zipfile.ZipFile(_RandomReader(source)) as archive:
            infos, directory = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise ReleaseError(
            f"{source.location} is no complete zip archive ({error}); it has {source.size:,} bytes",
            "download it again: it was cut off, or is something else",
        ) from error
    if not all(info.filename for info in infos):
        raise ReleaseError(f"{source.location} holds a member without a name", "get the official archive")
    members = [_checked(info, source.location) for info in infos if not info.is_dir()]
    return _by_name(_with_limits(members, directory, source.location), source.location)


def index_to_json(members: Iterable[ZipMember]) -> str:
    """Text from which `index_from_json` makes the same members."""
    return json.dumps([astuple(member) for member in members])


def index_from_json(text: str) -> dict[str, ZipMember]:
    """Inverse of `index_to_json`.

    Raises:
        ValueError: If the text is damaged.
    """
    try:
        members = [ZipMember(*row) for row in json.loads(text)]
        if any(tuple(map(type, astuple(each))) != _TYPES for each in members):
            raise ValueError("values of other types")
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return {member.name: member for member in members}


def _checked(info: zipfile.ZipInfo, location: str) -> ZipMember:
    name = info.orig_filename.replace("\\", "/")  # some programs on Windows write backslashes
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or ":" in name.partition("/")[0]:
        raise ReleaseError(
            f"{location} holds a member called {name!r}, which would lie outside the release's folder",
            "do not use this archive: it was made to harm; get the official one",
        )
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise ReleaseError(f"{location}: {name} is encrypted", "give an archive without a password")
    if info.compress_type not in (STORED, DEFLATED):
        raise ReleaseError(
            f"{location}: {name} is compressed by method {info.compress_type}",
            f"pack the archive anew with deflate ({DEFLATED}) or without compression ({STORED})",
        )
    if info.file_size > max(_BOMB_BYTES, _BOMB_RATIO * info.compress_size):
        raise ReleaseError(
            f"{location}: {name} would unpack from {info.compress_size:,} bytes to {info.file_size:,}",
            "do not use this archive: no recording is packed like that; get the official one",
        )
    return ZipMember(
        str(path),
        info.header_offset,
        0,
        info.compress_size,
        info.file_size,
        info.CRC,
        info.compress_type,
        info.orig_filename,
    )


def _with_limits(members: list[ZipMember], directory: int, location: str) -> Iterator[ZipMember]:
    """Members in the order of their bytes; overlapping ones are how small archives unpack to huge ones."""
    members = sorted(members, key=lambda member: member.header)
    limits = [*(member.header for member in members[1:]), directory]
    for member, limit in zip(members, limits, strict=True):
        if member.header < 0 or member.header + LOCAL_HEADER_BYTES + member.compressed > limit:
            raise ReleaseError(
                f"{location}: the bytes of {member.name} overlap those of another member, or the directory",
                "download the archive again; if that does not help, do not use it",
            )
        yield replace(member, limit=limit)


def _by_name(members: Iterable[ZipMember], location: str) -> dict[str, ZipMember]:
    found: dict[str, ZipMember] = {}
    for member in members:
        if member.name in found:
            raise ReleaseError(
                f"{location} holds two members called {member.name}", "get the official archive"
            )
        found[member.name] = member
    return found


class _RandomReader(io.RawIOBase):
    """A `ByteSource` as a seekable file for `zipfile`; the end, where the directory is, is fetched once."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._size = source.size
        self._tail_start = max(0, self._size - _TAIL_BYTES)
        self._tail = source.read(self._tail_start, self._size)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("seek before the beginning")  # what zipfile expects of a file that is too short
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        start, self._position = self._position, max(self._position, end)
        if start >= end:
            return b""
        if end - start > _DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"a directory of {end - start:,} bytes")
        from_tail = self._tail[max(0, start - self._tail_start) : max(0, end - self._tail_start)]
        if start >= self._tail_start:
            return from_tail
        return self._source.read(start, min(end, self._tail_start)) + from_tail
