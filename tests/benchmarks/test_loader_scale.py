"""The loader on a cache of MAESTRO's full size beside one of 16 recordings: 199 h against 2.5 h.

Run with `pytest -m benchmark -s tests/benchmarks/test_loader_scale.py`. The caches are sparse files of 16 kHz
mono: 23 GB by their length, next to nothing on the disk, with the manifest and the table of a real one. Their
samples are zeros, but each page is brought in as for any file. Rates are taken in turns within one run; those
of the large cache twice: at first sight, when every page is new to the machine's memory, and again for the
clips of an epoch that was read before. What a disk adds at first sight is not measured here.
"""

import csv
import os
import statistics
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from datamodules import MaestroDataModule
from datamodules.archive.open import open_archive
from datamodules.batch import PcmBatch
from datamodules.cache import integrity, preparation
from datamodules.cache.pcm import CacheEntry, CacheSpec, hash_catalogue, pcm_path, write_manifest
from datamodules.release.catalogue import COLUMNS, read_catalogue
from datamodules.releases import find_release

pytestmark = pytest.mark.benchmark

SAMPLE_RATE = 16_000
TURNS = 5
BATCHES = 400


def make_cache(root: Path, counts: dict[str, int], hours: float) -> Path:
    """A table without recordings, and the sparse cache that was "made" from them; returns the folder."""
    splits = [split for split, count in counts.items() for _ in range(count)]
    seconds = np.random.default_rng(0).gamma(3.0, size=len(splits))
    seconds *= hours * 3600 / seconds.sum()
    rows = [
        ("Composer", f"Title {i}", split, 2004 + i % 15, f"2004/{i:04}.midi", f"2004/{i:04}.wav", duration)
        for i, (split, duration) in enumerate(zip(splits, seconds.tolist(), strict=True))
    ]
    source = root / "maestro-v3.0.0"
    source.mkdir(parents=True)
    with (source / "maestro-v3.0.0.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    release = find_release("v3.0.0")
    catalogue = read_catalogue(open_archive(release, source), release)
    spec = CacheSpec(release.name, SAMPLE_RATE, 1, hash_catalogue(catalogue))
    folder = spec.folder(root / "cache")
    (folder / "2004").mkdir(parents=True)
    entries, crc32, crc_bytes = {}, 0, 0
    for performance in sorted(catalogue, key=lambda each: each.duration):
        samples = round(performance.duration * SAMPLE_RATE)
        path, num_bytes = pcm_path(folder, performance.audio), spec.num_bytes(samples)
        path.touch()
        os.truncate(path, num_bytes)
        crc32, crc_bytes = zlib.crc32(bytes(num_bytes - crc_bytes), crc32), num_bytes
        entries[performance.audio] = CacheEntry(samples, crc32, "1-2", 44_100, 0)
    write_manifest(folder, spec, entries)
    return root


def open_module(root: Path, workers: int = 0) -> MaestroDataModule:
    module = MaestroDataModule(
        "v3.0.0",
        root / "maestro-v3.0.0",
        root / "cache",
        clips_per_epoch=16 * BATCHES,
        workers=workers,
        progress=False,
    )
    module.prepare_data()
    return module


def time_epoch(loader: DataLoader[PcmBatch], epoch: int) -> float:
    """Seconds for one epoch of the loader."""
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def memory(pid: int | str) -> dict[str, float]:
    """Resident memory of a process in MB: its own, and of mapped files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return {name: int(value) / 1024 for name, value in values.items()}


def describe_worker(module: MaestroDataModule, context: str) -> str:
    """Start-up, memory and file descriptors of a single worker process after two epochs."""
    loader = module.train_dataloader()
    loader.multiprocessing_context = context
    start = time.perf_counter()
    batches = iter(loader)
    next(batches)
    first = time.perf_counter() - start
    for _ in batches:
        pass
    pid = batches._workers[0].pid  # type: ignore[attr-defined]
    time_epoch(loader, 1)
    found, files = memory(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return (
        f"first batch {first:.2f} s, {found['RssAnon']:.0f} MB of its own, "
        f"{found['RssFile']:.0f} MB of mapped files, {files} file descriptors"
    )


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scale")
    return {
        "small": make_cache(folder / "small", {"train": 12, "validation": 2, "test": 2}, 2.5),
        "large": make_cache(folder / "large", {"train": 962, "validation": 137, "test": 177}, 198.7),
    }


def test_full_size(benchmark: Any, roots: dict[str, Path]) -> None:
    modules, text = {}, []
    for name, root in roots.items():
        start = time.perf_counter()
        modules[name] = open_module(root)
        prepared = time.perf_counter()
        modules[name].setup("fit")
        ready = time.perf_counter()
        next(iter(modules[name].train_dataloader()))
        first = time.perf_counter()
        files = len(list(Path("/proc/self/fd").iterdir()))
        text.append(
            f"{name}: {len(modules[name].performances)} recordings, prepare_data {prepared - start:.3f} s, "
            f"setup {ready - prepared:.3f} s, first batch {first - ready:.3f} s, {files} file descriptors"
        )
    small, large = (modules[name].train_dataloader() for name in ("small", "large"))
    time_epoch(small, 0)
    time_epoch(large, 0)
    seconds: dict[str, list[float]] = {"small": [], "large": [], "large_new": []}

    def turn() -> None:
        epoch = len(seconds["small"]) + 1
        seconds["large_new"].append(time_epoch(large, epoch))
        seconds["small"].append(time_epoch(small, 0))
        seconds["large"].append(time_epoch(large, 0))

    benchmark.pedantic(turn, rounds=TURNS, iterations=1)
    rates = {name: 16 * BATCHES / statistics.median(values) for name, values in seconds.items()}

    def ratio(name: str) -> float:
        return statistics.median(b / a for a, b in zip(seconds[name], seconds["small"], strict=True))

    benchmark.extra_info.update(rates)
    text.append(
        f"clips/s of 16,384 samples: small {rates['small']:,.0f}, "
        f"large {rates['large']:,.0f} ({ratio('large'):.0%} of small), "
        f"large at first sight {rates['large_new']:,.0f} ({ratio('large_new'):.0%})"
    )
    for context in ("fork", "spawn"):
        for name, root in roots.items():
            module = open_module(root, workers=1)
            module.setup("fit")
            text.append(f"worker ({context}), {name}: {describe_worker(module, context)}")
    print("\n" + "\n".join(text))


def time_start(root: Path) -> float:
    """Seconds of `prepare_data` and `setup`, as a new process has them."""
    integrity._checked_here.clear()
    start = time.perf_counter()
    open_module(root).setup("fit")
    return time.perf_counter() - start


def test_start(roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file's CRC-32 is taken at its first use, and remembered by its size and times."""
    text = []
    for name, root in roots.items():
        time_start(root)  # imports, pages of the table
        for remembered in (root / "cache").rglob(f"*{integrity.CHECKED_SUFFIX}"):
            remembered.unlink()
        first, second = time_start(root), time_start(root)
        with monkeypatch.context() as patch:
            patch.setattr(preparation, "find_changed", lambda *_: [])
            unchecked = time_start(root)
        text.append(
            f"{name}: first start {first:.2f} s, later ones {second:.2f} s, without a check {unchecked:.2f} s"
        )
    print("\n" + "\n".join(text))
