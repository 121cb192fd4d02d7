"""Decode whatever libsndfile reads: WAV of any kind, FLAC, Ogg, MP3, AIFF and a dozen others."""

from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from datamodules.errors import AudioError
from datamodules.files import HIGHEST_RATE, LOWEST_RATE, WithinFile

_OTHER_FILE = "give a file that plays, or convert it to WAV or FLAC"
_UNKNOWN_FRAMES = 1 << 48
"""From here on a length stands for "unknown", as in a FLAC file that was written to a pipe."""


class _ForwardFile(soundfile.SoundFile):
    """Read from front to back: otherwise soundfile seeks after each block, where that may fail."""

    def seekable(self) -> bool:
        return False


class SoundStream:
    """The samples of a sound file.

    Args:
        file: The file, in which libsndfile goes back and forth.
        name: What messages call it.

    Attributes:
        samplerate: In Hz.
        channels: Number of channels.
        frames: Samples per channel; 0 if the file does not say how many.
        subtype: libsndfile's name of the sample format.

    Raises:
        AudioError: If libsndfile cannot read it, its sample rate cannot be, or it holds no samples.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        try:
            self._file = _ForwardFile(WithinFile(file))
        except soundfile.LibsndfileError as error:
            file.seek(0)
            reason = "not readable as audio" if file.read(1) else "the file is empty"
            raise AudioError(f"{name}: {reason} ({error.error_string})", _OTHER_FILE) from error
        self.samplerate: int = self._file.samplerate
        if not LOWEST_RATE <= self.samplerate <= HIGHEST_RATE:
            raise AudioError(f"{name}: a sample rate of {self.samplerate:,} Hz", _OTHER_FILE)
        self.channels: int = self._file.channels
        self.subtype: str = self._file.subtype
        frames: int = self._file.frames
        if frames == 0:
            raise AudioError(f"{name}: holds no samples", _OTHER_FILE)
        self.frames = frames if frames < _UNKNOWN_FRAMES else 0

    def read(self, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decode into `out`, (T, C) float32; returns the part of it that was filled."""
        try:
            return self._file.read(out=out)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{self._name}: decoding failed ({error.error_string})", _OTHER_FILE) from error
