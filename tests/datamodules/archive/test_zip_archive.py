"""A zip archive gives what the folder gives, and refuses what it should."""

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from range_server import RangeServer

from datamodules.archive import zip_index
from datamodules.archive.base import Archive
from datamodules.archive.byte_source import FsspecFile, LocalFile
from datamodules.archive.folder import FolderArchive, open_stream
from datamodules.archive.open import open_archive
from datamodules.archive.wav_stream import WavStream
from datamodules.archive.zip_index import index_from_json, index_to_json, read_index
from datamodules.cache.decoding import convert_to_pcm
from datamodules.errors import AudioError, CorruptMemberError, ReleaseError
from datamodules.releases import find_release

V3 = find_release("v3.0.0")
NAMES = V3.metadata_names


def content(archive: Archive, member: str) -> bytes:
    with archive.open(member) as stream:
        return stream.read(stream.size + 1)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("root", ["maestro-v3.0.0", ""])
def test_members_are_those_of_the_folder(
    tiny_release: Path, tmp_path: Path, pack: Callable[..., Path], compression: int, root: str
) -> None:
    archive = open_archive(V3, pack(tiny_release, tmp_path / "a.zip", compression, root))
    folder = FolderArchive(tiny_release)
    assert archive.members() == folder.members()
    for member in folder.members():
        assert archive.size(member) == folder.size(member)
        assert content(archive, member) == archive.read_bytes(member) == folder.read_bytes(member)
    raw = folder.read_bytes("2009/a.wav")
    assert archive.fingerprint("2009/a.wav") == f"{len(raw)}-crc{zlib.crc32(raw):08x}"
    assert (archive.packed_size("2009/a.wav") < len(raw)) == (compression == zipfile.ZIP_DEFLATED)
    assert archive.metadata(NAMES).content == folder.metadata(NAMES).content
    assert (archive.fingerprint("x"), archive.size("x"), archive.packed_size("x")) == (None, 0, 0)
    with pytest.raises(FileNotFoundError, match=r"a\.zip/x"), archive.open("x"):
        pass
    with pytest.raises(ReleaseError, match=r"a\.zip/x: no such member"):
        archive.read_bytes("x")


def test_zip64_and_data_descriptors(tiny_release: Path, tmp_path: Path) -> None:
    """As written by tools that stream: sizes after the content, and 64-bit fields even where not needed."""
    raw = (tiny_release / "2009/a.wav").read_bytes()

    class Unseekable:
        def __init__(self, path: Path) -> None:
            self.file = path.open("wb")

        def write(self, block: bytes) -> int:
            return self.file.write(block)

        def flush(self) -> None:
            self.file.flush()

    target = Unseekable(tmp_path / "a.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name in ("2009/a.wav", "2009/b.wav"):
            with archive.open(f"maestro-v3.0.0/{name}", "w", force_zip64=True) as member:
                member.write(raw)
    target.file.close()
    opened = open_archive(V3, tmp_path / "a.zip")
    assert content(opened, "2009/a.wav") == content(opened, "2009/b.wav") == raw


def test_an_archive_beyond_four_gigabytes(tmp_path: Path) -> None:
    """A sparse file: 5 GB of nothing before the members, so that offsets need ZIP64."""
    path = tmp_path / "big.zip"
    with path.open("wb") as file:
        file.seek(5 << 30)
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("maestro-v3.0.0/2009/x.wav", b"abc" * 1000)
    opened = open_archive(V3, path)
    assert path.stat().st_size > 5 << 30
    assert content(opened, "2009/x.wav") == b"abc" * 1000


def test_fsspec_urls(tiny_release: Path, tmp_path: Path, pack: Callable[..., Path]) -> None:
    import fsspec

    packed = pack(tiny_release, tmp_path / "a.zip").read_bytes()
    with fsspec.open("memory://bucket/a.zip", "wb") as file:
        file.write(packed)
    archive = open_archive(V3, "memory://bucket/a.zip", memory=tmp_path / "memory")
    assert archive.is_remote
    assert archive.metadata(NAMES).content == (tiny_release / "maestro-v3.0.0.csv").read_bytes()
    assert content(archive, "2009/a.wav") == (tiny_release / "2009/a.wav").read_bytes()
    assert archive.transferred < 1.1 * archive.packed_size("2009/a.wav") + 1e6
    with pytest.raises(ReleaseError, match=r"cannot read memory://none\.zip: FileNotFoundError.*\n.*driver"):
        open_archive(V3, "memory://none.zip").members()
    with pytest.raises(ReleaseError, match=r"cannot read nothing://x\.zip: ValueError: Protocol not known"):
        _ = FsspecFile("nothing://x.zip").size


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_streams_give_the_samples_of_files(
    tmp_path: Path, pack: Callable[..., Path], subtype: str, channels: int, form: str
) -> None:
    """Against libsndfile, to the last bit, for every accepted sample format."""
    folder = tmp_path / "maestro-v3.0.0"
    (folder / "2009").mkdir(parents=True)
    waveform = np.random.default_rng(0).uniform(-1, 1, (150_001, channels))
    path = folder / "2009/x.wav"
    soundfile.write(path, waveform, 44_100, subtype, format=form)
    archive = open_archive(V3, pack(folder, tmp_path / "a.zip", zipfile.ZIP_DEFLATED))
    with archive.open("2009/x.wav") as stream, (tmp_path / "stream").open("wb") as target:
        from_stream = convert_to_pcm(stream, target, 16_000, 1)
    with open_stream(path) as stream, (tmp_path / "file").open("wb") as target:
        assert convert_to_pcm(stream, target, 16_000, 1) == from_stream
    assert (tmp_path / "file").read_bytes() == (tmp_path / "stream").read_bytes()
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    with open_stream(path) as stream:
        own = np.empty_like(samples)
        assert len(WavStream(stream).read(own)) == len(samples)
    np.testing.assert_array_equal(own, samples)


@pytest.mark.parametrize(
    ("raw", "pattern"),
    [
        (b"", r"x\.wav: the file is empty \(0 bytes\)"),
        (b"fLaC" + bytes(100), r"x\.wav: not readable as audio \(no WAV file\)\n.*convert it to WAV"),
        (b"RIFF\x00\x00\x00\x00WAVE", r"x\.wav: not readable as audio \(a WAV file without samples\)"),
        (
            b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + struct.pack("<HHIIHH", 1, 0, 44_100, 0, 0, 16),
            r"x\.wav: not readable as audio \(0 channels at 44100 Hz in 0 bytes\)",
        ),
        (
            b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00"
            + struct.pack("<HHIIHH", 1, 2, 44_100, 176_400, 4, 16)
            + b"data\x10\x00\x00\x00abcd",
            r"x\.wav: truncated, 12 bytes of the audio it announces are missing",
        ),
    ],
)
def test_bad_audio_in_an_archive(tmp_path: Path, raw: bytes, pattern: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.wav", raw)
    opened = open_archive(V3, tmp_path / "a.zip")
    with pytest.raises(AudioError, match=pattern), opened.open("x.wav") as stream:
        convert_to_pcm(stream, (tmp_path / "out").open("wb"), 16_000, 1)


@pytest.mark.parametrize(
    "name", ["../evil.wav", "/etc/evil.wav", "maestro-v3.0.0/../../x", "a\\..\\..\\b", "C:/x"]
)
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(ReleaseError, match=r"a\.zip holds a member called .* outside the release's folder"):
        open_archive(V3, tmp_path / "a.zip").members()


def small_zip(path: Path, raw: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.wav", raw)
        archive.writestr("y.wav", b"y" * 100)
    return path


def patch(path: Path, old: bytes, new: bytes) -> None:
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("announced", "pattern"), [(10, "more than the 10 bytes"), (2_000_000, "1,000,000 bytes")]
)
def test_a_bomb_unpacks_to_no_more_than_it_announces(
    tmp_path: Path, compression: int, announced: int, pattern: str
) -> None:
    """The directory's size is forged; what passes through is never more than that."""
    path = small_zip(tmp_path / "a.zip", bytes(1_000_000), compression)
    raw = path.read_bytes()
    at = raw.index(b"PK\x01\x02") + 24
    path.write_bytes(raw[:at] + struct.pack("<I", announced) + raw[at + 4 :])
    archive = open_archive(V3, path)
    passed: list[bytes] = []
    with pytest.raises(CorruptMemberError, match=f"unpacks to {pattern}"), archive.open("x.wav") as stream:
        while block := stream.read(1000):
            passed.append(block)
    assert sum(map(len, passed)) <= min(announced, 1_000_000)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bytes_are_noticed(tmp_path: Path, compression: int) -> None:
    random = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
    path = small_zip(tmp_path / "a.zip", random, compression)
    raw = path.read_bytes()
    path.write_bytes(raw[:200_000] + bytes([raw[200_000] ^ 1]) + raw[200_001:])
    archive = open_archive(V3, path)
    with pytest.raises(CorruptMemberError, match=r"x\.wav: (CRC-32 is|cannot be unpacked)"):
        content(archive, "x.wav")
    with pytest.raises(
        ReleaseError, match=r"x\.wav: (CRC-32 is|cannot be unpacked).*\n.*download the archive"
    ):
        archive.read_bytes("x.wav")
    assert content(archive, "y.wav") == b"y" * 100


def test_damaged_local_headers(tmp_path: Path) -> None:
    path = small_zip(tmp_path / "a.zip", b"x" * 100)
    patch(path, b"PK\x03\x04", b"PK\x07\x08")
    with pytest.raises(CorruptMemberError, match=r"x\.wav: no member begins where the directory says"):
        content(open_archive(V3, path), "x.wav")
    path = small_zip(tmp_path / "b.zip", b"x" * 100)
    raw = path.read_bytes()
    path.write_bytes(raw[:30] + b"z.wav" + raw[35:])
    with pytest.raises(CorruptMemberError, match=r"x\.wav: another member lies in its place"):
        content(open_archive(V3, path), "x.wav")


def test_overlapping_members(tmp_path: Path) -> None:
    """Two directory entries that share bytes: how a small archive claims to hold a lot."""
    path = small_zip(tmp_path / "a.zip", b"x" * 100)
    raw = path.read_bytes()
    second = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 4)
    path.write_bytes(raw[: second + 42] + struct.pack("<I", 5) + raw[second + 46 :])
    with pytest.raises(ReleaseError, match=r"bytes of x\.wav overlap those of another member"):
        open_archive(V3, path).members()


def test_truncated_and_other_files(tmp_path: Path, tiny_release: Path, pack: Callable[..., Path]) -> None:
    path = pack(tiny_release, tmp_path / "a.zip")
    raw = path.read_bytes()
    for wrong in (raw[: len(raw) // 2], raw[:-10], b"PK\x03\x04", b""):
        path.write_bytes(wrong)
        with pytest.raises(ReleaseError, match=r"a\.zip is no complete zip archive .* it has [\d,]+ bytes\n"):
            open_archive(V3, path).members()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_cannot_be_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.wav", b"x" * 100)
    with pytest.raises(ReleaseError, match=r"x\.wav is compressed by method 12\n.*deflate"):
        open_archive(V3, tmp_path / "a.zip").members()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("x.wav", b"1")
        archive.writestr("x.wav", b"2")
    with pytest.raises(ReleaseError, match=r"holds two members called x\.wav"):
        open_archive(V3, tmp_path / "b.zip").members()
    path = small_zip(tmp_path / "c.zip", b"x")
    raw = path.read_bytes()
    at = raw.index(b"PK\x01\x02") + 8
    path.write_bytes(raw[:at] + b"\x01" + raw[at + 1 :])
    with pytest.raises(ReleaseError, match=r"x\.wav is encrypted\n.*without a password"):
        open_archive(V3, path).members()
    with pytest.raises(ReleaseError, match=r"c\.zip holds neither maestro-v3\.0\.0\.csv nor maestro-v3"):
        open_archive(V3, small_zip(path, b"x")).metadata(NAMES)


def test_the_index_survives_json(tiny_release: Path, tmp_path: Path, pack: Callable[..., Path]) -> None:
    index = read_index(LocalFile(pack(tiny_release, tmp_path / "a.zip")))
    assert index_from_json(index_to_json(index.values())) == index
    with pytest.raises(ValueError, match="required positional"):
        index_from_json("[[1]]")


def test_reading_the_index_of_a_large_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more directory than is fetched ahead: still few requests."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3000):
            archive.writestr(f"maestro-v3.0.0/2009/{number:04}-{'long' * 20}.wav", b"x")
    reads: list[int] = []
    read = LocalFile.read
    monkeypatch.setattr(LocalFile, "read", lambda self, a, b: reads.append(b - a) or read(self, a, b))
    assert len(read_index(LocalFile(path))) == 3000
    assert path.stat().st_size > 6 * zip_index._TAIL_BYTES
    assert len(reads) == 2


def test_one_member_costs_little_more_than_itself(
    tiny_url: str, server: RangeServer, tiny_release: Path
) -> None:
    archive = open_archive(V3, tiny_url)
    raw = content(archive, "2014/c.wav")
    assert raw == (tiny_release / "2014/c.wav").read_bytes()
    assert server.moved < 1.1 * len(raw) + 1e6
    assert server.moved - len(raw) < 80_000  # the directory, with what is fetched ahead of it
    assert archive.transferred <= server.moved
    assert len(server.requests) == 3  # the size, the directory, the member


@pytest.mark.parametrize("root", ["copy/maestro-v3.0.0", "elsewhere"])
def test_the_release_may_lie_in_any_folder_of_the_archive(
    tiny_release: Path, tmp_path: Path, pack: Callable[..., Path], root: str
) -> None:
    archive = open_archive(V3, pack(tiny_release, tmp_path / "a.zip", root=root))
    assert archive.members() == FolderArchive(tiny_release).members()


def test_backslashes_are_separators(tiny_release: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in tiny_release.rglob("*.*"):
            name = "maestro-v3.0.0\\" + str(path.relative_to(tiny_release)).replace("/", "\\")
            info = zipfile.ZipInfo()
            info.filename = info.orig_filename = name
            archive.writestr(info, path.read_bytes())
    opened = open_archive(V3, tmp_path / "a.zip")
    assert opened.members() == FolderArchive(tiny_release).members()
    assert content(opened, "2009/a.wav") == (tiny_release / "2009/a.wav").read_bytes()


def test_a_nested_archive_is_named(tiny_release: Path, tmp_path: Path, pack: Callable[..., Path]) -> None:
    inner = pack(tiny_release, tmp_path / "maestro-v3.0.0.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(inner, "download/maestro-v3.0.0.zip")
    with pytest.raises(ReleaseError, match=r"an archive inside the archive, .*\n.*`source` to maestro-v3"):
        open_archive(V3, tmp_path / "a.zip").metadata(NAMES)


def test_giants_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    giant = tmp_path / "a.zip"
    with (
        zipfile.ZipFile(giant, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("2009/x.wav", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(ReleaseError, match=r"2009/x\.wav would unpack from [\d,]+ bytes to 314,572,800"):
        open_archive(V3, giant).members()


def test_large_tables_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("maestro-v3.0.0.csv", b"\n" * (20 << 20))
    with pytest.raises(ReleaseError, match=r"20,971,520 bytes where a small file was expected"):
        open_archive(V3, tmp_path / "a.zip").metadata(NAMES)
