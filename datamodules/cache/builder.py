"""Build the PCM cache: in parallel, resumable, one writer at a time; what is good is never lost."""

import os
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from datamodules.archive.base import Archive, same_recording
from datamodules.cache.decoding import convert_to_pcm
from datamodules.cache.folder_lock import single_writer
from datamodules.cache.integrity import find_changed, mark_written
from datamodules.cache.pcm import (
    MANIFEST,
    CacheEntry,
    CacheSpec,
    is_intact,
    pcm_path,
    read_manifest,
    write_manifest,
)
from datamodules.cache.progress import Plan, make_plan, progress_bar, say
from datamodules.errors import AudioError, CacheError, CorruptMemberError, ReleaseError
from datamodules.files import remove_parts, translated_write_errors, whole_file
from datamodules.release.catalogue import Performance
from datamodules.release.notes import store_midi

# The catalogue's duration ends with the last note of the MIDI; a recording goes on for one to three seconds.
# The official metadata have 45 to 2,625 s: of 45 s, a header of 48 kHz on audio of 44.1 kHz takes 3.7 away.
_MISSING_SECONDS, _MISSING_SHARE = 0.5, 0.005
_SURPLUS_SECONDS, _SURPLUS_SHARE = 5.0, 0.01
_SHORTEST_SECONDS = 0.1
"""Of a recording that no table describes: less is a fault of some program, or a click."""
_LISTED = 10


def count_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Cancelled(Exception):
    """A conversion was stopped because another one failed for good."""


class _AbsentRecording(AudioError):
    """A recording that the table lists and the release does not have."""


class _Failure(NamedTuple):
    """A recording that cannot be used, and why."""

    performance: Performance
    error: AudioError


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
        keep: Folder for the recordings that come out of an archive; None does not keep them.
    """

    archive: Archive
    spec: CacheSpec
    folder: Path
    threads: int
    max_bad_performances: int = 0
    progress: bool = True
    keep: Path | None = None

    def build(self, performances: Sequence[Performance]) -> None:
        """Convert what is missing or has changed. Returns at once if nothing is.

        Raises:
            AudioError: If more recordings are unusable than tolerated; the text lists all of them.
            CacheError: If the cache cannot be written, or the disk is full. What is finished is kept.
            ReleaseError: If the archive cannot be read any further. What is finished is kept.
        """
        with translated_write_errors(self.folder):
            if not self.outdated(performances):
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            with single_writer(self.folder, self.progress):
                self._build_locked(performances)

    def outdated(self, performances: Sequence[Performance]) -> list[Performance]:
        """Performances that have to be converted, longest first so that the threads finish together."""
        return self._outdated(performances, self._readable_manifest())

    def plan(self, outdated: Sequence[Performance]) -> Plan:
        """The cost of converting these; `folder` must exist."""
        keep = self.keep is not None
        return make_plan(self.archive, self.spec, self.folder, outdated, keep, self.threads, count_cores())

    def _build_locked(self, performances: Sequence[Performance]) -> None:
        entries = self._readable_manifest(set_aside=True)
        entries = self._without_changed(performances, entries)
        outdated = self._outdated(performances, entries)
        if not outdated:
            return
        remove_parts(self.folder)
        absent = [_Failure(p, self._absent(p)) for p in outdated if self.archive.fingerprint(p.audio) is None]
        if self.archive.is_remote and len(absent) > self.max_bad_performances:
            self._report(absent, {}, usable=True)  # before the first download
        missing = {failure.performance for failure in absent}
        present = [p for p in outdated if p not in missing]
        failures = [*absent, *(self._convert_present(present, entries) if present else [])]
        self._report(failures, entries, usable=any(p.audio in entries for p in performances))

    def _convert_present(
        self, present: Sequence[Performance], entries: dict[str, CacheEntry]
    ) -> list[_Failure]:
        plan = self.plan(present)
        say(plan.describe(self.spec, self.folder), self.progress)
        plan.check_disk(self.folder)
        failures = self._convert_all(present, entries, plan)
        failed = {failure.performance for failure in failures}
        mark_written(self.folder, entries, [p.audio for p in present if p not in failed])
        return failures

    def _without_changed(
        self, performances: Sequence[Performance], entries: dict[str, CacheEntry]
    ) -> dict[str, CacheEntry]:
        """The manifest without the files that are not what was written, which are made again."""
        changed = self._changed(performances, entries)
        if changed:
            warnings.warn(
                f"{len(changed)} PCM file(s) in {self.folder} have changed since they were written "
                f"(the first: {changed[0]}); they are made again",
                stacklevel=2,
            )
            entries = {audio: entry for audio, entry in entries.items() if audio not in changed}
            write_manifest(self.folder, self.spec, entries)
        return entries

    def _changed(self, performances: Sequence[Performance], entries: dict[str, CacheEntry]) -> list[str]:
        current = {
            p.audio: entries[p.audio] for p in performances if self._is_current(p, entries.get(p.audio))
        }
        return find_changed(self.folder, current, self.progress)

    def _readable_manifest(self, set_aside: bool = False) -> dict[str, CacheEntry]:
        """The manifest, or nothing if it is damaged; a damaged one is kept under another name."""
        try:
            return read_manifest(self.folder, self.spec)
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
        changed = set(self._changed(performances, entries))
        outdated = [
            p for p in performances if p.audio in changed or not self._is_current(p, entries.get(p.audio))
        ]
        return sorted(outdated, key=lambda p: (-p.duration, p.audio))

    def _is_current(self, performance: Performance, entry: CacheEntry | None) -> bool:
        if entry is None or not is_intact(self.folder, self.spec, performance.audio, entry):
            return False
        source = self.archive.fingerprint(performance.audio)
        # A recording that was deleted after caching, to save its disk space, is not needed any more.
        return source is None or same_recording(source, entry.source)

    def _convert_all(
        self, outdated: Sequence[Performance], entries: dict[str, CacheEntry], plan: Plan
    ) -> list[_Failure]:
        """Convert in parallel; add each finished performance to the manifest as soon as it is on disk."""
        failures: list[_Failure] = []
        stop = threading.Event()
        bar = progress_bar(plan, lambda: self.archive.transferred, self.progress)
        with bar as advance, ThreadPoolExecutor(self.threads) as pool:
            futures = {pool.submit(self._convert, p, _stoppable(stop, advance)): p for p in outdated}
            try:
                for future in as_completed(futures):
                    self._collect(future, futures[future], entries, failures)
            except BaseException:
                stop.set()
                self.archive.cancel()
                pool.shutdown(cancel_futures=True)
                raise
        return failures

    def _collect(
        self,
        future: Future[CacheEntry],
        performance: Performance,
        entries: dict[str, CacheEntry],
        failures: list[_Failure],
    ) -> None:
        try:
            entries[performance.audio] = future.result()
        except AudioError as error:
            failures.append(_Failure(performance, error))
        else:
            write_manifest(self.folder, self.spec, entries)

    def _convert(self, performance: Performance, on_block: Callable[[float], None]) -> CacheEntry:
        """Convert one performance into its final file; damage on the way is fetched again a few times."""
        for attempt in range(1, self.archive.attempts + 1):
            done = 0.0

            def count(seconds: float) -> None:
                nonlocal done
                done += seconds
                on_block(seconds)
                self._check_length_so_far(performance, done)

            try:
                return self._convert_once(performance, count)
            except CorruptMemberError:
                on_block(-done)
                if attempt == self.archive.attempts:
                    raise
        raise AssertionError("the last failure has raised")

    def _convert_once(self, performance: Performance, on_block: Callable[[float], None]) -> CacheEntry:
        audio = performance.audio
        fingerprint = self.archive.fingerprint(audio)
        if fingerprint is None:
            raise self._absent(performance)
        target = pcm_path(self.folder, audio)
        target.parent.mkdir(parents=True, exist_ok=True)
        keep = None if self.keep is None else self.keep / audio
        # the archive's context is left, and its checksum compared, before the file gets its name
        with (
            whole_file(target) as part,
            part.open("wb") as file,
            self.archive.open(audio, keep) as source,
        ):
            summary = convert_to_pcm(
                source,
                file,
                self.spec.sample_rate,
                self.spec.channels,
                on_block=on_block,
                is_release=self.archive.is_release,
            )
            self._check_duration(performance, summary.samples)
        self._copy_midi(performance)
        return CacheEntry(summary.samples, summary.crc32, fingerprint, summary.source_rate, summary.clipped)

    def _copy_midi(self, performance: Performance) -> None:
        """The notes beside the samples, and beside the kept recording; a sound recording may do without."""
        if not self.archive.is_release:
            return  # a person's own files may change, and are at hand
        try:
            if self.archive.fingerprint(performance.midi) is None:
                return
            content = self.archive.read_bytes(performance.midi)
        except ReleaseError as error:
            warnings.warn(f"{performance.midi}: {error.problem}; it is not copied", stacklevel=2)
            return
        for folder in (self.folder, self.keep):
            if folder is not None:
                store_midi(folder, performance.midi, content)

    def _absent(self, performance: Performance) -> AudioError:
        return _AbsentRecording(
            f"{self.archive.location}/{performance.audio}: no such file",
            "restore the recording from the official release",
        )

    def _check_length_so_far(self, performance: Performance, seconds: float) -> None:
        """Stop early what would fill the disk: a recording far longer than the catalogue says."""
        if self.archive.is_release and seconds > _longest(performance.duration):
            raise AudioError(
                f"{self.archive.location}/{performance.audio}: lasts more than {seconds:.1f} s, "
                f"but the catalogue says {performance.duration:.1f} s",
                "restore the recording from the official release, or exclude it",
            )

    def _check_duration(self, performance: Performance, samples: int) -> None:
        """A header with the wrong sample rate, or a shortened file, shows in the duration."""
        seconds, expected = samples / self.spec.sample_rate, performance.duration
        if not self.archive.is_release:
            if seconds < _SHORTEST_SECONDS:
                raise AudioError(
                    f"{self.archive.location}/{performance.audio}: lasts {seconds:.4f} s, less than "
                    f"{_SHORTEST_SECONDS} s",
                    "leave it out, or join it with others",
                )
            return
        shortest = expected * (1 - _MISSING_SHARE) - _MISSING_SECONDS
        if not shortest <= seconds <= _longest(expected):
            raise AudioError(
                f"{self.archive.location}/{performance.audio}: lasts {seconds:.1f} s, "
                f"but the catalogue says {expected:.1f} s: truncated, or a wrong sample rate in its header",
                "restore the recording from the official release, or exclude it",
            )

    def _report(self, failures: Sequence[_Failure], entries: dict[str, CacheEntry], usable: bool) -> None:
        """Warn about the unusable recordings, or stop if they are too many.

        Raises:
            AudioError: With the complete list.
        """
        if not failures:
            return
        if not usable and not self.archive.is_release:
            raise AudioError(
                f"none of the {len(failures)} sound files in {self.archive.location} can be used:\n"
                f"{_listed(failures)}",
                failures[0].error.remedy,
            )
        if not usable or len(failures) > self.max_bad_performances:
            raise AudioError(
                f"{len(failures)} recording(s) cannot be used "
                f"(max_bad_performances={self.max_bad_performances}):\n{_listed(failures)}",
                f"{failures[0].error.remedy}; or set max_bad_performances={len(failures)} to go on without "
                "them (everything else is already cached)",
            )
        cached = [f for f in failures if self._has_earlier_version(f.performance, entries)]
        skipped = [f for f in failures if f not in cached]
        if skipped:
            warnings.warn(
                f"{len(skipped)} recording(s) cannot be used and are skipped:\n{_listed(skipped)}",
                stacklevel=2,
            )
        if cached:
            warnings.warn(
                f"{len(cached)} recording(s) cannot be read any more; their earlier version in the cache is "
                f"used:\n{_listed(cached)}",
                stacklevel=2,
            )

    def _has_earlier_version(self, performance: Performance, entries: dict[str, CacheEntry]) -> bool:
        entry = entries.get(performance.audio)
        return entry is not None and is_intact(self.folder, self.spec, performance.audio, entry)


def _longest(duration: float) -> float:
    """Seconds that a recording may last at most."""
    return duration * (1 + _SURPLUS_SHARE) + _SURPLUS_SECONDS


def _listed(failures: Sequence[_Failure]) -> str:
    """One line for each; of files that are simply not there, the first few."""
    absent = sorted(f.error.problem for f in failures if isinstance(f.error, _AbsentRecording))
    others = sorted(f.error.problem for f in failures if not isinstance(f.error, _AbsentRecording))
    more = len(absent) - _LISTED
    shown = sorted([*others, *absent[:_LISTED]])
    shown += [f"and {more:,} more that are not there"] if more > 0 else []
    return "\n".join(f"  - {line}" for line in shown)


def _stoppable(stop: threading.Event, advance: Callable[[float], None]) -> Callable[[float], None]:
    def on_block(seconds: float) -> None:
        if stop.is_set():
            raise _Cancelled
        advance(seconds)

    return on_block
