"""The directory of an archive, compared with the reader of Python; refusals are in test_zip_archive.py."""

import zipfile
from pathlib import Path

import pytest

from datamodules.archive.byte_source import LocalFile
from datamodules.archive.zip_index import index_from_json, index_to_json, read_index
from datamodules.errors import ReleaseError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("2009")
        for number in range(5):
            archive.writestr(f"2009/{number}.wav", bytes(100 * number))
    return tmp_path / "a.zip"


def test_facts_are_those_of_the_directory(path: Path) -> None:
    index = read_index(LocalFile(path))
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        assert list(index) == [info.filename for info in infos]
        for info in infos:
            member = index[info.filename]
            assert (member.header, member.size, member.crc32) == (
                info.header_offset,
                info.file_size,
                info.CRC,
            )
            assert (member.compressed, member.method) == (info.compress_size, info.compress_type)
    limits = [member.limit for member in index.values()]
    assert limits == sorted(limits) and limits[:-1] == [member.header for member in [*index.values()][1:]]


@pytest.mark.parametrize("spelling", ["./2009/0.wav", "2009//0.wav", "2009\\0.wav"])
def test_one_member_has_one_spelling(path: Path, spelling: str) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo()
        info.filename = info.orig_filename = spelling
        archive.writestr(info, b"x")
    with pytest.raises(ReleaseError, match=r"holds two members called 2009/0\.wav"):
        read_index(LocalFile(path))


def test_text_and_back(path: Path) -> None:
    index = read_index(LocalFile(path))
    text = index_to_json(index.values())
    assert index_from_json(text) == index
    for damaged in ("[[1]]", "[", "5", text.replace("0", '"0"', 1).replace("100", '"100"'), "[" * 100_000):
        with pytest.raises(ValueError):
            index_from_json(damaged)


def test_a_member_without_a_name_is_refused(path: Path) -> None:
    """Its length is 0 in the directory; the bytes that follow count as a comment."""
    raw = path.read_bytes()
    at = raw.index(b"PK\x01\x02")
    path.write_bytes(raw[: at + 28] + b"\0\0\0\0\5\0" + raw[at + 34 :])
    with pytest.raises(ReleaseError, match="holds a member without a name"):
        read_index(LocalFile(path))
