import os
from pathlib import Path

import pytest

from datamodules.archive.folder import FolderArchive, open_stream
from datamodules.errors import AudioError, ReleaseError


def test_members_and_content(tmp_path: Path) -> None:
    (tmp_path / "2009").mkdir()
    (tmp_path / "2009" / "x.wav").write_bytes(b"abc")
    (tmp_path / "r.csv").write_bytes(b"d")
    archive = FolderArchive(tmp_path)
    assert archive.members() == ["2009/x.wav", "r.csv"]
    assert archive.read_bytes("2009/x.wav") == b"abc"
    with archive.open("2009/x.wav") as stream:
        assert (stream.size, stream.read(2), stream.read(10), stream.read(1)) == (3, b"ab", b"c", b"")
    with pytest.raises(FileNotFoundError), archive.open("2009/y.wav"):
        pass
    with pytest.raises(ReleaseError, match=r"cannot read .*y\.wav: No such file"):
        archive.read_bytes("2009/y.wav")


def test_fingerprint_follows_size_and_time(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path)
    assert archive.fingerprint("x") is None
    (tmp_path / "x").write_bytes(b"abc")
    os.utime(tmp_path / "x", ns=(5, 5))
    assert archive.fingerprint("x") == "3-5"
    os.utime(tmp_path / "x", ns=(6, 6))
    assert archive.fingerprint("x") == "3-6"


@pytest.fixture
def hostile(tmp_path: Path) -> FolderArchive:
    """A release beside a file that is none of its business."""
    (tmp_path / "secret.wav").write_bytes(b"secret")
    root = tmp_path / "release"
    (root / "2009").mkdir(parents=True)
    (root / "2009/own.wav").write_bytes(b"own")
    (root / "2009/inside.wav").symlink_to(root / "2009/own.wav")
    (root / "2009/outside.wav").symlink_to(tmp_path / "secret.wav")
    (root / "2009/circle.wav").symlink_to(root / "2009/circle.wav")
    (root / "2009/device.wav").symlink_to("/dev/zero")
    (root / "2010").symlink_to(tmp_path)
    (root / "2009/folder.wav").mkdir()
    os.mkfifo(root / "2009/pipe.wav")
    return FolderArchive(root)


@pytest.mark.parametrize(
    ("member", "pattern"),
    [
        (
            "2009/outside.wav",
            r"outside\.wav is a link that leaves the release, to .*secret\.wav\n.*put the file",
        ),
        ("2010/secret.wav", r"secret\.wav is a link that leaves the release"),
        ("../secret.wav", "leaves the release"),
        ("2009/device.wav", "leaves the release, to /dev/zero"),
        ("2009/pipe.wav", r"pipe\.wav is a pipe, no regular file"),
        ("2009/folder.wav", r"folder\.wav is a folder, no regular file"),
        ("2009/circle.wav", r"cannot read .*circle\.wav"),
        ("2009/" + "x" * 300, "cannot read"),
    ],
)
def test_only_regular_files_inside_the_release(hostile: FolderArchive, member: str, pattern: str) -> None:
    with pytest.raises(ReleaseError, match=pattern):
        hostile.read_bytes(member)
    with pytest.raises(AudioError, match=pattern), hostile.open(member):
        pass
    assert hostile.fingerprint(member) == "refused"
    assert hostile.size(member) == 0


def test_links_inside_the_release_are_followed(hostile: FolderArchive) -> None:
    assert hostile.read_bytes("2009/inside.wav") == b"own"


def test_large_files_are_not_read_in_one_piece(tmp_path: Path) -> None:
    with (tmp_path / "x.midi").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ReleaseError, match=r"x\.midi: it has more than 16,777,216 bytes"):
        FolderArchive(tmp_path).read_bytes("x.midi")


def test_streams_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"x\.wav: no such file"), open_stream(tmp_path / "x.wav"):
        pass
