from pathlib import Path

import pytest

from datamodules.archive.open import open_archive
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


def test_a_path_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"xx' cannot be read \(File name too long\)\n.*check its name"):
        open_archive(V3, tmp_path / ("x" * 300))


def test_missing_metadata_lists_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "maestro-v2.0.0.csv").touch()
    pattern = r"holds neither maestro-v3\.0\.0\.csv nor .*found: maestro-v2\.0\.0\.csv\)\n.*`release`"
    with pytest.raises(ReleaseError, match=pattern):
        open_archive(V3, tmp_path)


@pytest.mark.parametrize("address", ["ftp://host/a.zip", "file:///a.zip", "zip::http://host/a.zip"])
def test_other_schemes_are_refused(address: str) -> None:
    with pytest.raises(ReleaseError, match=r"addresses that begin with .* are not read\n.*http, https, s3"):
        open_archive(V3, address)
