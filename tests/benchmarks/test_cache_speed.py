"""Cache building in multiples of real time, beside a bare loop of soundfile and soxr.

Run with `pytest -m benchmark -s tests/benchmarks/test_cache_speed.py`. The variants are timed in turns within
one run; the ratios are medians over the turns. The environment variable MAESTRO_BENCHMARK_SOURCE names a
folder with v3.0.0 to use instead of 16 minutes of noise.

The bare loop is also run in two processes at once, which share nothing but the machine: what two cores are
worth at that moment, beside other programs and the processor's own limits. Threads can do no better.
"""

import multiprocessing
import os
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

from datamodules.archive.open import open_archive
from datamodules.cache.builder import CacheBuilder, count_cores
from datamodules.cache.decoding import RESAMPLER_QUALITY
from datamodules.cache.pcm import CacheSpec
from datamodules.release.catalogue import read_catalogue
from datamodules.releases import find_release

pytestmark = pytest.mark.benchmark

SAMPLE_RATE = 16_000
TURNS = 5


def time_bare_loop(paths: list[Path]) -> float:
    """Seconds to decode, mix down and resample everything on one core, keeping nothing."""
    start = time.perf_counter()
    for path in paths:
        waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        soxr.resample(waveform.mean(axis=1), rate, SAMPLE_RATE, quality=RESAMPLER_QUALITY)
    return time.perf_counter() - start


def time_bare_processes(paths: list[Path]) -> float:
    """Seconds for the same work by two processes at once."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=time_bare_loop, args=(paths[half::2],)) for half in (0, 1)]
    start = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return time.perf_counter() - start


def test_cache_building(benchmark: Any, tmp_path: Path, long_noise_release: Callable[[Path], Path]) -> None:
    release = find_release("v3.0.0")
    source = os.environ.get("MAESTRO_BENCHMARK_SOURCE") or long_noise_release(tmp_path / "release")
    archive = open_archive(release, source)
    performances = read_catalogue(archive, release)
    paths = [Path(archive.location) / p.audio for p in performances]
    audio_seconds = sum(soundfile.info(path).duration for path in paths)
    spec = CacheSpec("v3.0.0", SAMPLE_RATE, 1, "benchmark")

    def time_builder(threads: int) -> float:
        folder = tmp_path / "cache"
        start = time.perf_counter()
        CacheBuilder(archive, spec, folder, threads, progress=False).build(performances)
        elapsed = time.perf_counter() - start
        shutil.rmtree(folder)
        return elapsed

    time_bare_loop(paths)  # both find every file in memory
    seconds: dict[str, list[float]] = {"bare": [], "bare_two": [], "one": [], "two": []}

    def turn() -> None:
        seconds["bare"].append(time_bare_loop(paths))
        seconds["bare_two"].append(time_bare_processes(paths))
        seconds["one"].append(time_builder(1))
        seconds["two"].append(time_builder(2))

    benchmark.pedantic(turn, rounds=TURNS, iterations=1)
    speeds = {name: audio_seconds / statistics.median(values) for name, values in seconds.items()}

    def ratio(name: str, other: str) -> float:
        return statistics.median(b / a for a, b in zip(seconds[name], seconds[other], strict=True))

    benchmark.extra_info.update(speeds)
    print(
        f"\n{audio_seconds / 60:.1f} min of audio to {SAMPLE_RATE} Hz, soxr {RESAMPLER_QUALITY}, "
        f"{count_cores()} cores, in multiples of real time: bare soundfile+soxr loop {speeds['bare']:,.0f}, "
        f"by two processes {speeds['bare_two']:,.0f}; cache with 1 thread {speeds['one']:,.0f}, "
        f"with 2 threads {speeds['two']:,.0f}\n"
        f"1 thread is {ratio('one', 'bare'):.0%} of the bare loop; 2 threads are {ratio('two', 'one'):.2f}x "
        f"1 thread, where two processes of the bare loop are {ratio('bare_two', 'bare'):.2f}x one"
    )
