"""The PCM cache: every performance decoded once, as memory-mapped int16 at one sample rate.

One folder per release, sample rate and channel count:

    <cache_dir>/pcm/v3.0.0-16000hz-1ch-1f2e3d4c/
        manifest.json        what is finished: length, CRC-32 and fingerprint of the source, by audio file
        2009/some.wav.pcm    raw little-endian int16, interleaved
        2009/some.midi       a copy of the performance's MIDI file, where the release has one

A performance counts as finished only once the manifest names it, and the manifest is replaced atomically:
a process that is killed leaves at most hidden `.part` files, which the next one removes.
`datamodules.cache.builder` writes, this module reads.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.cache.decoding import RESAMPLER_QUALITY
from datamodules.errors import CacheError
from datamodules.files import read_limited, write_atomically
from datamodules.release.catalogue import Performance

FORMAT_VERSION = 1
"""Raised whenever the same recording would give other bytes, or the layout changes."""

MANIFEST = "manifest.json"
BYTES_PER_SAMPLE = 2
_MANIFEST_BYTES = 1 << 27


@dataclass(frozen=True)
class CacheEntry:
    """One finished performance.

    Attributes:
        samples: Length per channel at the cache's rate.
        crc32: CRC-32 of the PCM file.
        source: Fingerprint of the recording that it was made from.
        source_rate: Sample rate of that recording in Hz.
        clipped: Samples limited to full scale.
    """

    samples: int
    crc32: int
    source: str
    source_rate: int
    clipped: int

    def is_possible(self) -> bool:
        """Whether the values are such as a preparation writes."""
        numbers = (self.samples, self.crc32, self.source_rate, self.clipped)
        whole = all(type(number) is int and 0 <= number < 1 << 40 for number in numbers)
        return whole and self.samples > 0 and isinstance(self.source, str)


@dataclass(frozen=True)
class CacheSpec:
    """Which cache: everything that decides its content, apart from the recordings themselves.

    Attributes:
        release: Name of the release.
        sample_rate: In Hz.
        channels: 1 or 2.
        catalogue: Hash of the release's metadata, from `hash_catalogue`; of a folder that is
            no release, from `hash_folder`.
    """

    release: str
    sample_rate: int
    channels: int
    catalogue: str

    def folder(self, cache_dir: Path) -> Path:
        """The folder of this cache below `cache_dir`."""
        key = f"{FORMAT_VERSION}:{RESAMPLER_QUALITY}:{self.catalogue}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        return cache_dir / "pcm" / f"{self.release}-{self.sample_rate}hz-{self.channels}ch-{digest}"

    def num_bytes(self, samples: int) -> int:
        """Size of a PCM file of `samples` samples per channel."""
        return samples * self.channels * BYTES_PER_SAMPLE


def hash_catalogue(performances: Iterable[Performance], with_quotes: bool = False) -> str:
    """Hash what a release's metadata says, whatever file it was read from: 64 hexadecimal digits.

    Args:
        performances: Its rows.
        with_quotes: Whether quotation marks around a whole title count. The official CSV of v3.0.0 has them
            around seven titles, the official JSON has not. Earlier versions made them count.
    """
    facts = [asdict(performance) for performance in performances]
    for each in facts:
        title = each["title"]
        if not with_quotes and len(title) > 2 and title[0] == title[-1] == '"':
            each["title"] = title[1:-1]
    rows = sorted(json.dumps(each, sort_keys=True) for each in facts)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def hash_folder(location: str) -> str:
    """Hash where a person's own recordings lie, however that is spelt: 64 hexadecimal digits."""
    return hashlib.sha256(os.fsencode(os.path.realpath(location))).hexdigest()


def pcm_path(folder: Path, audio: str) -> Path:
    """Where the cache keeps the performance whose recording is called `audio`."""
    return folder / f"{audio}.pcm"


def read_manifest(folder: Path, spec: CacheSpec | None = None) -> dict[str, CacheEntry]:
    """Read which performances are finished, by the name of their recording; empty if nothing is.

    Args:
        folder: The cache's folder.
        spec: Which cache it should be; None for any.

    Raises:
        CacheError: If the manifest cannot be read or understood, or is that of another cache.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(read_limited(path, _MANIFEST_BYTES))
        entries = {audio: CacheEntry(**entry) for audio, entry in content["performances"].items()}
        if not all(entry.is_possible() for entry in entries.values()):
            raise ValueError("a length, rate or checksum that cannot be")
        found = {name: content[name] for name in ("format", *CacheSpec.__dataclass_fields__)}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CacheError(
            f"cannot read {path}: {error.strerror or error}",
            "check its permissions, or set `cache_dir` to another folder",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CacheError(
            f"{path} is damaged ({type(error).__name__}: {error})",
            f"delete the folder {folder}; it is made again from the release",
        ) from error
    expected = found if spec is None else {"format": FORMAT_VERSION, **asdict(spec)}
    if found != expected:
        wrong = next(name for name in found if found[name] != expected[name])
        raise CacheError(
            f"{path} is that of another cache: {wrong} is {found[wrong]!r:.100}, not {expected[wrong]!r}",
            "give the folder back its old name, or delete it; it is made again from the release",
        )
    return entries


def write_manifest(folder: Path, spec: CacheSpec, entries: dict[str, CacheEntry]) -> None:
    """Replace the manifest atomically."""
    content = {
        "format": FORMAT_VERSION,
        **asdict(spec),
        "performances": {audio: vars(entries[audio]) for audio in sorted(entries)},
    }
    # written after every performance: without indentation json's encoder in C takes a millisecond or two
    write_atomically(folder / MANIFEST, json.dumps(content, ensure_ascii=False).encode())


def is_intact(folder: Path, spec: CacheSpec, audio: str, entry: CacheEntry) -> bool:
    """Whether the PCM file of a finished performance is there with the right size."""
    try:
        status = pcm_path(folder, audio).lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == spec.num_bytes(entry.samples)


@dataclass
class PcmCache:
    """Read access to chosen performances of a cache.

    Files are mapped when first used. A map holds no file descriptor, so their number is not limited by
    `ulimit -n`; pickled to another process, the cache takes its paths along and maps anew.

    Attributes:
        folder: The cache's folder.
        spec: Which cache.
        audio: Recordings, in the order of their index P.
        entries: Their manifest entries, in the same order.
    """

    folder: Path
    spec: CacheSpec
    audio: Sequence[str]
    entries: Sequence[CacheEntry]
    _views: dict[int, NDArray[np.int16]] = field(default_factory=dict, repr=False, compare=False)
    _paths: dict[int, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def samples(self) -> NDArray[np.int64]:
        """(P,) length of each performance in samples."""
        return np.array([entry.samples for entry in self.entries], dtype=np.int64)

    def pcm(self, performance: int) -> NDArray[np.int16]:
        """(samples, C) int16, memory-mapped, of one performance.

        Raises:
            CacheError: If the file cannot be mapped, or has become shorter: reading beyond its end would kill
                the process without a word.
        """
        view = self._views.get(performance)
        if view is not None and os.stat(self._paths[performance]).st_size < view.nbytes:
            raise CacheError(
                f"{self._paths[performance]} has become shorter while it is in use",
                "prepare the cache again; nothing else may write there meanwhile",
            )
        if view is None:
            view = self._views[performance] = self._map(performance)
            self._paths[performance] = str(pcm_path(self.folder, self.audio[performance]))
        return view

    def _map(self, performance: int) -> NDArray[np.int16]:
        # here and not above: what only builds a cache starts in half a second without it
        import torch

        path = pcm_path(self.folder, self.audio[performance])
        length = self.entries[performance].samples * self.spec.channels
        try:
            # a private map: a program that writes into a batch by mistake cannot reach the file
            flat = torch.from_file(str(path), shared=False, size=length, dtype=torch.int16)
        except RuntimeError as error:
            raise CacheError(
                f"cannot map {path}: {error}",
                "prepare the cache again, or check the permissions of its folder",
            ) from error
        return flat.numpy().reshape(-1, self.spec.channels)

    @property
    def identity(self) -> str:
        """Hash of everything a model trained on these performances has heard: 16 hexadecimal digits."""
        digest = hashlib.sha256(f"{self.spec.sample_rate}:{self.spec.channels}".encode())
        for audio, entry in sorted(zip(self.audio, self.entries, strict=True), key=lambda pair: pair[0]):
            digest.update(f"\n{audio}:{entry.samples}:{entry.crc32}".encode())
        return digest.hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_views": {}}


def open_cache(folder: Path, spec: CacheSpec, performances: Sequence[Performance]) -> PcmCache:
    """Open those of `performances` that the cache holds, in their order.

    Raises:
        CacheError: If the cache is absent, damaged or incomplete on disk.
    """
    entries = read_manifest(folder, spec)
    if not entries:
        raise CacheError(f"there is no cache in {folder}", "call prepare_data() first; the Trainer does")
    audio = [performance.audio for performance in performances if performance.audio in entries]
    broken = [name for name in audio if not is_intact(folder, spec, name, entries[name])]
    if broken:
        raise CacheError(
            f"{len(broken)} PCM file(s) in {folder} are missing, unreadable or of the wrong size "
            f"(the first: {pcm_path(folder, broken[0])})",
            "call prepare_data() again: it makes them anew from the release",
        )
    return PcmCache(folder, spec, audio, [entries[name] for name in audio])
