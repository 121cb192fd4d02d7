"""Performances as tokens on disk, one small file each, so that a release is read and encoded once.

A file begins with four bytes, the CRC-32 of what it is of (MIDI file and vocabulary) and of its tokens; the
tokens follow, little-endian int16.
"""

import hashlib
import os
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from datamodules.archive.base import Archive
from datamodules.cache.folder_lock import single_writer
from datamodules.errors import CacheError, ReleaseError
from datamodules.files import read_limited, translated_write_errors, write_atomically
from datamodules.release.catalogue import Performance
from datamodules.release.notes import read_played
from datamodules.release.tokens import ENCODING, NoteTokens

SUFFIX = ".tokens"

_REMOTE_THREADS = 8
_SUM_BYTES = 4
_LARGEST_BYTES = 1 << 26
_REMEDY = "prepare the data again (prepare_data(); the Trainer does): the tokens are made anew"


class UnusableFile(NamedTuple):
    """A MIDI file that cannot be used, and why."""

    member: str
    problem: str


class TokenCache:
    """Tokens of a release's MIDI files.

    A file's name holds the fingerprint of the MIDI file that it was made from: a changed one is read again.
    So is one whose tokens are not those that were written, or were written in another vocabulary.

    Args:
        folder: Where the files lie; made if absent.
        archive: The release's files.
    """

    def __init__(self, folder: Path, archive: Archive) -> None:
        self.folder = folder / ENCODING
        self.archive = archive

    @cached_property
    def vocabulary(self) -> NoteTokens:
        """Of the tokens."""
        return NoteTokens()

    def build(self, performances: Sequence[Performance], progress: bool) -> list[UnusableFile]:
        """Encode what is not there yet.

        Returns:
            The files that cannot be used.

        Raises:
            CacheError: If the folder cannot be written.
        """
        with translated_write_errors(self.folder):
            if not self._missing(performances):
                return []
            self.folder.mkdir(parents=True, exist_ok=True)
            with single_writer(self.folder, progress):
                missing = self._missing(performances, say=True)
                with ThreadPoolExecutor(_REMOTE_THREADS if self.archive.is_remote else 1) as pool:
                    results = pool.map(self._encode, missing)
                    shown = track(
                        results,
                        description="Reading MIDI files",
                        total=len(missing),
                        console=Console(stderr=True),
                        disable=not (progress and missing),
                    )
                    return [found for found in shown if found is not None]

    def read(self, member: str) -> NDArray[np.int16] | None:
        """The tokens of a MIDI file, or None if there are none.

        Raises:
            CacheError: If the file is damaged.
        """
        path = self._path(member)
        if not os.path.lexists(path):
            return None
        try:
            content = read_limited(path, _LARGEST_BYTES)
        except OSError as error:
            raise CacheError(f"cannot read {path}: {error.strerror or error}", _REMEDY) from error
        if len(content) > _SUM_BYTES and len(content) % 2 == 0:
            tokens = np.frombuffer(content, dtype="<i2", offset=_SUM_BYTES)
            is_known = 0 <= tokens.min() and tokens.max() < len(self.vocabulary)
            if is_known and content == self._with_sum(path, tokens):
                return tokens.astype(np.int16)
        raise CacheError(f"{path} is not what was written", _REMEDY)

    def _missing(self, performances: Sequence[Performance], say: bool = False) -> list[str]:
        """MIDI files whose tokens are not there, or are not those that were written."""
        missing, damaged = [], []
        for member in (each.midi for each in performances):
            try:
                if self.read(member) is None:
                    missing.append(member)
            except CacheError:
                damaged.append(member)
        if damaged and say:
            warnings.warn(
                f"{len(damaged)} file(s) of tokens in {self.folder} have changed since they were written "
                f"(the first: those of {damaged[0]}); they are made again",
                stacklevel=2,
            )
        return missing + damaged

    def _with_sum(self, path: Path, tokens: NDArray[np.int16]) -> bytes:
        """What the file of a path has to hold."""
        of = f"{path.name} {' '.join(self.vocabulary.names)} ".encode()
        stored = tokens.astype("<i2").tobytes()
        return zlib.crc32(stored, zlib.crc32(of)).to_bytes(_SUM_BYTES, "little") + stored

    def _encode(self, member: str) -> UnusableFile | None:
        try:
            if self.archive.fingerprint(member) is None:
                return UnusableFile(member, "is not there")
            tokens = self.vocabulary.encode(read_played(self.archive.read_bytes(member)))
        except ReleaseError as error:
            return UnusableFile(member, error.problem)
        if not self.vocabulary.is_note[tokens].any():
            return UnusableFile(member, "has no notes on the 88 keys of a piano")
        path = self._path(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self._with_sum(path, tokens))
        return None

    def _path(self, member: str) -> Path:
        digest = hashlib.sha256(f"{member} {self.archive.fingerprint(member)}".encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest}{SUFFIX}"
