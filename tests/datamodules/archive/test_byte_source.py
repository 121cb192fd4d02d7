"""Ranges of bytes of local files and stores."""

from pathlib import Path

import pytest

from datamodules.archive.byte_source import BLOCK_BYTES, FsspecFile, LocalFile
from datamodules.errors import ReleaseError


def test_ranges_of_a_local_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "a").write_bytes(content)
    file = LocalFile(tmp_path / "a")
    assert (file.size, file.is_remote, file.transferred) == (len(content), False, 0)
    assert file.read(1000, 700_000) == content[1000:700_000]
    assert max(map(len, file.stream(0, len(content)))) <= BLOCK_BYTES
    assert file.read(5, 5) == b""
    before = file.version
    (tmp_path / "a").write_bytes(b"x")
    assert file.version != before


def test_local_files_that_end_early_or_are_absent(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(ReleaseError, match=r"a ends 7 bytes too early"):
        LocalFile(tmp_path / "a").read(0, 10)
    with pytest.raises(ReleaseError, match=r"cannot read .*none: No such file"):
        _ = LocalFile(tmp_path / "none").size


def test_stores(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://bucket/byte-source", "wb") as file:
        file.write(b"0123456789")
    store = FsspecFile("memory://bucket/byte-source")
    assert (store.size, store.read(2, 5), store.transferred, store.is_remote) == (10, b"234", 3, True)
    with pytest.raises(ReleaseError, match="ends 10 bytes too early"):
        store.read(5, 20)
