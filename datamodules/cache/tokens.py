"""Performances as tokens on disk, one small file each, so that a release is read and encoded once."""

import hashlib
import io
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
from datamodules.files import translated_write_errors, write_atomically
from datamodules.release.catalogue import Performance
from datamodules.release.notes import read_played
from datamodules.release.tokens import ENCODING, NoteTokens

_REMOTE_THREADS = 8


class UnusableFile(NamedTuple):
    """A MIDI file that cannot be used, and why."""

    member: str
    problem: str


class TokenCache:
    """Tokens of a release's MIDI files.

    A file's name holds the fingerprint of the MIDI file that it was made from: a changed one is read again.

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
            self.folder.mkdir(parents=True, exist_ok=True)
            with single_writer(self.folder, progress):
                missing = [each.midi for each in performances if not self._path(each.midi).is_file()]
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
        if not path.is_file():
            return None
        try:
            tokens = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise CacheError(f"{path} is damaged ({error})", "delete it, and start again") from error
        if tokens.dtype != np.int16 or tokens.ndim != 1:
            raise CacheError(f"{path} holds no tokens", "delete it, and start again")
        return np.asarray(tokens, dtype=np.int16)

    def _encode(self, member: str) -> UnusableFile | None:
        try:
            if self.archive.fingerprint(member) is None:
                return UnusableFile(member, "is not there")
            tokens = self.vocabulary.encode(read_played(self.archive.read_bytes(member)))
        except ReleaseError as error:
            return UnusableFile(member, error.problem)
        if not self.vocabulary.is_note[tokens].any():
            return UnusableFile(member, "has no notes on the 88 keys of a piano")
        content = io.BytesIO()
        np.save(content, tokens)
        path = self._path(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
        return None

    def _path(self, member: str) -> Path:
        digest = hashlib.sha256(f"{member} {self.archive.fingerprint(member)}".encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.npy"
