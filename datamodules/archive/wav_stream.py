"""Decode a WAV file while its bytes arrive: nothing is sought, nothing is stored.

One reader for folders and archives. Python's `wave` knows neither float samples nor, before 3.12, the
extensible header, and takes a stream of unknown length for one of four gigabytes; libsndfile seeks, and reads
a file that was cut off as if it were shorter.
"""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.archive.base import ByteStream
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
_UNKNOWN_BYTES = 0x7FFF_F000
"""From here on sizes stand for "until the end", as a program writes that does not know the length beforehand:
2^32 - 1 (ffmpeg) or this (SoX)."""

_MOST_BYTES = 1 << 32
"""Sizes in a WAV file have 32 bits."""

_MOST_CHUNKS = 1000


class _Format(NamedTuple):
    subtype: str
    channels: int
    samplerate: int
    frame_bytes: int


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
        if source.size > _MOST_BYTES:
            raise AudioError(
                f"{source.name}: {source.size:,} bytes are more than a WAV file can have", _RESTORE
            )
        form, data_start, data_bytes = _read_header(source)
        missing = data_start + data_bytes - source.size
        if missing > 0 and data_bytes >= _UNKNOWN_BYTES:
            data_bytes -= missing
        elif missing > 0:
            raise AudioError(
                f"{source.name}: truncated, {missing:,} bytes of the audio it announces are missing", _RESTORE
            )
        self.subtype, self.channels, self.samplerate, self._frame_bytes = form
        self.frames = data_bytes // self._frame_bytes
        self._left = self.frames
        self._raw = bytearray()

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


def _skip(file: ByteStream, size: int) -> bool:
    """Read past `size` bytes; False if the file ends before."""
    while size > 0 and (skipped := len(file.read(min(size, _SKIP_BYTES)))):
        size -= skipped
    return size == 0


def _read_header(source: ByteStream) -> tuple[_Format, int, int]:
    """Format, offset of the samples and their size in bytes, leaving the stream at the first sample."""
    position, form = 12, None
    head = source.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise AudioError(
            f"{source.name}: not readable as audio (no WAV file)",
            "convert it to WAV, or restore the official recording",
        )
    for _ in range(_MOST_CHUNKS):
        if len(chunk := source.read(8)) < 8:
            break
        name, size = struct.unpack("<4sI", chunk)
        position += 8
        if name == b"data" and form is not None:
            return form, position, size
        if name == b"fmt ":
            if size > _SKIP_BYTES:
                break
            content = source.read(size + size % 2)
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
    if 0 in (channels, rate, bits) or frame_bytes != channels * -(-bits // 8):
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
    with np.errstate(over="ignore", invalid="ignore"):  # what a float64 sample has too much is infinite
        np.copyto(out, samples, casting="same_kind" if samples.dtype.kind == "f" else "unsafe")
    if subtype in ("PCM_16", "PCM_32"):
        out *= np.float32(2.0**-15 if subtype == "PCM_16" else 2.0**-31)
