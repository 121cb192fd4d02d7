"""From options to an open cache; more of it is tested through the data module."""

import pickle
from pathlib import Path

import pytest

from datamodules.cache import preparation as module
from datamodules.cache.preparation import Preparation
from datamodules.errors import CacheError, OptionError, ReleaseError


@pytest.fixture
def prepared(tiny_release: Path, tmp_path: Path) -> Preparation:
    made = Preparation(release="v3.0.0", source=tiny_release, cache_dir=tmp_path / "cache", progress=False)
    made.prepare()
    return made


def test_status_before_and_after(tiny_release: Path, tmp_path: Path) -> None:
    made = Preparation(release="v3.0.0", source=tiny_release, cache_dir=tmp_path / "cache", progress=False)
    before = made.status()
    assert (before.wanted, before.finished, before.seconds) == (5, 0, 0.0)
    with pytest.raises(CacheError, match="there is no cache"):
        made.open()
    made.prepare()
    after = made.status()
    assert (after.wanted, after.finished, after.hours_left) == (5, 5, 0.0)
    assert after.seconds == pytest.approx(14.0, abs=0.01)
    assert made.verify() == []


def test_the_table_is_read_once(tiny_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    own = module.read_catalogue
    monkeypatch.setattr(
        module, "read_catalogue", lambda archive, release: reads.append(release.name) or own(archive, release)
    )
    made = Preparation(release="v3.0.0", source=tiny_release, cache_dir=tmp_path / "cache", progress=False)
    made.prepare()
    made.open()
    made.midi_files()
    made.status()
    assert reads == ["v3.0.0"]


def test_another_process_gets_the_options(prepared: Preparation) -> None:
    copy = pickle.loads(pickle.dumps(prepared))
    assert copy == prepared and "_release" not in vars(copy)
    assert copy.open()[1] == prepared.open()[1]


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    for options in ({"sample_rate": 0}, {"channels": 3}, {"prepare_threads": 0}, {"release": "v9"}):
        with pytest.raises(OptionError):
            Preparation(cache_dir=tmp_path, **options)
    with pytest.raises(ReleaseError, match="nothing is there"):
        Preparation(release="v3.0.0", source=tmp_path / "none", cache_dir=tmp_path).prepare()
