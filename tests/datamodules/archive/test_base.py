import os
from pathlib import Path

import pytest

from datamodules.archive.base import FolderArchive, open_archive
from datamodules.errors import ReleaseError
from datamodules.releases import find_release

V3 = find_release("v3.0.0")


def test_source_may_be_the_root_or_its_parent(tiny_release: Path) -> None:
    assert open_archive(V3, tiny_release).location == str(tiny_release)
    assert open_archive(V3, tiny_release.parent).location == str(tiny_release)


def test_json_alone_identifies_a_release(tiny_release: Path) -> None:
    (tiny_release / "maestro-v3.0.0.csv").unlink()
    assert open_archive(V3, tiny_release).location == str(tiny_release)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(
        ReleaseError,
        match=r"nowhere' is not a folder, a zip file or a URL: nothing is there\n.*maestro-v3\.0\.0",
    ):
        open_archive(V3, tmp_path / "nowhere")


def test_missing_metadata_lists_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "maestro-v2.0.0.csv").touch()
    pattern = r"holds neither maestro-v3\.0\.0\.csv nor .*found: maestro-v2\.0\.0\.csv\)\n.*`release`"
    with pytest.raises(ReleaseError, match=pattern):
        open_archive(V3, tmp_path)


def test_members_and_content(tmp_path: Path) -> None:
    (tmp_path / "2009").mkdir()
    (tmp_path / "2009" / "x.wav").write_bytes(b"abc")
    (tmp_path / "r.csv").write_bytes(b"d")
    archive = FolderArchive(tmp_path)
    assert archive.members() == ["2009/x.wav", "r.csv"]
    assert archive.read_bytes("2009/x.wav") == b"abc"
    with archive.open("2009/x.wav") as path:
        assert path.read_bytes() == b"abc"
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
