"""The cache survives what happens to caches: kills, full disks, two builders, bad recordings, lost files."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soundfile

from datamodules.archive.open import open_archive
from datamodules.cache import builder as cache_builder
from datamodules.cache import progress
from datamodules.cache.builder import CacheBuilder
from datamodules.cache.pcm import CacheSpec, hash_catalogue, read_manifest
from datamodules.errors import AudioError, CacheError
from datamodules.files import write_atomically
from datamodules.release.catalogue import Performance, read_catalogue
from datamodules.releases import find_release

V3 = find_release("v3.0.0")

# Builds a cache in a process of its own; prints one line for each conversion, which takes a little longer.
SLOW_BUILD = """
import sys, time
from pathlib import Path
from datamodules.cache import builder as cache_builder
from datamodules.cache import progress
from datamodules.archive.open import open_archive
from datamodules.cache.pcm import CacheSpec
from datamodules.release.catalogue import read_catalogue
from datamodules.releases import find_release

convert = cache_builder.convert_to_pcm
def slow(source, target, *args, **kwargs):
    print(f"converting {source.name}", flush=True)
    summary = convert(source, target, *args, **kwargs)
    time.sleep(0.5)
    return summary
cache_builder.convert_to_pcm = slow

release = find_release("v3.0.0")
archive = open_archive(release, sys.argv[1])
spec = CacheSpec("v3.0.0", 16_000, 1, "catalogue")
builder = cache_builder.CacheBuilder(archive, spec, Path(sys.argv[2]), threads=2)
builder.build(read_catalogue(archive, release))
"""


def builder(release: Path, folder: Path, max_bad_performances: int = 0) -> CacheBuilder:
    spec = CacheSpec("v3.0.0", 16_000, 1, "catalogue")
    return CacheBuilder(open_archive(V3, release), spec, folder, 2, max_bad_performances, progress=False)


def catalogue(release: Path) -> tuple[Performance, ...]:
    return read_catalogue(open_archive(V3, release), V3)


def build(release: Path, folder: Path, max_bad_performances: int = 0) -> dict[str, bytes]:
    """Build, and return the content of every file of the cache."""
    builder(release, folder, max_bad_performances).build(catalogue(release))
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the recordings converted so far in this process."""
    names: list[str] = []
    convert = cache_builder.convert_to_pcm

    def record(source: Path, *args: object, **kwargs: object) -> object:
        names.append(Path(source.name).name)
        return convert(source, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(cache_builder, "convert_to_pcm", record)
    return names


def test_every_performance_becomes_a_file(tiny_release: Path, tmp_path: Path) -> None:
    files = build(tiny_release, tmp_path / "cache")
    names = {"2009/a.wav.pcm", "2009/b.wav.pcm", "2014/c.wav.pcm", "2009/d.wav.pcm", "2014/e.wav.pcm"}
    assert set(files) == {"manifest.json", *names}
    for name in names:
        waveform, rate = soundfile.read(tiny_release / name.removesuffix(".pcm"))
        pcm = np.frombuffer(files[name], dtype="<i2")
        assert len(pcm) == pytest.approx(len(waveform) * 16_000 / rate, abs=1)
        # the notes lie far below 8 kHz, so that the power is that of the mean of both channels
        assert np.square(pcm / 32768).mean() == pytest.approx(
            np.square(waveform.mean(axis=1)).mean(), rel=2e-3
        )
    manifest = json.loads(files["manifest.json"])
    assert manifest["sample_rate"] == 16_000
    assert manifest["performances"]["2009/b.wav"]["source_rate"] == 48_000
    assert manifest["performances"]["2009/b.wav"]["samples"] == 48_000


def test_a_second_build_converts_nothing(tiny_release: Path, tmp_path: Path, converted: list[str]) -> None:
    first = build(tiny_release, tmp_path / "cache")
    assert sorted(converted) == ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav"]
    converted.clear()
    assert build(tiny_release, tmp_path / "cache") == first
    assert converted == []


def test_only_what_changed_is_converted_again(
    tiny_release: Path, tmp_path: Path, converted: list[str], recording: Callable
) -> None:
    folder = tmp_path / "cache"
    before = build(tiny_release, folder)
    converted.clear()
    recording("a", seconds=2.5).write(tiny_release)  # other content and size
    stat = (tiny_release / "2009/b.wav").stat()
    os.utime(tiny_release / "2009/b.wav", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))  # another time only
    after = build(tiny_release, folder)
    assert sorted(converted) == ["a.wav", "b.wav"]
    assert len(after["2009/a.wav.pcm"]) == 2 * 40_000
    assert after["2009/b.wav.pcm"] == before["2009/b.wav.pcm"]


def test_damaged_pcm_is_made_again(tiny_release: Path, tmp_path: Path, converted: list[str]) -> None:
    folder = tmp_path / "cache"
    before = build(tiny_release, folder)
    converted.clear()
    os.truncate(folder / "2009/a.wav.pcm", 100)
    (folder / "2014/e.wav.pcm").unlink()
    assert build(tiny_release, folder) == before
    assert sorted(converted) == ["a.wav", "e.wav"]


def test_recordings_may_be_deleted_once_they_are_cached(tiny_release: Path, tmp_path: Path) -> None:
    before = build(tiny_release, tmp_path / "cache")
    (tiny_release / "2009/a.wav").unlink()
    assert build(tiny_release, tmp_path / "cache") == before


def test_damaged_manifest_is_set_aside(tiny_release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    before = build(tiny_release, folder)
    (folder / "manifest.json").write_text('{"performances": {"2009/a')
    with pytest.warns(UserWarning, match=r"manifest\.json is damaged \(JSONDecodeError.*built anew"):
        after = build(tiny_release, folder)
    assert after.pop("manifest.json.damaged") == b'{"performances": {"2009/a'
    assert after == before


def test_unreadable_cache(tiny_release: Path, tmp_path: Path) -> None:
    (tmp_path / "cache/manifest.json").mkdir(parents=True)  # unreadable even for root
    with pytest.raises(
        CacheError, match=r"cannot read .*manifest\.json: Is a directory\n.*permissions.*cache_dir"
    ):
        build(tiny_release, tmp_path / "cache")


def test_folder_that_cannot_be_written(tiny_release: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/2009").touch()  # a file where a folder is needed; permissions do not bind root
    with pytest.raises(CacheError, match=r"cannot write in .*cache: File exists\n.*cache_dir"):
        build(tiny_release, tmp_path / "cache")


def bad_release(root: Path, make_release: Callable, recording: Callable) -> Path:
    """Five recordings that cannot be used for five reasons, and a good one."""
    nan = np.full((88_200, 2), np.nan)
    release = make_release(
        root,
        [
            recording("absent"),
            recording("empty"),
            recording("good"),
            recording("nan", waveform=nan, subtype="FLOAT"),
            recording("rate", seconds=30, waveform=np.zeros((30 * 44_100, 2))),
            recording("truncated"),
        ],
    )
    (release / "2009/absent.wav").unlink()
    os.truncate(release / "2009/empty.wav", 0)
    os.truncate(release / "2009/truncated.wav", 100_000)
    waveform, _ = soundfile.read(release / "2009/rate.wav")
    soundfile.write(release / "2009/rate.wav", waveform, 88_200)  # plays twice too fast
    return release


def test_bad_recordings_are_all_listed_and_the_good_ones_kept(
    tmp_path: Path, make_release: Callable, recording: Callable, converted: list[str]
) -> None:
    release = bad_release(tmp_path / "release", make_release, recording)
    with pytest.raises(AudioError) as caught:
        build(release, tmp_path / "cache")
    text = str(caught.value)
    assert text.startswith("5 recording(s) cannot be used (max_bad_performances=0):\n")
    assert "absent.wav: no such file\n" in text
    assert "empty.wav: the file is empty (0 bytes)\n" in text
    assert "nan.wav: a sample is NaN or infinite at 0.00 s\n" in text
    assert "rate.wav: lasts 15.0 s, but the catalogue says 30.0 s: truncated, or a wrong sample rate" in text
    assert "truncated.wav: truncated, 252,844 bytes of the audio it announces are missing" in text
    assert "set max_bad_performances=5 to go on without them (everything else is already cached)" in text
    assert list(read_manifest(tmp_path / "cache")) == ["2009/good.wav"]
    assert set(content(tmp_path / "cache")) == {"manifest.json", "2009/good.wav.pcm"}
    converted.clear()
    with pytest.warns(
        UserWarning, match=r"5 recording\(s\) cannot be used and are skipped:\n  - .*absent\.wav"
    ):
        build(release, tmp_path / "cache", max_bad_performances=5)
    assert "good.wav" not in converted


def test_no_usable_recording_is_an_error_whatever_is_tolerated(
    tmp_path: Path, make_release: Callable, recording: Callable
) -> None:
    release = make_release(tmp_path / "release", [recording("a")])
    (release / "2009/a.wav").unlink()
    with pytest.raises(AudioError, match=r"1 recording\(s\) cannot be used \(max_bad_performances=9\)"):
        build(release, tmp_path / "cache", max_bad_performances=9)


def test_a_failing_update_keeps_the_good_cache(tiny_release: Path, tmp_path: Path) -> None:
    before = build(tiny_release, tmp_path / "cache")
    os.truncate(tiny_release / "2009/a.wav", 1000)
    with pytest.raises(AudioError, match=r"a\.wav: truncated"):
        build(tiny_release, tmp_path / "cache")
    assert content(tmp_path / "cache") == before


def test_too_little_disk_space_is_noticed_before_starting(
    tiny_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converted: list[str]
) -> None:
    usage = namedtuple("usage", "total used free")(10**6, 9 * 10**5, 10**5)
    monkeypatch.setattr(progress.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(CacheError, match=r"needs 0\.00 GB, but the disk has 0\.00 GB free\n.*max_hours"):
        build(tiny_release, tmp_path / "cache")
    assert converted == []


def test_disk_full_while_caching(tiny_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up in the middle of the third recording; nothing half-written is used afterwards."""
    convert = cache_builder.convert_to_pcm
    started: list[Path] = []

    def fill_disk(source: Path, target: IO[bytes], *args: object, **kwargs: object) -> object:
        started.append(source)
        if len(started) < 3:
            return convert(source, target, *args, **kwargs)  # type: ignore[arg-type]
        target.write(bytes(10_000))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(cache_builder, "convert_to_pcm", fill_disk)
        with pytest.raises(CacheError, match=r"No space left on device\n.*free some space.*finished is kept"):
            build(tiny_release, folder)
    finished = read_manifest(folder)
    assert len(finished) <= 2
    files = set(content(folder)) - {"manifest.json"}
    assert files >= {f"{audio}.pcm" for audio in finished}
    assert not any(".part" in name for name in files)
    assert build(tiny_release, folder) == build(tiny_release, tmp_path / "other")


def test_manifest_is_replaced_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "x", b"old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_atomically(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"


@pytest.fixture
def long_release(tmp_path: Path, make_release: Callable, recording: Callable) -> Path:
    return make_release(tmp_path / "release", [recording(f"p{i:02}", seconds=0.5) for i in range(16)])


def start_slow_build(release: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOW_BUILD, str(release), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_finished(folder: Path, process: subprocess.Popen[str], number: int) -> None:
    deadline = time.monotonic() + 60
    while len(read_manifest(folder)) < number:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_resume_after_kills(long_release: Path, tmp_path: Path, converted: list[str]) -> None:
    """Killed twice in the middle: what was finished is reused, and the result is the same to the byte."""
    folder = tmp_path / "cache"
    for number in (3, 8):
        process = start_slow_build(long_release, folder)
        wait_for_finished(folder, process, number)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finished = {Path(audio).name for audio in read_manifest(folder)}
    assert 8 <= len(finished) < 16
    assert any(name.endswith(".part") for name in content(folder))
    resumed = build(long_release, folder)
    assert set(converted) == {f"p{i:02}.wav" for i in range(16)} - finished
    assert resumed == build(long_release, tmp_path / "uninterrupted")


def test_two_processes_at_once(long_release: Path, tmp_path: Path) -> None:
    """The second waits, says so, and uses what the first has made."""
    folder = tmp_path / "cache"
    first = start_slow_build(long_release, folder)
    wait_for_finished(folder, first, 1)
    second = start_slow_build(long_release, folder)
    (out_first, error_first), (out_second, error_second) = first.communicate(), second.communicate()
    assert (first.returncode, second.returncode) == (0, 0), error_first + error_second
    assert out_first.count("converting") == 16
    assert out_second == ""
    assert "Caching 16 performance(s)" in error_first
    assert "Another process is preparing cache; waiting for it to finish." in error_second
    assert content(folder) == build(long_release, tmp_path / "alone")


def test_the_folder_depends_on_what_decides_the_content(tiny_release: Path, tmp_path: Path) -> None:
    performances = catalogue(tiny_release)
    catalogue_hash = hash_catalogue(performances)
    assert catalogue_hash == hash_catalogue(reversed(performances))
    specs = [
        CacheSpec("v3.0.0", 16_000, 1, catalogue_hash),
        CacheSpec("v3.0.0", 16_000, 2, catalogue_hash),
        CacheSpec("v3.0.0", 22_050, 1, catalogue_hash),
        CacheSpec("v3.0.0", 16_000, 1, hash_catalogue(performances[1:])),
    ]
    assert len({spec.folder(tmp_path) for spec in specs}) == 4


def test_a_recording_that_goes_bad_after_caching(tiny_release: Path, tmp_path: Path) -> None:
    """Tolerated, it is not said to be skipped: what was cached before is used, and stays."""
    before = build(tiny_release, tmp_path / "cache")
    os.truncate(tiny_release / "2009/a.wav", 1000)
    with pytest.warns(UserWarning) as caught:
        after = build(tiny_release, tmp_path / "cache", max_bad_performances=1)
    (warning,) = [str(w.message) for w in caught]
    assert warning.startswith("1 recording(s) cannot be read any more; their earlier version in the cache is")
    assert "a.wav: truncated" in warning and "skipped" not in warning
    assert after == before


def test_a_wrong_rate_in_the_header_shows_in_the_duration(
    tmp_path: Path, make_release: Callable, recording: Callable
) -> None:
    """44.1 kHz audio under a header of 48 kHz is 8% shorter and sounds a tone too high; or the reverse."""
    made = [recording(name, seconds=40.0, channels=1) for name in ("good", "fast", "slow", "cut")]
    for one in made:
        one.waveform = np.zeros((42 * 44_100, 1))  # two seconds after the last note, as in MAESTRO
    made[1].rate = 48_000
    made[2].rate, made[2].waveform = 44_100, np.zeros((42 * 48_000, 1))
    made[3].waveform = np.zeros((round(0.79 * 42 * 44_100), 1))
    release = make_release(tmp_path / "release", made)
    with pytest.raises(AudioError) as caught:
        build(release, tmp_path / "cache")
    assert "3 recording(s) cannot be used" in str(caught.value)
    assert "fast.wav: lasts 38.6 s, but the catalogue says 40.0 s" in str(caught.value)
    assert "slow.wav: lasts " in str(caught.value) and "cut.wav: lasts 33.2 s" in str(caught.value)
    assert list(read_manifest(tmp_path / "cache")) == ["2009/good.wav"]


def test_a_partial_copy_does_not_fill_the_screen(
    tmp_path: Path, make_release: Callable, recording: Callable, capfd: pytest.CaptureFixture[str]
) -> None:
    made = [recording(f"{number:03}", seconds=0.5) for number in range(60)]
    release = make_release(tmp_path / "release", made)
    for one in made[2:]:
        (release / one.audio).unlink()
    with pytest.warns(UserWarning, match="and 48 more that are not there") as caught:
        build(release, tmp_path / "cache", max_bad_performances=58)
    assert len(str(caught[0].message).splitlines()) == 12
    spec = CacheSpec("v3.0.0", 16_000, 1, "catalogue")
    again = CacheBuilder(open_archive(V3, release), spec, tmp_path / "cache", 2, 58, progress=True)
    with pytest.warns(UserWarning, match="58 recording"):
        again.build(catalogue(release))
    assert "Caching" not in capfd.readouterr().err
