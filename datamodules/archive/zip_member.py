"""The content of one member of a zip archive, read from front to back and checked on the way."""

import struct
import zlib
from collections.abc import Callable, Generator, Iterator

from datamodules.archive.byte_source import BLOCK_BYTES, ByteSource
from datamodules.archive.zip_index import LOCAL_HEADER_BYTES, STORED, ZipMember
from datamodules.errors import CorruptMemberError

_LOCAL_SIGNATURE = b"PK\x03\x04"
_NAME_LENGTHS_AT = 26
_REMEDY = "download the archive again, or exclude the recording"


class MemberStream:
    """A member as a stream that can be read once.

    Args:
        source: The archive's bytes.
        member: Which member.
        on_bytes: Gets the content as it passes.

    Attributes:
        name: The member's name, for messages.
        size: Its size in bytes, by the archive's directory.
    """

    def __init__(
        self, source: ByteSource, member: ZipMember, on_bytes: Callable[[bytes], object] | None = None
    ) -> None:
        self.name = f"{source.location}/{member.name}"
        self.size = member.size
        self._blocks = _checked_blocks(source, member, self.name)
        self._on_bytes = on_bytes
        self._rest = memoryview(b"")

    def readinto(self, target: memoryview) -> int:
        """Fill `target` as far as there is content; returns the number of bytes.

        Raises:
            CorruptMemberError: If the content is not what the directory promises; at the latest at its end.
            ReleaseError: If the archive cannot be read.
        """
        filled = 0
        while filled < len(target) and (self._rest or self._advance()):
            count = min(len(target) - filled, len(self._rest))
            target[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            filled += count
        return filled

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer only at the end."""
        target = bytearray(size)
        return bytes(target[: self.readinto(memoryview(target))])

    def drain(self) -> None:
        """Read the rest, so that all of it is checked.

        Raises:
            CorruptMemberError: As `readinto`.
        """
        while self._advance():
            pass

    def close(self) -> None:
        """Leave the rest unread."""
        self._blocks.close()

    def _advance(self) -> bool:
        block = next(self._blocks, b"")
        self._rest = memoryview(block)
        if block and self._on_bytes is not None:
            self._on_bytes(block)
        return bool(block)


def _checked_blocks(source: ByteSource, member: ZipMember, name: str) -> Generator[bytes, None, None]:
    """The content in pieces that are not empty; size and CRC-32 are compared on the way."""
    size = crc32 = 0
    for block in _content(source, member, name):
        size += len(block)
        crc32 = zlib.crc32(block, crc32)
        if size > member.size:
            break  # before anybody stores what was not announced
        yield block
    if size > member.size:
        raise CorruptMemberError(f"{name}: unpacks to more than the {member.size:,} bytes announced", _REMEDY)
    if size < member.size:
        raise CorruptMemberError(f"{name}: unpacks to {size:,} bytes, {member.size:,} are announced", _REMEDY)
    if crc32 != member.crc32:
        raise CorruptMemberError(f"{name}: CRC-32 is {crc32:08x}, {member.crc32:08x} is announced", _REMEDY)


def _content(source: ByteSource, member: ZipMember, name: str) -> Iterator[bytes]:
    """The unpacked content in pieces of limited size."""
    packed = _packed(source, member, name)
    if member.method == STORED:
        yield from packed
        return
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for block in packed:
            while block and not decompressor.eof:
                if unpacked := decompressor.decompress(block, BLOCK_BYTES):
                    yield unpacked
                block = decompressor.unconsumed_tail
        while rest := decompressor.decompress(b"", BLOCK_BYTES):
            yield rest
    except zlib.error as error:
        raise CorruptMemberError(f"{name}: cannot be unpacked ({error})", _REMEDY) from error


def _packed(source: ByteSource, member: ZipMember, name: str) -> Iterator[bytes]:
    """The bytes between the local header and the end of the member, in a single request.

    How long the local header is, it alone says. The request ends where the next member begins at the latest,
    so that hardly anything is asked for in vain.
    """
    longest = member.header + LOCAL_HEADER_BYTES + 2 * 0xFFFF + member.compressed
    blocks = source.stream(member.header, min(member.limit, longest))
    head = b""
    for block in blocks:
        head += block
        if len(head) >= LOCAL_HEADER_BYTES and len(head) >= _header_bytes(head, name):
            break
    start = _header_bytes(head, name)
    encoded = head[LOCAL_HEADER_BYTES : LOCAL_HEADER_BYTES + len(member.stored_name)]
    if member.stored_name.isascii() and encoded != member.stored_name.encode():
        raise CorruptMemberError(f"{name}: another member lies in its place", _REMEDY)
    left = member.compressed
    for block in _chained(head[start:], blocks):
        if block[:left]:
            yield block[:left]
        left -= min(left, len(block))
        if left == 0:
            break
    if left:
        raise CorruptMemberError(f"{name}: its last {left:,} bytes are missing", _REMEDY)


def _chained(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from others


def _header_bytes(head: bytes, name: str) -> int:
    """Length of the local header that `head` begins with."""
    if len(head) < LOCAL_HEADER_BYTES or head[:4] != _LOCAL_SIGNATURE:
        raise CorruptMemberError(f"{name}: no member begins where the directory says", _REMEDY)
    name_length, extra_length = struct.unpack_from("<HH", head, _NAME_LENGTHS_AT)
    return LOCAL_HEADER_BYTES + name_length + extra_length
