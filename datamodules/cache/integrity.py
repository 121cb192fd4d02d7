"""Whether a cache still holds the bytes that were written: read once, remembered by size and time."""

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from datamodules.cache.pcm import CacheEntry, PcmCache, pcm_path
from datamodules.cache.progress import gigabytes, say
from datamodules.files import open_regular, read_limited, write_atomically

CHECKED_SUFFIX = ".checked.json"
"""Ends the name of a file beside the cache's folder: what has been compared, with sizes and times then."""

_CHUNK_BYTES = 1 << 20
_CHECKED_BYTES = 1 << 26
_WORTH_SAYING_BYTES = 1_000_000_000

# for folders that cannot be written to
_checked_here: dict[Path, dict[str, str]] = {}


def find_changed(folder: Path, entries: Mapping[str, CacheEntry], progress: bool = False) -> list[str]:
    """Compare the CRC-32 of every file that has not been compared since it last changed.

    Args:
        folder: The cache's folder.
        entries: Recordings to look at; those without a file are left out.
        progress: Whether to say that much has to be read.

    Returns:
        The recordings whose file is not what was written, in the order of `entries`.
    """
    known = {**_read(folder), **_checked_here.get(folder, {})}
    marks = {audio: _mark(folder, audio, entry) for audio, entry in entries.items()}
    unknown = [audio for audio, mark in marks.items() if mark is not None and known.get(audio) != mark]
    if not unknown:
        return []
    num_bytes = sum(int(str(marks[audio]).partition("-")[0]) for audio in unknown)
    if num_bytes > _WORTH_SAYING_BYTES:
        say(f"Checking {gigabytes(num_bytes)} in {folder}, once.", progress)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        good = pool.map(lambda audio: _holds(pcm_path(folder, audio), entries[audio].crc32), unknown)
        changed = [audio for audio, is_good in zip(unknown, good, strict=True) if not is_good]
    _remember(folder, known, {audio: marks[audio] for audio in unknown if audio not in changed})
    return changed


def verify_cache(cache: PcmCache) -> list[str]:
    """Read every byte and compare checksums, whatever is remembered.

    Returns:
        One line for each performance that is not as it was written; empty if all is well.
    """
    problems = []
    for audio, entry in zip(cache.audio, cache.entries, strict=True):
        path = pcm_path(cache.folder, audio)
        try:
            found = file_crc32(path)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
            continue
        if found != entry.crc32:
            problems.append(f"{path}: CRC-32 is {found:08x}, {entry.crc32:08x} was written")
    return problems


def mark_written(folder: Path, entries: Mapping[str, CacheEntry], fresh: Iterable[str]) -> None:
    """Remember files as compared that this process has just written, and whose CRC-32 it took on the way."""
    known = {**_read(folder), **_checked_here.get(folder, {})}
    _remember(folder, known, {audio: _mark(folder, audio, entries[audio]) for audio in fresh})


def file_crc32(path: Path) -> int:
    """CRC-32 of a regular file.

    Raises:
        OSError: If it cannot be read, or is none.
    """
    crc32 = 0
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32


def _holds(path: Path, crc32: int) -> bool:
    try:
        return file_crc32(path) == crc32
    except OSError:
        return False


def _mark(folder: Path, audio: str, entry: CacheEntry) -> str | None:
    """Size and times (nanoseconds) of a file when it was checked, and the CRC-32 that it should have."""
    try:
        status = os.lstat(pcm_path(folder, audio))
    except OSError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{entry.crc32:08x}"


def _checked_path(folder: Path) -> Path:
    return folder.with_name(folder.name + CHECKED_SUFFIX)


def _read(folder: Path) -> dict[str, str]:
    """Checks remembered on disk; none if the file is damaged, as everything can be compared again."""
    try:
        content = json.loads(read_limited(_checked_path(folder), _CHECKED_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(folder: Path, known: Mapping[str, str], new: Mapping[str, str | None]) -> None:
    every = {**known, **{audio: mark for audio, mark in new.items() if mark is not None}}
    _checked_here[folder] = every
    with suppress(OSError):
        write_atomically(_checked_path(folder), json.dumps(every, ensure_ascii=False).encode())
