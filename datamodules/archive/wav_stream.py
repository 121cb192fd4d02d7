"""Decode a WAV file while its bytes arrive: nothing is sought, nothing is stored."""

import struct
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import AudioError

_RESTORE = "restore the recording from the official release, or exclude it"
_INTEGER, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# (format tag, bits) -> libsndfile's name of the sample format
_SUBTYPES = {
    (_INTEGER, 8): "PCM_U8",
    (_INTEGER, 16): "PCM_16",
    (_INTEGER, 24): "PCM_24",
    (_INTEGER, 32): "PCM_32",
    (_FLOAT, 32): "FLOAT",
    (_FLOAT, 64): "DOUBLE",
}
_SKIP_BYTES = 1 << 16


class ByteStream(Protocol):
    """What is read from front to back, once.

    Attributes:
        name: What it is, for messages.
        size: Number of bytes in all.
    """

    name: str
    size: int

    def readinto(self, target: memoryview) -> int:
        """Fill `target` as far as there is content; returns the number of bytes."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer only at the end."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer only at the end."""


class _Format(NamedTuple):
    subtype: str
    channels: int
    samplerate: int
    frame_bytes: int


def find_wav_data(file: _Readable) -> tuple[int, int] | None:
    """Find the samples of a RIFF/WAVE file, reading from its beginning.

    Returns:
        Offset and announced size of the samples in bytes; None if it is no such file, or has none.
    """
    position, found = 12, _begins_as_wav(file)
    while found and len(chunk := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        position += 8
        if name == b"data":
            return position, size
        found = _skip(file, size + size % 2)
        position += size + size % 2
    return None


class WavStream:
    """The samples of a WAV file; what `soundfile.SoundFile` offers, as far as the cache needs it.

    Args:
        source: The file's content.

    Attributes:
        samplerate: In Hz.
        channels: Number of channels.
        frames: Samples per channel.
        subtype: libsndfile's name of the sample format.

    Raises:
        AudioError: If it is no WAV file, or announces more samples than it has bytes.
    """

    def __init__(self, source: ByteStream) -> None:
        self._source = source
        if source.size == 0:
            raise AudioError(f"{source.name}: the file is empty (0 bytes)", _RESTORE)
        form, data_start, data_bytes = _read_header(source)
        missing = data_start + data_bytes - source.size
        if missing > 0:
            raise AudioError(
                f"{source.name}: truncated, {missing:,} bytes of the audio it announces are missing", _RESTORE
            )
        self.subtype, self.channels, self.samplerate, self._frame_bytes = form
        self.frames = data_bytes // self._frame_bytes
        self._left = self.frames
        self._raw = bytearray()

    def __enter__(self) -> "WavStream":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to release: the stream belongs to whoever opened it."""

    def read(self, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decode into `out`, (T, C) float32 in [-1, 1]; returns the part of it that was filled."""
        count = min(len(out), self._left)
        if len(self._raw) != count * self._frame_bytes:
            self._raw = bytearray(count * self._frame_bytes)
        filled = self._source.readinto(memoryview(self._raw)) // self._frame_bytes
        self._left -= filled
        block = out[:filled]
        _decode(memoryview(self._raw)[: filled * self._frame_bytes], self.subtype, block)
        return block


def _begins_as_wav(file: _Readable) -> bool:
    header = file.read(12)
    return len(header) == 12 and header[:4] == b"RIFF" and header[8:] == b"WAVE"


def _skip(file: _Readable, size: int) -> bool:
    """Read past `size` bytes; False if the file ends before."""
    while size > 0 and (skipped := len(file.read(min(size, _SKIP_BYTES)))):
        size -= skipped
    return size == 0


def _read_header(source: ByteStream) -> tuple[_Format, int, int]:
    """Format, offset of the samples and their size in bytes, leaving the stream at the first sample."""
    position, form = 12, None
    if not _begins_as_wav(source):
        raise AudioError(
            f"{source.name}: no WAV file, the only kind that is decoded inside an archive",
            "unpack the archive and set `source` to the folder, or restore the official recording",
        )
    while len(chunk := source.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        position += 8
        if name == b"data" and form is not None:
            return form, position, size
        if name == b"fmt ":
            content = source.read(min(size + size % 2, _SKIP_BYTES))
            form = _parse_format(content, source.name)
        elif not _skip(source, size + size % 2):
            break
        position += size + size % 2
    raise AudioError(f"{source.name}: not readable as audio (a WAV file without samples)", _RESTORE)


def _parse_format(content: bytes, name: str) -> _Format:
    if len(content) < 16:
        raise AudioError(f"{name}: not readable as audio (its format chunk is too short)", _RESTORE)
    tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", content)
    if tag == _EXTENSIBLE and len(content) >= 26:
        (tag,) = struct.unpack_from("<H", content, 24)  # the first bytes of the sub-format
    if channels == 0 or rate == 0 or frame_bytes != channels * -(-bits // 8):
        raise AudioError(
            f"{name}: not readable as audio ({channels} channels at {rate} Hz in {frame_bytes} bytes)",
            _RESTORE,
        )
    return _Format(_SUBTYPES.get((tag, bits), f"of tag {tag} with {bits} bits"), channels, rate, frame_bytes)


def _decode(raw: memoryview, subtype: str, out: NDArray[np.float32]) -> None:
    """Fill `out`, (T, C), from little-endian samples; a power of two scales integers exactly."""
    if subtype == "PCM_24":
        padded = np.zeros((out.size, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3)
        np.multiply(padded.view("<i4").reshape(out.shape).astype(np.float32), np.float32(2.0**-31), out=out)
        return
    kinds = {"PCM_16": "<i2", "PCM_32": "<i4", "FLOAT": "<f4", "DOUBLE": "<f8"}
    samples = np.frombuffer(raw, dtype=kinds[subtype]).reshape(out.shape)
    np.copyto(out, samples, casting="same_kind" if samples.dtype.kind == "f" else "unsafe")
    if subtype in ("PCM_16", "PCM_32"):
        out *= np.float32(2.0**-15 if subtype == "PCM_16" else 2.0**-31)
