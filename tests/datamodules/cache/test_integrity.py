"""Bytes that changed in a cache are found at first use, and what was compared is not read again."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.cache import integrity
from datamodules.cache.pcm import MANIFEST, pcm_path
from datamodules.cache.preparation import Preparation
from datamodules.errors import CacheError, ReleaseError


def preparation(source: Path, cache: Path, **options: object) -> Preparation:
    return Preparation(release="v3.0.0", source=source, cache_dir=cache, progress=False, **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tiny_release: Path, tmp_path: Path) -> Path:
    """The folder of a finished cache."""
    prepared = preparation(tiny_release, tmp_path / "cache")
    prepared.prepare()
    return prepared.open()[0].folder


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """Forget what this process has compared, as a new one would; returns a list of the files read then."""
    read: list[Path] = []
    own = integrity.file_crc32

    def record(path: Path) -> int:
        read.append(path)
        return own(path)

    monkeypatch.setattr(integrity, "file_crc32", record)

    def forget() -> list[Path]:
        integrity._checked_here.clear()
        read.clear()
        return read

    return forget


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))


def test_what_was_just_written_is_not_read_again(
    tiny_release: Path, tmp_path: Path, forgotten: Callable[[], list[Path]]
) -> None:
    read = forgotten()
    prepared = preparation(tiny_release, tmp_path / "cache")
    prepared.prepare()
    prepared.open()
    assert read == []


def test_a_cache_of_an_earlier_version_is_read_once(
    tiny_release: Path, tmp_path: Path, folder: Path, forgotten: Callable[[], list[Path]]
) -> None:
    (folder.parent / f"{folder.name}.checked.json").unlink()
    read = forgotten()
    prepared = preparation(tiny_release, tmp_path / "cache")
    prepared.prepare()
    prepared.open()
    assert len(read) == len(set(read)) == 5
    read = forgotten()
    preparation(tiny_release, tmp_path / "cache").prepare()
    assert read == []


def test_changed_bytes_are_refused_and_made_again(
    tiny_release: Path, tmp_path: Path, folder: Path, forgotten: Callable[[], list[Path]]
) -> None:
    path = pcm_path(folder, "2009/a.wav")
    good = path.read_bytes()
    times = path.stat()
    flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a tool that keeps times would
    read = forgotten()
    prepared = preparation(tiny_release, tmp_path / "cache")
    with pytest.raises(
        CacheError, match=r"1 PCM file\(s\) in .* have changed .*2009/a\.wav\)\n.*prepare_data"
    ):
        prepared.open()
    assert read == [path]
    with pytest.warns(
        UserWarning, match=r"1 PCM file\(s\) .* have changed .*2009/a\.wav\); they are made again"
    ):
        prepared.prepare()
    assert path.read_bytes() == good
    prepared.open()


def test_changed_bytes_without_the_recording(tiny_release: Path, tmp_path: Path, folder: Path) -> None:
    flip(pcm_path(folder, "2009/a.wav"))
    (tiny_release / "2009/a.wav").unlink()
    prepared = preparation(tiny_release, tmp_path / "cache", max_bad_performances=1)
    with pytest.warns(UserWarning, match=r"no such file"):
        prepared.prepare()
    assert "2009/a.wav" not in prepared.open()[0].audio


def test_damaged_memory_only_costs_time(
    tiny_release: Path, tmp_path: Path, folder: Path, forgotten: Callable[[], list[Path]]
) -> None:
    for text in ("[", "[1]", '{"2009/a.wav": 5}', ""):
        (folder.parent / f"{folder.name}.checked.json").write_text(text)
        read = forgotten()
        preparation(tiny_release, tmp_path / "cache").open()
        assert len(read) == 5


def test_a_cache_under_another_name_is_refused(tiny_release: Path, tmp_path: Path, folder: Path) -> None:
    """A folder of 16 kHz renamed to 22.05 kHz would be played a third too fast."""
    renamed = folder.with_name(folder.name.replace("16000hz", "22050hz"))
    folder.rename(renamed)
    other = preparation(tiny_release, tmp_path / "cache", sample_rate=22_050)
    with pytest.raises(CacheError, match=r"that of another cache: sample_rate is 16000, not 22050"):
        other.open()
    with pytest.warns(UserWarning, match=r"sample_rate is 16000, not 22050; the cache is built anew"):
        other.prepare()
    cache, _ = other.open()
    assert cache.entries[0].samples == 44_100


@pytest.mark.parametrize(
    "change",
    [
        {"samples": -1},
        {"samples": 1.5},
        {"samples": 1 << 50},
        {"crc32": "x"},
        {"source": 5},
        {"source_rate": True},
        {"other": 1},
    ],
)
def test_a_manifest_of_impossible_values_is_damaged(
    tiny_release: Path, tmp_path: Path, folder: Path, change: dict
) -> None:
    path = folder / MANIFEST
    content = json.loads(path.read_text())
    content["performances"]["2009/a.wav"].update(change)
    path.write_text(json.dumps(content))
    prepared = preparation(tiny_release, tmp_path / "cache")
    with pytest.raises(CacheError, match=r"manifest\.json is damaged"):
        prepared.open()
    with pytest.warns(UserWarning, match="is damaged .*; the cache is built anew"):
        prepared.prepare()
    prepared.open()


def test_the_same_recording_under_two_names_is_in_one_split(
    tmp_path: Path, make_release: Callable, recording: Callable
) -> None:
    release = make_release(
        tmp_path / "maestro-v3.0.0",
        [
            recording(name, split=split)
            for name, split in (("a", "train"), ("b", "validation"), ("c", "test"))
        ],
    )
    (release / "2009/c.wav").unlink()
    (release / "2009/c.wav").symlink_to("a.wav")
    prepared = preparation(release, tmp_path / "cache")
    prepared.prepare()
    with pytest.raises(ReleaseError, match=r"2009/a\.wav \(train\) and 2009/c\.wav \(test\) are the same"):
        prepared.open()


def test_a_file_that_shrinks_is_named(tiny_release: Path, tmp_path: Path, folder: Path) -> None:
    """Reading a map beyond the end of its file is a bus error, which no program survives."""
    cache, _ = preparation(tiny_release, tmp_path / "cache").open()
    assert cache.pcm(0)[-1] is not None
    os.truncate(pcm_path(folder, cache.audio[0]), 100)
    with pytest.raises(CacheError, match=r"a\.wav\.pcm has become shorter while it is in use"):
        cache.pcm(0)


def test_titles_in_quotes_make_no_second_cache(
    tmp_path: Path, make_release: Callable, recording: Callable, forgotten: Callable[[], list[Path]]
) -> None:
    """The official CSV of v3.0.0 has quotation marks around seven titles, the JSON has not."""
    splits = ("train", "validation", "test")
    made = [recording(split, split=split, title=f'"Erlkoenig {split}"') for split in splits]
    release = make_release(tmp_path / "maestro-v3.0.0", made)
    table = release / "maestro-v3.0.0.json"
    table.write_text(table.read_text().replace('\\"', ""))
    assert "Erlkoenig" in table.read_text()
    prepared = preparation(release, tmp_path / "cache")
    prepared.prepare()
    (release / "maestro-v3.0.0.csv").unlink()
    assert preparation(release, tmp_path / "cache").open()[0].folder == prepared.open()[0].folder


def test_a_cache_of_quoted_titles_gets_its_new_name(
    tmp_path: Path, make_release: Callable, recording: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datamodules.cache import preparation as module

    splits = ("train", "validation", "test")
    made = [recording(split, split=split, title=f'"Erlkoenig {split}"') for split in splits]
    release = make_release(tmp_path / "maestro-v3.0.0", made)
    prepared = preparation(release, tmp_path / "cache")
    own = module.hash_catalogue
    with monkeypatch.context() as patch:  # the earlier version
        patch.setattr(module, "hash_catalogue", lambda rows, with_quotes=True: own(rows, with_quotes=True))
        prepared.prepare()
    (old,) = (path for path in (tmp_path / "cache/pcm").iterdir() if path.is_dir())
    times = {path.name: path.stat().st_mtime_ns for path in old.rglob("*.pcm")}
    prepared.prepare()
    new = prepared.open()[0].folder
    assert new != old and not old.exists()
    assert {path.name: path.stat().st_mtime_ns for path in new.rglob("*.pcm")} == times
