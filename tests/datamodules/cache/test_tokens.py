"""Tokens on disk."""

from pathlib import Path

import numpy as np
import pytest

from datamodules.archive.folder import FolderArchive
from datamodules.cache.tokens import TokenCache
from datamodules.errors import CacheError
from datamodules.mini.midi import write_midi
from datamodules.mini.performance import Performance as Playing
from datamodules.mini.performance import PlayedNote
from datamodules.release.catalogue import Performance


def write(path: Path, pitch: int) -> None:
    write_midi(Playing([PlayedNote(0, 480, pitch, 64)], []), path)


def performance(name: str) -> Performance:
    return Performance("unknown", name, "train", 0, name, name, 1.0)


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    (tmp_path / "release").mkdir()
    write(tmp_path / "release" / "a.mid", 60)
    return TokenCache(tmp_path / "cache", FolderArchive(tmp_path / "release"))


def test_files_are_encoded_once_and_again_when_they_change(cache: TokenCache, tmp_path: Path) -> None:
    assert cache.build([performance("a.mid")], progress=False) == []
    names = [cache.vocabulary.names[token] for token in cache.read("a.mid")]
    assert names == ["Pitch_60", "Velocity_63", "Duration_1.0.10"]
    (stored,) = cache.folder.rglob("*.npy")
    before = stored.stat().st_mtime_ns
    cache.build([performance("a.mid")], progress=False)
    assert stored.stat().st_mtime_ns == before
    write(tmp_path / "release" / "a.mid", 72)
    assert cache.read("a.mid") is None
    cache.build([performance("a.mid")], progress=False)
    assert cache.vocabulary.names[cache.read("a.mid")[0]] == "Pitch_72"


def test_what_cannot_be_used_is_named(cache: TokenCache, tmp_path: Path) -> None:
    (tmp_path / "release" / "bad.mid").write_bytes(b"MThd and no more")
    write(tmp_path / "release" / "whistle.mid", 120)
    names = ("a.mid", "bad.mid", "whistle.mid", "gone.mid")
    bad = cache.build([performance(name) for name in names], progress=False)
    assert [each.member for each in bad] == ["bad.mid", "whistle.mid", "gone.mid"]
    assert "no MIDI file" in bad[0].problem and "88 keys" in bad[1].problem and "not there" in bad[2].problem


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", np.arange(3.0)])
def test_damage_is_named(cache: TokenCache, content) -> None:
    cache.build([performance("a.mid")], progress=False)
    (stored,) = cache.folder.rglob("*.npy")
    if isinstance(content, bytes):
        stored.write_bytes(content)
    else:
        np.save(stored, content)
    with pytest.raises(CacheError, match="delete it"):
        cache.read("a.mid")


def test_a_pickled_object_is_not_opened(cache: TokenCache) -> None:
    cache.build([performance("a.mid")], progress=False)
    (stored,) = cache.folder.rglob("*.npy")
    np.save(stored, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CacheError, match="damaged"):
        cache.read("a.mid")
