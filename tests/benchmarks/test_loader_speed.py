"""Clips per second of the training loader, beside the least there is to do and beside having no cache.

Run with `pytest -m benchmark -s tests/benchmarks/test_loader_speed.py`. The variants are timed in turns
within one run, so that a busy machine slows all of them; the ratios are medians over the turns. The
environment variable MAESTRO_BENCHMARK_SOURCE names a folder with v3.0.0 to use instead of 16 min of noise.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from datamodules import MaestroDataModule
from datamodules.cache.decoding import RESAMPLER_QUALITY

pytestmark = pytest.mark.benchmark

SAMPLE_RATE = 16_000
TURNS = 5


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, long_noise_release: Callable[[Path], Path]) -> Path:
    if folder := os.environ.get("MAESTRO_BENCHMARK_SOURCE"):
        return Path(folder)
    return long_noise_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


def time_bare_loop(module: MaestroDataModule, batches: int) -> float:
    """Seconds per clip of the least there is to do: crop memory maps and copy, into a new batch each."""
    folder = module.cache.folder
    maps = [np.memmap(folder / f"{audio}.pcm", dtype="<i2", mode="r") for audio in module.cache.audio]
    random = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(batches):
        batch = np.empty((module.batch_size, 1, module.clip_samples), dtype=np.int16)
        for position in range(module.batch_size):
            pcm = maps[random.integers(len(maps))]
            first = random.integers(len(pcm) - module.clip_samples + 1)
            batch[position, 0] = pcm[first : first + module.clip_samples]
    return (time.perf_counter() - start) / (batches * module.batch_size)


def time_decoding(module: MaestroDataModule, source: Path, clips: int) -> float:
    """Seconds per clip of decoding and resampling each from its WAV, as a loader without a cache does."""
    paths = [next(source.rglob(Path(p.audio).name)) for p in module.performances]
    random = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(clips):
        with soundfile.SoundFile(paths[random.integers(len(paths))]) as file:
            frames = module.clip_samples * file.samplerate // SAMPLE_RATE + 1
            file.seek(random.integers(file.frames - frames + 1))
            waveform = file.read(frames, dtype="float32", always_2d=True).mean(axis=1)
            soxr.resample(waveform, file.samplerate, SAMPLE_RATE, quality=RESAMPLER_QUALITY)
    return (time.perf_counter() - start) / clips


def time_loader(module: MaestroDataModule) -> float:
    """Seconds per clip of one epoch of the module's own loader, without the start of worker processes."""
    batches = iter(module.train_dataloader())
    next(batches)
    start, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch.pcm)
    return (time.perf_counter() - start) / count


@pytest.mark.parametrize(("clip_samples", "batch_size", "batches"), [(16_384, 16, 400), (262_144, 4, 150)])
def test_loader(
    benchmark: Any, source: Path, cache_dir: Path, clip_samples: int, batch_size: int, batches: int
) -> None:
    def module(workers: int | str) -> MaestroDataModule:
        made = MaestroDataModule(
            release="v3.0.0",
            source=source,
            cache_dir=cache_dir,
            clip_samples=clip_samples,
            batch_size=batch_size,
            clips_per_epoch=batches * batch_size,
            workers=workers,  # type: ignore[arg-type]
            progress=False,
        )
        made.prepare_data()
        made.setup("fit")
        return made

    default, two_workers = module("auto"), module(2)
    time_bare_loop(default, batches)  # both find every file in memory
    seconds: dict[str, list[float]] = {"bare": [], "default": [], "two_workers": [], "decoding": []}

    def turn() -> None:
        seconds["bare"].append(time_bare_loop(default, batches))
        seconds["default"].append(time_loader(default))
        seconds["two_workers"].append(time_loader(two_workers))
        seconds["decoding"].append(time_decoding(default, source, 40))

    benchmark.pedantic(turn, rounds=TURNS, iterations=1)
    rates = {name: 1 / statistics.median(values) for name, values in seconds.items()}

    def ratio(name: str) -> float:
        return statistics.median(b / a for a, b in zip(seconds["default"], seconds[name], strict=True))

    benchmark.extra_info.update(rates)
    print(
        f"\n{clip_samples} samples, batches of {batch_size}, soxr {RESAMPLER_QUALITY}, in clips/s: "
        f"default ({default.workers} workers) {rates['default']:,.0f}, bare loop {rates['bare']:,.0f}, "
        f"2 workers {rates['two_workers']:,.0f}, soundfile+soxr {rates['decoding']:,.0f}\n"
        f"default is {ratio('bare'):.0%} of the bare loop, {ratio('two_workers'):.1f}x 2 workers, "
        f"{ratio('decoding'):,.0f}x soundfile+soxr"
    )
