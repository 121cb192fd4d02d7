"""Cache building from zip archives, local and over HTTP, beside the folder: speed, and bytes moved.

Run with `pytest -m benchmark -s tests/benchmarks/test_archive_speed.py`. All variants use two threads and
are timed in turns within one run. The server runs in a process of its own on the loopback interface and
shares the cores. MAESTRO_BENCHMARK_SOURCE names a folder with v3.0.0 to use instead of 16 minutes of noise;
noise hardly deflates, so that the deflated archive is the worst case for unpacking.
"""

import multiprocessing
import os
import shutil
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr
from range_server import serve

from datamodules.cache.decoding import RESAMPLER_QUALITY
from datamodules.cache.preparation import Preparation

pytestmark = pytest.mark.benchmark

SAMPLE_RATE = 16_000
TURNS = 5


def run_server(folder: Path, connection: Connection) -> None:
    """Serve until told to stop; whatever is sent is answered by the number of bytes moved so far."""
    with serve(folder) as server:
        connection.send(server.url)
        while connection.recv():
            connection.send(server.moved)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """The URL of `folder`, and a function that says how many bytes were moved."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=run_server, args=(folder, there), daemon=True
    )
    process.start()

    def moved() -> int:
        here.send(True)
        return int(here.recv())

    yield here.recv(), moved
    here.send(False)
    process.join()


def pack(folder: Path, target: Path, compression: int) -> Path:
    with zipfile.ZipFile(target, "w", compression, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, f"maestro-v3.0.0/{path.relative_to(folder)}")
    return target


def time_bare_loop(paths: list[Path]) -> float:
    """Seconds to decode, mix down and resample everything on one core, keeping nothing."""
    start = time.perf_counter()
    for path in paths:
        waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        soxr.resample(waveform.mean(axis=1), rate, SAMPLE_RATE, quality=RESAMPLER_QUALITY)
    return time.perf_counter() - start


def test_archives(benchmark: Any, tmp_path: Path, long_noise_release: Callable[[Path], Path]) -> None:
    given = os.environ.get("MAESTRO_BENCHMARK_SOURCE")
    folder = Path(given) if given else long_noise_release(tmp_path / "maestro-v3.0.0")
    paths = sorted(folder.rglob("*.wav"))
    audio_seconds = sum(soundfile.info(path).duration for path in paths)
    web = tmp_path / "web"
    web.mkdir()
    stored = pack(folder, web / "stored.zip", zipfile.ZIP_STORED)
    deflated = pack(folder, web / "deflated.zip", zipfile.ZIP_DEFLATED)

    def time_preparation(source: str | Path) -> float:
        cache = tmp_path / "cache"
        made = Preparation("v3.0.0", source, cache, prepare_threads=2, progress=False)
        start = time.perf_counter()
        made.prepare()
        elapsed = time.perf_counter() - start
        shutil.rmtree(cache)
        return elapsed

    with serving(web) as (url, moved):
        sources: dict[str, str | Path] = {
            "folder": folder,
            "zip stored": stored,
            "zip deflated": deflated,
            "http stored": f"{url}/stored.zip",
            "http deflated": f"{url}/deflated.zip",
        }
        shares = {}
        for name, archive in (("http stored", stored), ("http deflated", deflated)):
            before = moved()
            time_preparation(sources[name])
            shares[name] = (moved() - before) / archive.stat().st_size
        time_bare_loop(paths)
        seconds: dict[str, list[float]] = {"bare loop, 1 core": [], **{name: [] for name in sources}}

        def turn() -> None:
            seconds["bare loop, 1 core"].append(time_bare_loop(paths))
            for name, source in sources.items():
                seconds[name].append(time_preparation(source))

        benchmark.pedantic(turn, rounds=TURNS, iterations=1)
    speeds = {name: audio_seconds / statistics.median(values) for name, values in seconds.items()}
    benchmark.extra_info.update(speeds)
    print(f"\n{audio_seconds / 60:.1f} min of audio to {SAMPLE_RATE} Hz, 2 threads, multiples of real time:")
    for name, speed in speeds.items():
        ratios = [b / a for a, b in zip(seconds[name], seconds["folder"], strict=True)]
        share = f", {shares[name]:.4f} of the archive's bytes moved" if name in shares else ""
        print(f"  {name:<18} {speed:7,.0f}  ({statistics.median(ratios):.0%} of the folder{share})")
