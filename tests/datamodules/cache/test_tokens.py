"""Tokens on disk."""

import os
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
    (stored,) = cache.folder.rglob("*.tokens")
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


def with_sum(cache: TokenCache, path: Path, tokens: list[int]) -> bytes:
    """As somebody writes it who knows the format."""
    return cache._with_sum(path, np.array(tokens, dtype=np.int16))


DAMAGE = {
    "empty": lambda cache, path: b"",
    "short": lambda cache, path: path.read_bytes()[:-2],
    "odd": lambda cache, path: path.read_bytes()[:-1],
    "longer": lambda cache, path: path.read_bytes() + b"\0\0",
    "flipped bit": lambda cache, path: path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]),
    "another piece's": lambda cache, path: with_sum(cache, path.with_name("b.tokens"), [3, 100, 200]),
    "token of no vocabulary": lambda cache, path: with_sum(cache, path, [3, 30_000]),
    "negative token": lambda cache, path: with_sum(cache, path, [3, -1]),
    "numpy's format": lambda cache, path: b"\x93NUMPY\x01\x00" + bytes(120),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_what_was_written_is_refused_and_made_again(cache: TokenCache, damage: str) -> None:
    cache.build([performance("a.mid")], progress=False)
    good = cache.read("a.mid")
    (stored,) = cache.folder.rglob("*.tokens")
    stored.write_bytes(DAMAGE[damage](cache, stored))
    with pytest.raises(CacheError, match=r"not what was written\n.*prepare the data again"):
        cache.read("a.mid")
    with pytest.warns(
        UserWarning, match=r"1 file\(s\) of tokens.*first: those of a.mid\); they are made again"
    ):
        cache.build([performance("a.mid")], progress=False)
    assert cache.read("a.mid").tolist() == good.tolist()


@pytest.mark.parametrize("kind", ["link", "broken link", "pipe"])
def test_what_is_no_file_is_not_followed(cache: TokenCache, tmp_path: Path, kind: str) -> None:
    cache.build([performance("a.mid")], progress=False)
    (stored,) = cache.folder.rglob("*.tokens")
    target = stored.rename(tmp_path / "elsewhere")
    before = target.read_bytes()
    if kind == "pipe":
        os.mkfifo(stored)
    else:
        stored.symlink_to(target if kind == "link" else tmp_path / "gone")
    with pytest.raises(CacheError, match="cannot read"):
        cache.read("a.mid")
    with pytest.warns(UserWarning, match="made again"):
        cache.build([performance("a.mid")], progress=False)
    assert stored.read_bytes() == before == target.read_bytes() and not stored.is_symlink()
    assert not (tmp_path / "gone").exists()


def test_tokens_of_another_vocabulary_are_made_again(cache: TokenCache) -> None:
    """As after an update of the tokenizer, whose names stand in another order."""
    cache.build([performance("a.mid")], progress=False)
    other = TokenCache(cache.folder.parent, cache.archive)
    other.vocabulary.names[3:5] = reversed(other.vocabulary.names[3:5])
    with pytest.raises(CacheError, match="not what was written"):
        other.read("a.mid")


def test_a_cache_that_is_whole_is_not_written_to(cache: TokenCache) -> None:
    """It may be shared, and belong to somebody else."""
    cache.build([performance("a.mid")], progress=False)
    before = sorted(cache.folder.parent.rglob("*"))
    Path(f"{cache.folder}.lock").unlink()
    assert cache.build([performance("a.mid")], progress=False) == []
    assert sorted(cache.folder.parent.rglob("*")) == [path for path in before if path.suffix != ".lock"]
