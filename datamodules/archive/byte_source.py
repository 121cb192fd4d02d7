"""Ranges of bytes of one large file, wherever it lies: on the local disk, or behind a URL."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.errors import ReleaseError

BLOCK_BYTES = 1 << 18
"""Largest piece that is handed on at a time. Decoding it takes a few milliseconds, less than the kernel needs
to fill a socket's buffer meanwhile: so a single thread per member lets download and decoding overlap."""

_FSSPEC_BLOCK_BYTES = 1 << 23


class ByteSource(ABC):
    """One file of known size whose bytes can be read from anywhere in it, by several threads at once.

    Attributes:
        transferred: Bytes received so far over the network, repetitions included; 0 for a local file.
    """

    def __init__(self) -> None:
        self.transferred = 0
        self._cancelled = threading.Event()

    @property
    @abstractmethod
    def location(self) -> str:
        """Path or URL, for messages."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Size in bytes.

        Raises:
            ReleaseError: If the file is absent or cannot be reached.
        """

    @property
    @abstractmethod
    def version(self) -> str:
        """A short text that changes when the file is replaced by another one."""

    @property
    def is_remote(self) -> bool:
        """Whether every byte costs a transfer, and transfers may fail for a while."""
        return True

    @abstractmethod
    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, exclusive, in pieces of at most a few megabytes.

        Raises:
            ReleaseError: If they cannot be read, however often it is tried.
        """

    def read(self, start: int, end: int) -> bytes:
        """The same in one piece."""
        return b"".join(self.stream(start, end))

    def cancel(self) -> None:
        """Make streams of other threads give up instead of waiting for better times."""
        self._cancelled.set()


class LocalFile(ByteSource):
    """A file on the local disk.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def location(self) -> str:  # noqa: D102
        return str(self.path)

    @property
    def size(self) -> int:  # noqa: D102
        return self._status().st_size

    @property
    def version(self) -> str:
        """Size in bytes and time of the last change in nanoseconds."""
        status = self._status()
        return f"{status.st_size}-{status.st_mtime_ns}"

    @property
    def is_remote(self) -> bool:  # noqa: D102
        return False

    def stream(self, start: int, end: int) -> Iterator[bytes]:  # noqa: D102
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                while start < end and (block := file.read(min(BLOCK_BYTES, end - start))):
                    start += len(block)
                    yield block
        except OSError as error:
            raise self._unreadable(error) from error
        if start < end:
            raise ReleaseError(f"{self.path} ends {end - start:,} bytes too early", "download it again")

    def _status(self) -> Any:  # noqa: ANN401 (os.stat_result's module is private on some platforms)
        try:
            return self.path.stat()
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> ReleaseError:
        return ReleaseError(
            f"cannot read {self.path}: {error.strerror}", "check that it exists, and its permissions"
        )


class FsspecFile(ByteSource):
    """A file behind any URL that fsspec understands: `s3://`, `gs://`, `memory://` and others.

    Args:
        url: The address. Schemes other than the built-in ones need their fsspec driver (s3fs, gcsfs, …).
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self._opened: tuple[Any, str] | None = None

    @property
    def location(self) -> str:  # noqa: D102
        return self.url

    @property
    def size(self) -> int:  # noqa: D102
        return int(self._info()["size"])

    @property
    def version(self) -> str:
        """Size, and what the store says about the version."""
        info = self._info()
        mark = next(
            (info[key] for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified") if key in info), ""
        )
        return f"{info['size']}-{mark}"

    def stream(self, start: int, end: int) -> Iterator[bytes]:  # noqa: D102
        system, path = self._open()
        while start < end:
            try:
                block = system.cat_file(path, start=start, end=min(end, start + _FSSPEC_BLOCK_BYTES))
            except Exception as error:  # each driver has its own kinds
                raise self._unreachable(error) from error
            if not block:
                raise ReleaseError(f"{self.url} ends {end - start:,} bytes too early", "check the upload")
            self.transferred += len(block)
            start += len(block)
            yield block

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            from fsspec.core import url_to_fs

            try:
                self._opened = url_to_fs(self.url)
            except Exception as error:  # ImportError names the driver, ValueError the unknown scheme
                raise self._unreachable(error) from error
        return self._opened

    def _info(self) -> dict[str, Any]:
        system, path = self._open()
        try:
            return dict(system.info(path))
        except Exception as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ReleaseError:
        return ReleaseError(
            f"cannot read {self.url}: {type(error).__name__}: {error}",
            "check the address, your access to it, and that its fsspec driver is installed; "
            "what is finished is kept",
        )
