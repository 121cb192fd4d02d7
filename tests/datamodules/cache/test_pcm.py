import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datamodules.cache.integrity import verify_cache
from datamodules.cache.pcm import (
    CacheEntry,
    CacheSpec,
    PcmCache,
    open_cache,
    pcm_path,
    read_manifest,
    write_manifest,
)
from datamodules.errors import CacheError
from datamodules.release.catalogue import Performance

SPEC = CacheSpec("v3.0.0", 16_000, 2, "catalogue")


def performance(number: int) -> Performance:
    return Performance("composer", "title", "train", 2009, f"{number}.midi", f"2009/{number}.wav", 1.0)


def crc(content: bytes) -> int:
    """CRC-32 by its definition, bit by bit."""
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.fixture
def write_cache(tmp_path: Path) -> Callable[[int], dict[str, np.ndarray]]:
    """A function that writes a stereo cache of so many performances and returns their samples."""

    def write(number: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(0)
        pcm = {f"2009/{i}.wav": random.integers(-9, 9, (50 + i, 2)).astype("<i2") for i in range(number)}
        (tmp_path / "2009").mkdir()
        for audio, samples in pcm.items():
            pcm_path(tmp_path, audio).write_bytes(samples.tobytes())
        entries = {a: CacheEntry(len(s), crc(s.tobytes()), "1-1", 44_100, 0) for a, s in pcm.items()}
        write_manifest(tmp_path, SPEC, entries)
        return pcm

    return write


def open_all(folder: Path, number: int) -> PcmCache:
    return open_cache(folder, SPEC, [performance(i) for i in range(number)])


def test_samples_are_those_written(tmp_path: Path, write_cache: Callable) -> None:
    pcm = write_cache(3)
    cache = open_all(tmp_path, 3)
    assert cache.samples.tolist() == [50, 51, 52]
    for row, samples in enumerate(pcm.values()):
        np.testing.assert_array_equal(cache.pcm(row), samples)


def test_performances_that_are_not_cached_are_left_out(tmp_path: Path, write_cache: Callable) -> None:
    write_cache(2)
    cache = open_cache(tmp_path, SPEC, [performance(7), performance(1), performance(0)])
    assert cache.audio == ["2009/1.wav", "2009/0.wav"]


def test_writing_into_a_map_does_not_reach_the_file(tmp_path: Path, write_cache: Callable) -> None:
    pcm = write_cache(1)
    open_all(tmp_path, 1).pcm(0)[:] = 0
    np.testing.assert_array_equal(open_all(tmp_path, 1).pcm(0), pcm["2009/0.wav"])


def test_file_descriptors_do_not_grow_with_performances(tmp_path: Path, write_cache: Callable) -> None:
    write_cache(200)
    cache = open_all(tmp_path, 200)
    before = len(os.listdir("/proc/self/fd"))
    assert sum(int(cache.pcm(row).size) for row in range(200)) > 0
    assert len(os.listdir("/proc/self/fd")) == before


def test_pickling_takes_the_paths_and_not_the_samples(tmp_path: Path, write_cache: Callable) -> None:
    pcm = write_cache(1)
    cache = open_all(tmp_path, 1)
    cache.pcm(0)
    copy = pickle.loads(pickle.dumps(cache))
    assert copy._views == {}
    np.testing.assert_array_equal(copy.pcm(0), pcm["2009/0.wav"])


def test_identity_follows_content_and_format(tmp_path: Path, write_cache: Callable) -> None:
    write_cache(3)
    performances = [performance(i) for i in range(3)]
    identity = open_cache(tmp_path, SPEC, performances).identity
    assert len(identity) == 16
    assert identity == open_cache(tmp_path, SPEC, performances[::-1]).identity
    assert identity != open_cache(tmp_path, SPEC, performances[:2]).identity
    entries = read_manifest(tmp_path)
    other_rate = CacheSpec("v3.0.0", 22_050, 2, "catalogue")
    write_manifest(tmp_path, other_rate, entries)
    assert identity != open_cache(tmp_path, other_rate, performances).identity
    entries = read_manifest(tmp_path)
    entries["2009/1.wav"] = CacheEntry(51, 12345, "1-1", 44_100, 0)
    write_manifest(tmp_path, SPEC, entries)
    assert identity != open_cache(tmp_path, SPEC, performances).identity


def test_verify_finds_a_flipped_bit(tmp_path: Path, write_cache: Callable) -> None:
    write_cache(3)
    cache = open_all(tmp_path, 3)
    assert verify_cache(cache) == []
    path = pcm_path(tmp_path, "2009/1.wav")
    content = bytearray(path.read_bytes())
    content[17] ^= 1
    path.write_bytes(content)
    pcm_path(tmp_path, "2009/2.wav").unlink()
    first, second = verify_cache(cache)
    assert first == f"{path}: CRC-32 is {crc(content):08x}, {cache.entries[1].crc32:08x} was written"
    assert second.endswith("2.wav.pcm: No such file or directory")


def test_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"there is no cache in .*\n.*prepare_data\(\)"):
        open_all(tmp_path, 1)


@pytest.mark.parametrize("content", ["{", "[]", '{"performances": {"a": {"samples": 3}}}', "null"])
def test_damaged_manifest(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(CacheError, match=r"manifest\.json is damaged \(.*\n.*delete the folder"):
        open_all(tmp_path, 1)


def test_unreadable_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(CacheError, match=r"cannot read .*manifest\.json: Is a directory\n.*permissions"):
        open_all(tmp_path, 1)


def test_truncated_pcm(tmp_path: Path, write_cache: Callable) -> None:
    write_cache(2)
    os.truncate(pcm_path(tmp_path, "2009/1.wav"), 100)
    with pytest.raises(
        CacheError, match=r"1 PCM file\(s\) in .*wrong size \(the first: .*1\.wav\.pcm\)\n.*again"
    ):
        open_all(tmp_path, 2)


def test_file_that_vanishes_after_opening(tmp_path: Path, write_cache: Callable) -> None:
    write_cache(1)
    cache = open_all(tmp_path, 1)
    pcm_path(tmp_path, "2009/0.wav").unlink()
    with pytest.raises(CacheError, match=r"cannot map .*0\.wav\.pcm: .*\n.*prepare the cache again"):
        cache.pcm(0)
