"""The official server, for those who have internet: `pytest -m network`. It moves about 100 MB."""

from pathlib import Path

import pytest

from datamodules.archive.open import open_archive
from datamodules.cache.preparation import Preparation
from datamodules.release.catalogue import read_catalogue
from datamodules.releases import SPLITS, find_release

pytestmark = pytest.mark.network


@pytest.mark.parametrize("name", ["v1.0.0", "v2.0.0", "v3.0.0"])
def test_table_and_directory_agree(name: str) -> None:
    release = find_release(name)
    assert release.url is not None
    archive = open_archive(release, release.url)
    catalogue = read_catalogue(archive, release)
    assert not [p.audio for p in catalogue if archive.fingerprint(p.audio) is None]
    assert not archive.refresh()
    if release.performances is not None:
        assert {s: sum(p.split == s for p in catalogue) for s in SPLITS} == release.performances
    if release.hours is not None:
        assert sum(p.duration for p in catalogue) / 3600 == pytest.approx(release.hours, abs=0.1)


def test_a_single_recording(tmp_path: Path) -> None:
    release = find_release("v3.0.0")
    assert release.url is not None
    shortest = min(
        read_catalogue(open_archive(release, release.url), release), key=lambda p: (p.duration, p.audio)
    )
    made = Preparation(
        "v3.0.0",
        cache_dir=tmp_path,
        years=[shortest.year],
        composers=[shortest.composer],
        splits=[shortest.split],
        max_performances=1,
    )
    made.prepare()
    assert made.status().finished == 1
