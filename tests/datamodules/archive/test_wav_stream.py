"""The WAV reader: headers as programs write them, and as they should not be."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datamodules.archive.folder import open_stream
from datamodules.archive.wav_stream import WavStream
from datamodules.errors import AudioError

SAMPLES = np.arange(-500, 500, dtype="<i2").reshape(-1, 2)


def header(data_bytes: int, riff_bytes: int = 0, form: bytes | None = None) -> bytes:
    form = form or struct.pack("<HHIIHH", 1, 2, 44_100, 176_400, 4, 16)
    chunk = b"fmt " + struct.pack("<I", len(form)) + form
    return b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE" + chunk + b"data" + struct.pack("<I", data_bytes)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], np.ndarray]:
    def read(content: bytes) -> np.ndarray:
        (tmp_path / "a.wav").write_bytes(content)
        with open_stream(tmp_path / "a.wav") as stream:
            file = WavStream(stream)
            return file.read(np.empty((file.frames, file.channels), dtype=np.float32))

    return read


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFD8])
@pytest.mark.parametrize("extra", [b"", b"x"])
def test_an_unknown_length_is_the_rest_of_the_file(
    read: Callable[[bytes], np.ndarray], size: int, extra: bytes
) -> None:
    """As ffmpeg and SoX write to a pipe."""
    np.testing.assert_array_equal(read(header(size, size) + SAMPLES.tobytes() + extra), SAMPLES / 32768)


def test_what_follows_the_samples_is_no_sound(read: Callable[[bytes], np.ndarray]) -> None:
    content = header(SAMPLES.nbytes) + SAMPLES.tobytes() + b"LIST\x04\x00\x00\x00abcd"
    assert len(read(content)) == 500


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (header(100) + bytes(99), "truncated, 1 bytes"),
        (header(4, form=struct.pack("<HHIIHH", 1, 2, 44_100, 0, 0, 0)), r"in 0 bytes\)"),
        (header(4, form=struct.pack("<HHIIHH", 1, 0, 44_100, 0, 0, 16)), r"\(0 channels"),
        (header(4, form=b"abc"), "format chunk is too short"),
        (header(4, form=bytes(1 << 17)), "without samples"),
        (b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 5000 + header(4)[12:], "without samples"),
        (b"RIFX" + header(0)[4:], "no WAV file"),
    ],
)
def test_headers_that_make_no_sense(
    read: Callable[[bytes], np.ndarray], content: bytes, pattern: str
) -> None:
    with pytest.raises(AudioError, match=pattern):
        read(content)


def test_more_than_a_wav_file_can_hold(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("wb") as file:
        file.truncate(5 << 30)
    with (
        pytest.raises(AudioError, match=r"5,368,709,120 bytes are more than a WAV file can have"),
        open_stream(tmp_path / "a.wav") as stream,
    ):
        WavStream(stream)


def test_samples_beyond_float32_are_infinite(read: Callable[[bytes], np.ndarray]) -> None:
    form = struct.pack("<HHIIHH", 3, 1, 44_100, 352_800, 8, 64)
    target = io.BytesIO()
    target.write(header(16, form=form) + np.array([1e300, 0.5]).tobytes())
    assert read(target.getvalue()).ravel().tolist() == [np.inf, 0.5]
