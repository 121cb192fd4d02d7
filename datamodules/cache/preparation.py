"""From options to an open cache: which release, which part of it, where it comes from, where it goes.

The data module and `lightning prepare` both work through this, so that they mean the same cache. It knows
nothing of Lightning, and starts in half a second.

Several machines: every machine has its own disk, or all see the same one. With its own, each prepares its
own cache; Lightning does that by itself (`prepare_data` runs once per node). With a shared `cache_dir` one
machine prepares and the others wait at the lock, then find everything done; the lock needs a network file
system with working locks (NFS 4, Lustre, GPFS). Where in doubt, run `lightning prepare` once beforehand.
"""

import functools
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from datamodules.archive.base import Archive
from datamodules.archive.http_file import TransferPolicy
from datamodules.archive.open import open_archive
from datamodules.cache.builder import CacheBuilder, count_cores
from datamodules.cache.folder_lock import single_writer
from datamodules.cache.integrity import find_changed, verify_cache
from datamodules.cache.pcm import (
    CacheEntry,
    CacheSpec,
    PcmCache,
    hash_catalogue,
    hash_folder,
    is_intact,
    open_cache,
    read_manifest,
    write_manifest,
)
from datamodules.cache.progress import say
from datamodules.errors import CacheError, OptionError, ReleaseError
from datamodules.files import HIGHEST_RATE, LOWEST_RATE, translated_write_errors, write_atomically
from datamodules.options import MOST_PROCESSES, at_least, one_of
from datamodules.release.catalogue import Performance, read_catalogue
from datamodules.release.notes import MidiFiles
from datamodules.release.selection import Selection
from datamodules.release.sound_folder import read_sound_folder
from datamodules.releases import Release, find_release

# Servers limit each connection; four together fill most lines, whatever the number of cores.
_REMOTE_THREADS = 4

FOLDER = "folder"
"""Stands for the name of a release where there is none."""


@dataclass(frozen=True)
class Status:
    """How far a cache is.

    Attributes:
        folder: The cache's folder.
        wanted: Recordings in the chosen part of the release.
        finished: How many of them are cached.
        seconds: Duration of the finished ones.
        num_bytes: Size of the finished ones.
        hours_left: Duration of the others by the catalogue.
        fetch_bytes: Bytes that the others still need from the network.
    """

    folder: Path
    wanted: int
    finished: int
    seconds: float
    num_bytes: int
    hours_left: float
    fetch_bytes: int


@dataclass(frozen=True)
class Preparation:
    """Makes and opens the cache of the chosen part of a release.

    Attributes:
        release: "mini" (embedded, rendered on first use), "v1.0.0", "v2.0.0" or "v3.0.0"; None for a folder
            of recordings that is no release.
        source: Folder of the unpacked release or the folder that contains it, a zip file, or the URL of one;
            for `release` None, the folder. None renders `mini`, and reads other releases from the official
            server, only the members in use.
        cache_dir: Where caches and the rendered release are kept; the environment variable MAESTRO_CACHE,
            else ~/.cache/maestro-lightning, by default.
        sample_rate: Rate of the clips, and of the cache, in Hz.
        channels: 1 (mean of left and right) or 2.
        max_hours: Use at most about this many hours, over all splits; None for all.
        max_performances: Use at most about this many performances, over all splits; None for all.
        years: Use these years only; None for all.
        composers: Use these composers only, spelt as in the release; None for all.
        splits: Use these splits only ("train", "validation", "test"); None for all.
        max_bad_performances: How many unusable recordings are skipped with a warning before the run stops.
        prepare_threads: Recordings converted at a time; "auto" for one per core, and at least four where they
            are downloaded.
        keep_recordings: Whether to also keep the WAV and MIDI files that come out of an archive, as a release
            of their own in `cache_dir`/recordings. Recordings that are cached already are not fetched again.
        transfer: How patient downloads are; None for the defaults of `TransferPolicy`.
        progress: Whether preparing shows its plan and a progress bar.

    Raises:
        OptionError: If an option has a value that makes no sense.
    """

    release: str | None = "mini"
    source: str | Path | None = None
    cache_dir: str | Path | None = None
    sample_rate: int = 16_000
    channels: int = 1
    max_hours: float | None = None
    max_performances: int | None = None
    years: list[int] | None = None
    composers: list[str] | None = None
    splits: list[str] | None = None
    max_bad_performances: int = 0
    prepare_threads: int | Literal["auto"] = "auto"
    keep_recordings: bool = False
    transfer: TransferPolicy | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if self.release is not None:
            find_release(self.release)
        at_least("sample_rate", self.sample_rate, LOWEST_RATE, "Hz", HIGHEST_RATE)
        one_of("channels", self.channels, (1, 2))
        at_least("max_bad_performances", self.max_bad_performances, 0, "recordings")
        if self.prepare_threads != "auto":
            at_least("prepare_threads", self.prepare_threads, 1, "threads", MOST_PROCESSES)
        _ = self.selection  # raises if an option makes no sense

    @property
    def selection(self) -> Selection:
        """How much of the release to use."""
        return Selection.of_options(
            self.max_hours, self.max_performances, self.years, self.composers, self.splits
        )

    @property
    def cache_root(self) -> Path:
        """`cache_dir`, or its default."""
        return cache_root(self.cache_dir)

    def prepare(self) -> None:
        """Render the embedded release if it is the one in use, and bring the cache up to date.

        A cache that is complete needs neither the archive nor the network.

        Raises:
            ReleaseError: If the release is not where `source` says, cannot be fetched, or is faulty.
            AudioError: If more than `max_bad_performances` recordings are unusable.
            CacheError: If the cache cannot be written.
        """
        self.__dict__.pop("_release", None)  # it may have changed
        if self._is_embedded:
            self._render_embedded()
        with translated_write_errors(self.cache_root):
            archive, chosen, spec = self._open_release()
            self._adopt_earlier(spec)
            builder = self._builder(archive, spec)
            if archive.is_remote and builder.outdated(chosen) and archive.refresh():
                self.__dict__.pop("_release", None)
                archive, chosen, spec = self._open_release()
                builder = self._builder(archive, spec)
            if builder.keep is not None:
                self._keep_table(archive, builder.keep)
        builder.build(chosen)

    def open(self) -> tuple[PcmCache, tuple[Performance, ...]]:
        """The prepared cache and its performances, in the same order.

        Raises:
            CacheError: If `prepare` has not run, or the cache is damaged.
            ReleaseError: If the same recording is in two splits under two names.
        """
        cache, performances = self._open()
        entries = dict(zip(cache.audio, cache.entries, strict=True))
        changed = find_changed(cache.folder, entries, self.progress)
        if changed:
            raise CacheError(
                f"{len(changed)} PCM file(s) in {cache.folder} have changed since they were written "
                f"(the first: {changed[0]})",
                "call prepare_data() again: it makes them anew from the release",
            )
        if self.release is None:
            performances = _without_copies(performances, entries)
            cache = open_cache(cache.folder, cache.spec, performances)
        else:
            _refuse_copies(performances, entries)
        return cache, performances

    def _open(self) -> tuple[PcmCache, tuple[Performance, ...]]:
        _, chosen, spec = self._open_release()
        cache = open_cache(spec.folder(self.cache_root), spec, chosen)
        absent = len(chosen) - len(cache.audio)
        if absent > self._tolerance:
            raise CacheError(
                f"{absent} of {len(chosen)} performances are not in the cache {cache.folder}",
                "call prepare_data() first; the Trainer does",
            )
        in_cache = set(cache.audio)
        return cache, tuple(p for p in chosen if p.audio in in_cache)

    @property
    def _tolerance(self) -> int:
        """How many unusable recordings are left out; of a person's own folder, any number."""
        return self.max_bad_performances if self.release is not None else sys.maxsize

    def midi_files(self) -> MidiFiles:
        """The MIDI files that belong to the cache's performances."""
        archive, _, spec = self._open_release()
        return MidiFiles(spec.folder(self.cache_root), archive)

    def status(self) -> Status:
        """How far the cache is; changes nothing.

        Raises:
            ReleaseError: If the release's table cannot be read.
            CacheError: If the cache's manifest cannot.
        """
        archive, chosen, spec = self._open_release()
        folder = spec.folder(self.cache_root)
        entries = read_manifest(folder, spec)
        finished = [
            p for p in chosen if p.audio in entries and is_intact(folder, spec, p.audio, entries[p.audio])
        ]
        left = [p for p in chosen if p not in set(finished)]
        samples = sum(entries[p.audio].samples for p in finished)
        return Status(
            folder=folder,
            wanted=len(chosen),
            finished=len(finished),
            seconds=samples / self.sample_rate,
            num_bytes=spec.num_bytes(samples),
            hours_left=sum(p.duration for p in left) / 3600,
            fetch_bytes=sum(archive.packed_size(p.audio) for p in left) if archive.is_remote else 0,
        )

    def verify(self) -> list[str]:
        """Read every byte of the cache and compare checksums.

        Returns:
            One line for each performance that is not as it was written; empty if all is well.

        Raises:
            CacheError: If the cache is absent or incomplete.
        """
        return verify_cache(self._open()[0])

    @property
    def _is_embedded(self) -> bool:
        return self.release == "mini" and self.source is None

    def _render_embedded(self) -> None:
        from datamodules.mini import render_mini

        folder = self.cache_root / "releases"
        with translated_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with single_writer(folder / "mini", self.progress):
                render_mini(folder, progress=self.progress)

    def _open_release(self) -> tuple[Archive, tuple[Performance, ...], CacheSpec]:
        """The release's files, the performances in use, and the cache they belong to."""
        archive, catalogue = self._release
        # a folder stays the same when recordings are added to it
        key = hash_catalogue(catalogue) if archive.is_release else hash_folder(archive.location)
        spec = CacheSpec(self.release or FOLDER, self.sample_rate, self.channels, key)
        return archive, self.selection.apply(catalogue), spec

    @property
    def _facts(self) -> Release:
        assert self.release is not None
        return find_release(self.release)

    @functools.cached_property
    def _release(self) -> tuple[Archive, tuple[Performance, ...]]:
        """The release's files and its whole catalogue, read once."""
        if self.release is None:
            if self.source is None:
                raise OptionError(
                    "source is not given: there are no recordings to use",
                    "give their folder, for instance --data.source ~/recordings",
                )
            return read_sound_folder(Path(self.source).expanduser())
        release = self._facts
        source = self.cache_root / "releases" if self._is_embedded else self.source or release.url
        if source is None:
            raise ReleaseError(
                f"release={self.release!r} has no official address, and source=None",
                "set `source` to its folder, zip file or URL",
            )
        archive = open_archive(release, source, self.transfer, self.cache_root / "sources")
        return archive, read_catalogue(archive, release)

    def __getstate__(self) -> dict[str, object]:
        """Options alone: an archive holds locks, and is opened again where it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_release"}

    def _adopt_earlier(self, spec: CacheSpec) -> None:
        """Give a cache that an earlier version made from the same table the name it has now."""
        if self.release is None:
            return
        earlier = replace(spec, catalogue=hash_catalogue(self._release[1], with_quotes=True))
        old, new = earlier.folder(self.cache_root), spec.folder(self.cache_root)
        if old == new or new.exists() or not old.is_dir():
            return
        with single_writer(old, self.progress):
            write_manifest(old, spec, read_manifest(old))
            old.rename(new)
        say(f"The cache {old.name} is now called {new.name}.", self.progress)

    def _builder(self, archive: Archive, spec: CacheSpec) -> CacheBuilder:
        fastest = max(count_cores(), _REMOTE_THREADS) if archive.is_remote else count_cores()
        threads = fastest if self.prepare_threads == "auto" else self.prepare_threads
        keep = None
        if self.keep_recordings and archive.is_packed:
            keep = self.cache_root / "recordings" / self._facts.root
        return CacheBuilder(
            archive,
            spec,
            spec.folder(self.cache_root),
            threads,
            self._tolerance,
            self.progress,
            keep,
        )

    def _keep_table(self, archive: Archive, folder: Path) -> None:
        """With the table the kept files are a release of their own, which `source` may name."""
        table = archive.metadata(self._facts.metadata_names)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / table.name.rpartition("/")[2], table.content)


def cache_root(cache_dir: str | Path | None) -> Path:
    """`cache_dir`, or its default."""
    chosen = cache_dir or os.environ.get("MAESTRO_CACHE") or Path("~/.cache/maestro-lightning")
    return Path(chosen).expanduser()


def _refuse_copies(performances: Sequence[Performance], entries: Mapping[str, CacheEntry]) -> None:
    """Make sure that no recording is in two splits under two names: a copy, a link, another spelling.

    Raises:
        ReleaseError: If samples of one split are those of another.
    """
    first: dict[tuple[int, int], Performance] = {}
    for performance in performances:
        entry = entries[performance.audio]
        other = first.setdefault((entry.samples, entry.crc32), performance)
        if other.split != performance.split:
            raise ReleaseError(
                f"{other.audio} ({other.split}) and {performance.audio} ({performance.split}) are the same "
                "recording",
                "take one of them out of the release's table: a recording may be in one split only, or "
                "evaluation would measure memory",
            )


def _without_copies(
    performances: Sequence[Performance], entries: Mapping[str, CacheEntry]
) -> tuple[Performance, ...]:
    """Recordings of which each counts once, with a warning; of copies, the file that changed least lately."""

    def age(performance: Performance) -> tuple[int, str]:
        return int(entries[performance.audio].source.rpartition("-")[2]), performance.audio

    first: dict[tuple[int, int], str] = {}
    for performance in sorted(performances, key=age):
        entry = entries[performance.audio]
        first.setdefault((entry.samples, entry.crc32), performance.audio)
    kept = tuple(p for p in performances if p.audio in set(first.values()))
    if left_out := len(performances) - len(kept):
        copy = next(p.audio for p in performances if p not in kept)
        original = first[entries[copy].samples, entries[copy].crc32]
        warnings.warn(
            f"{left_out} recording(s) sound exactly as another and are left out (the first: {copy}, as "
            f"{original})",
            stacklevel=2,
        )
    return kept
