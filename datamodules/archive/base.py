"""A release's files, wherever they lie: a folder, a local zip or a remote zip, one member at a time."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from datamodules.errors import ReleaseError

CRC_MARK = "crc"
"""Begins the second part of a fingerprint that is a checksum, not a time."""


TABLE_BYTES = 1 << 24
"""Largest table of a release that is read; the official ones have half a megabyte."""

SMALL_MEMBER_BYTES = 1 << 24
"""Largest member that is read in one piece; MIDI files have a quarter of a megabyte at most."""


class ByteStream(Protocol):
    """A stream that is read from front to back, once.

    Attributes:
        name: What it is, for messages.
        size: Number of bytes in all.
    """

    name: str
    size: int

    def readinto(self, target: memoryview) -> int:
        """Fill `target` as far as there is content; returns the number of bytes."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer only at the end."""


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

    is_release = True
    """Whether a table says what the recordings should be: WAV files of a known length, never changed."""

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
    def open(self, member: str, keep: Path | None = None) -> AbstractContextManager[ByteStream]:
        """The content of a member, for as long as the context lasts.

        What came out of a packed archive is checked by its size and CRC-32 when the context is left.

        Args:
            member: Which member.
            keep: Where the content is also written, atomically, once it has proved sound.

        Raises:
            FileNotFoundError: If there is no such member.
            AudioError: If it is no regular file of the release.
            CorruptMemberError: If the content is not what the archive promises.
        """

    def refresh(self) -> bool:
        """Make sure that what is remembered of a remote archive still holds; True if it did not."""
        return False

    def cancel(self) -> None:  # noqa: B027 (most archives never wait)
        """Make waiting reads of other threads give up soon."""


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
