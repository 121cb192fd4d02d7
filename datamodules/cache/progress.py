"""Output of a preparation: the plan before it starts, and a progress bar while it runs."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datamodules.archive.base import Archive
from datamodules.cache.pcm import CacheSpec
from datamodules.errors import CacheError
from datamodules.release.catalogue import Performance

# Seconds of 44.1 kHz stereo converted per second and core, as measured; for the estimate only.
_TYPICAL_SPEED = 400
# Bytes per second of a connection of 100 Mbit/s; for the estimate only.
_TYPICAL_BANDWIDTH = 12.5e6
_RATE_WINDOW_SECONDS = 30.0


@dataclass(frozen=True)
class Plan:
    """The cost of a preparation.

    Attributes:
        performances: Number of recordings to convert.
        seconds: Their duration by the catalogue.
        fetch_bytes: Bytes that come over the network; 0 if none do.
        cache_bytes: Size of the new PCM files.
        keep_bytes: Size of the recordings that are kept as well.
        free_bytes: Free space on the disk of the cache.
        threads: Conversions at a time.
        cores: CPU cores that share them.
    """

    performances: int
    seconds: float
    fetch_bytes: int
    cache_bytes: int
    keep_bytes: int
    free_bytes: int
    threads: int
    cores: int

    @property
    def disk_bytes(self) -> int:
        """All that will be written."""
        return self.cache_bytes + self.keep_bytes

    @property
    def minutes(self) -> float:
        """Estimated duration: computing and downloading overlap, the slower one counts."""
        computing = self.seconds / (_TYPICAL_SPEED * min(self.threads, self.cores))
        return max(computing, self.fetch_bytes / _TYPICAL_BANDWIDTH) / 60

    def describe(self, spec: CacheSpec, folder: Path) -> str:
        """One line for the user."""
        kept = f" and {gigabytes(self.keep_bytes)} of recordings" if self.keep_bytes else ""
        fetched = f"{gigabytes(self.fetch_bytes)} to fetch, " if self.fetch_bytes else ""
        assumed = " at 100 Mbit/s" if self.fetch_bytes else ""
        return (
            f"Caching {self.performances} performance(s), {self.seconds / 3600:.2f} h, at "
            f"{spec.sample_rate} Hz: {fetched}{gigabytes(self.cache_bytes)}{kept} in {folder} "
            f"({gigabytes(self.free_bytes)} free), about {max(self.minutes, 0.1):.1f} min{assumed} with "
            f"{self.threads} thread(s)"
        )

    def check_disk(self, folder: Path) -> None:
        """Refuse to start what cannot fit.

        Raises:
            CacheError: If the disk lacks the space.
        """
        if self.disk_bytes > self.free_bytes:
            raise CacheError(
                f"the cache in {folder} needs {gigabytes(self.disk_bytes)}, "
                f"but the disk has {gigabytes(self.free_bytes)} free",
                "free some space, set `cache_dir` to another disk, or use less of the release (`max_hours`)",
            )


def make_plan(
    archive: Archive,
    spec: CacheSpec,
    folder: Path,
    performances: Sequence[Performance],
    keep: bool,
    threads: int,
    cores: int,
) -> Plan:
    """Add up what converting `performances` takes; nothing is fetched but the archive's directory."""
    seconds = sum(p.duration for p in performances)
    sizes = [(archive.packed_size(p.audio), archive.size(p.audio)) for p in performances]
    return Plan(
        performances=len(performances),
        seconds=seconds,
        fetch_bytes=sum(packed for packed, _ in sizes) if archive.is_remote else 0,
        cache_bytes=spec.num_bytes(round(seconds * spec.sample_rate)),
        keep_bytes=sum(size for _, size in sizes) if keep else 0,
        free_bytes=shutil.disk_usage(folder).free,
        threads=threads,
        cores=cores,
    )


def say(text: str, visible: bool) -> None:
    """Print to standard error, so that pipes stay clean."""
    if visible:
        # names of files may hold what looks like markup
        Console(stderr=True).print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


@contextmanager
def progress_bar(
    plan: Plan, transferred: Callable[[], int], visible: bool
) -> Iterator[Callable[[float], None]]:
    """Show hours done, bytes, rate and the time left; yields the function that adds seconds of audio.

    Args:
        plan: What will be done.
        transferred: Bytes received over the network up to now.
        visible: Whether to show anything.
    """
    columns = (
        TextColumn("Caching"),
        BarColumn(),
        TextColumn(
            "{task.percentage:3.0f}%, {task.completed:.2f} of {task.total:.2f} h{task.fields[detail]}"
        ),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    meter = _RateMeter(transferred)
    with Progress(*columns, console=Console(stderr=True), disable=not visible) as progress:
        task = progress.add_task("cache", total=plan.seconds / 3600, detail="")

        def advance(seconds: float) -> None:
            detail = f", {meter.describe(plan.fetch_bytes)}" if plan.fetch_bytes else ""
            progress.update(task, advance=seconds / 3600, detail=detail)

        yield advance


class _RateMeter:
    """Bytes received and the rate of the last half minute."""

    def __init__(self, transferred: Callable[[], int]) -> None:
        self._transferred = transferred
        self._first = transferred()
        self._marks = [(time.monotonic(), self._first)]

    def describe(self, total: int) -> str:
        now, count = time.monotonic(), self._transferred()
        self._marks.append((now, count))
        recent = [mark for mark in self._marks if now - mark[0] <= _RATE_WINDOW_SECONDS]
        self._marks = recent[:: max(1, len(recent) // 100)]  # a hundred are enough
        since, before = self._marks[0]
        rate = (count - before) / max(now - since, 1e-3)
        return f"{gigabytes(count - self._first)} of {gigabytes(total)} at {rate / 1e6:.1f} MB/s"


def gigabytes(num_bytes: float) -> str:
    """For messages."""
    return f"{num_bytes / 1e9:.2f} GB"
