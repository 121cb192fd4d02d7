"""Build the PCM cache: in parallel, resumable, one writer at a time; what is good is never lost."""

import os
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datamodules.archive import Archive
from datamodules.audio_io import convert_to_pcm
from datamodules.cache import (
    MANIFEST,
    CacheEntry,
    CacheSpec,
    is_intact,
    pcm_path,
    read_manifest,
    write_manifest,
)
from datamodules.catalogue import Performance
from datamodules.errors import AudioError, CacheError

# Seconds of 44.1 kHz stereo converted per second and core, as measured; for the estimate only.
_TYPICAL_SPEED = 400
# The catalogue's duration ends with the last note; the recording goes on for a while.
_DURATION_SLACK_SECONDS = 5.0
_DURATION_SLACK_RATIO = 1.25


def count_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Cancelled(Exception):
    """A conversion was stopped because another one failed for good."""


@dataclass(frozen=True)
class CacheBuilder:
    """Brings the cache of a release up to date.

    Decoding, resampling and checksums release the interpreter's lock, so threads scale with the cores and
    start at once, where processes would each import everything again.

    Attributes:
        archive: The release's files.
        spec: Which cache.
        folder: Its folder.
        threads: Conversions at a time.
        max_bad_performances: How many unusable recordings are skipped with a warning; one more stops the run.
        progress: Whether to show the estimate and the progress bar.
    """

    archive: Archive
    spec: CacheSpec
    folder: Path
    threads: int
    max_bad_performances: int = 0
    progress: bool = True

    def build(self, performances: Sequence[Performance]) -> None:
        """Convert what is missing or has changed. Returns at once if nothing is.

        Raises:
            AudioError: If more recordings are unusable than tolerated; the text lists all of them.
            CacheError: If the cache cannot be written, or the disk is full. What is finished is kept.
        """
        with translated_write_errors(self.folder):
            if not self._outdated(performances, self._readable_manifest()):
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            with single_writer(self.folder, self.progress):
                self._build_locked(performances)

    def _build_locked(self, performances: Sequence[Performance]) -> None:
        entries = self._readable_manifest(set_aside=True)
        outdated = self._outdated(performances, entries)
        if not outdated:
            return
        for leftover in self.folder.rglob("*.partial"):
            leftover.unlink()
        self._announce(outdated)
        failures = self._convert_all(outdated, entries)
        self._report(failures, usable=any(p.audio in entries for p in performances))

    def _readable_manifest(self, set_aside: bool = False) -> dict[str, CacheEntry]:
        """The manifest, or nothing if it is damaged; a damaged one is kept under another name."""
        try:
            return read_manifest(self.folder)
        except CacheError as error:
            if isinstance(error.__cause__, OSError):
                raise
            if set_aside:
                warnings.warn(f"{error.problem}; the cache is built anew", stacklevel=2)
                (self.folder / MANIFEST).replace(self.folder / f"{MANIFEST}.damaged")
            return {}

    def _outdated(
        self, performances: Sequence[Performance], entries: dict[str, CacheEntry]
    ) -> list[Performance]:
        """Performances that have to be converted, longest first so that the threads finish together."""
        outdated = [p for p in performances if not self._is_current(p, entries.get(p.audio))]
        return sorted(outdated, key=lambda p: (-p.duration, p.audio))

    def _is_current(self, performance: Performance, entry: CacheEntry | None) -> bool:
        if entry is None or not is_intact(self.folder, self.spec, performance.audio, entry):
            return False
        source = self.archive.fingerprint(performance.audio)
        # A recording that was deleted after caching, to save its disk space, is not needed any more.
        return source is None or source == entry.source

    def _announce(self, outdated: Sequence[Performance]) -> None:
        """State the cost before starting, and refuse to start what cannot fit.

        Raises:
            CacheError: If the disk lacks the space.
        """
        seconds = sum(p.duration for p in outdated)
        needed = self.spec.num_bytes(round(seconds * self.spec.sample_rate))
        free = shutil.disk_usage(self.folder).free
        minutes = seconds / 60 / (_TYPICAL_SPEED * self.threads)
        _say(
            f"Caching {len(outdated)} performance(s), {seconds / 3600:.2f} h, at {self.spec.sample_rate} Hz: "
            f"{_gigabytes(needed)} in {self.folder} ({_gigabytes(free)} free), "
            f"about {max(minutes, 0.1):.1f} min with {self.threads} thread(s)",
            self.progress,
        )
        if needed > free:
            raise CacheError(
                f"the cache in {self.folder} needs {_gigabytes(needed)}, "
                f"but the disk has {_gigabytes(free)} free",
                "free some space, set `cache_dir` to another disk, or use less of the release (`max_hours`)",
            )

    def _convert_all(
        self, outdated: Sequence[Performance], entries: dict[str, CacheEntry]
    ) -> list[AudioError]:
        """Convert in parallel; add each finished performance to the manifest as soon as it is on disk."""
        failures: list[AudioError] = []
        stop = threading.Event()
        total = sum(p.duration for p in outdated)
        with _progress_bar(total, self.progress) as advance, ThreadPoolExecutor(self.threads) as pool:
            futures = {pool.submit(self._convert, p, _stoppable(stop, advance)): p for p in outdated}
            try:
                for future in as_completed(futures):
                    self._collect(future, futures[future], entries, failures)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return failures

    def _collect(
        self,
        future: Future[CacheEntry],
        performance: Performance,
        entries: dict[str, CacheEntry],
        failures: list[AudioError],
    ) -> None:
        try:
            entries[performance.audio] = future.result()
        except AudioError as error:
            failures.append(error)
        else:
            write_manifest(self.folder, self.spec, entries)

    def _convert(self, performance: Performance, on_block: Callable[[float], None]) -> CacheEntry:
        """Convert one performance into its final file."""
        fingerprint = self.archive.fingerprint(performance.audio)
        if fingerprint is None:
            raise AudioError(
                f"{self.archive.location}/{performance.audio}: no such file",
                "restore the recording from the official release",
            )
        target = pcm_path(self.folder, performance.audio)
        partial = target.with_name(target.name + ".partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.archive.local_file(performance.audio) as source, partial.open("wb") as file:
                summary = convert_to_pcm(
                    source, file, self.spec.sample_rate, self.spec.channels, on_block=on_block
                )
                self._check_duration(performance, summary.samples)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return CacheEntry(summary.samples, summary.crc32, fingerprint, summary.source_rate, summary.clipped)

    def _check_duration(self, performance: Performance, samples: int) -> None:
        """A header with the wrong sample rate, or a shortened file, shows in the duration."""
        seconds, expected = samples / self.spec.sample_rate, performance.duration
        shortest = expected / _DURATION_SLACK_RATIO - _DURATION_SLACK_SECONDS
        longest = expected * _DURATION_SLACK_RATIO + _DURATION_SLACK_SECONDS
        if not shortest <= seconds <= longest:
            raise AudioError(
                f"{self.archive.location}/{performance.audio}: lasts {seconds:.1f} s, "
                f"but the catalogue says {expected:.1f} s: truncated, or a wrong sample rate in its header",
                "restore the recording from the official release, or exclude it",
            )

    def _report(self, failures: Sequence[AudioError], usable: bool) -> None:
        """Warn about the skipped recordings, or stop if they are too many.

        Raises:
            AudioError: With the complete list.
        """
        if not failures:
            return
        problems = "\n".join(sorted(f"  - {failure.problem}" for failure in failures))
        if usable and len(failures) <= self.max_bad_performances:
            warnings.warn(
                f"{len(failures)} recording(s) cannot be used and are skipped:\n{problems}", stacklevel=2
            )
            return
        raise AudioError(
            f"{len(failures)} recording(s) cannot be used "
            f"(max_bad_performances={self.max_bad_performances}):\n{problems}",
            f"{failures[0].remedy}; or set max_bad_performances={len(failures)} to go on without them "
            "(everything else is already cached)",
        )


@contextmanager
def single_writer(folder: Path, progress: bool = True) -> Iterator[None]:
    """Hold the lock of a folder that is being made; the operating system frees it if this process dies.

    Args:
        folder: The folder; the lock is a file beside it.
        progress: Whether to say that another process is being waited for.
    """
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"Another process is preparing {folder.name}; waiting for it to finish.", progress)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _say(text: str, progress: bool) -> None:
    if progress:
        Console(stderr=True).print(text, highlight=False)


def _stoppable(stop: threading.Event, advance: Callable[[float], None]) -> Callable[[float], None]:
    def on_block(seconds: float) -> None:
        if stop.is_set():
            raise _Cancelled
        advance(seconds)

    return on_block


@contextmanager
def _progress_bar(total_seconds: float, visible: bool) -> Iterator[Callable[[float], None]]:
    """Show hours done and the time left; yields the function that advances it by seconds of audio."""
    columns = (
        TextColumn("Caching"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%, {task.completed:.2f} h"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not visible) as progress:
        task = progress.add_task("cache", total=total_seconds / 3600)
        yield lambda seconds: progress.advance(task, seconds / 3600)


@contextmanager
def translated_write_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk into advice.

    Raises:
        CacheError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"cannot write in {folder}: {error.strerror or error}",
            "free some space or set `cache_dir` to a folder that can be written to, and start again: "
            "what is finished is kept",
        ) from error


def _gigabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f} GB"
