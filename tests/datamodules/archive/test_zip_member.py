"""One member's content, from the bytes of its archive; refusals are tested in test_zip_archive.py as well."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from datamodules.archive.byte_source import LocalFile
from datamodules.archive.zip_index import read_index
from datamodules.archive.zip_member import MemberStream
from datamodules.errors import CorruptMemberError

CONTENT = np.random.default_rng(0).integers(0, 9, 700_000, dtype=np.uint8).tobytes()


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", request.param) as archive:
        archive.writestr("x.wav", CONTENT)
        archive.writestr("empty.wav", b"")
    return tmp_path / "a.zip"


def test_content_in_pieces_of_any_size(path: Path) -> None:
    source = LocalFile(path)
    members = read_index(source)
    passed: list[bytes] = []
    stream = MemberStream(source, members["x.wav"], passed.append)
    assert stream.size == len(CONTENT) and stream.name.endswith("a.zip/x.wav")
    assert stream.read(10) == CONTENT[:10]
    target = bytearray(300_000)
    assert stream.readinto(memoryview(target)) == 300_000
    assert bytes(target) == CONTENT[10:300_010]
    stream.drain()
    assert b"".join(passed) == CONTENT
    assert stream.read(10) == b""
    assert MemberStream(source, members["empty.wav"]).read(5) == b""


def test_damage_is_noticed_at_the_end(path: Path) -> None:
    source = LocalFile(path)
    member = read_index(source)["x.wav"]
    raw = bytearray(path.read_bytes())
    raw[member.header + 10_000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptMemberError, match=r"x\.wav: (CRC-32 is|cannot be unpacked|unpacks to)"):
        MemberStream(source, member).drain()
