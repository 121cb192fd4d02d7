"""What libsndfile reads, and what it does not."""

import io

import numpy as np
import pytest
import soundfile

from datamodules.archive.sound_stream import SoundStream
from datamodules.errors import AudioError

WAVEFORM = 0.5 * np.sin(np.arange(3000) / 20).reshape(-1, 1) * [1.0, -0.5]


def packed(**kind: str) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, WAVEFORM, 22_050, **kind)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ({"format": "WAV", "subtype": "PCM_U8"}, 0.01),
        ({"format": "WAV", "subtype": "DOUBLE"}, 1e-7),
        ({"format": "FLAC", "subtype": "PCM_24"}, 1e-6),
        ({"format": "AIFF", "subtype": "PCM_16"}, 1e-4),
        ({"format": "OGG", "subtype": "VORBIS"}, 0.05),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_samples_are_those_that_were_written(kind, tolerance) -> None:
    stream = SoundStream(packed(**kind), "a file")
    assert (stream.samplerate, stream.channels, stream.frames) == (22_050, 2, 3000)
    read = stream.read(np.empty((4000, 2), dtype=np.float32))
    assert read.shape == WAVEFORM.shape and np.abs(read - WAVEFORM).max() < tolerance
    assert len(stream.read(np.empty((10, 2), dtype=np.float32))) == 0


def test_a_flac_file_may_not_say_how_long_it_is() -> None:
    """As encoders leave it that write to a pipe: the 36 bits of the length are zero."""
    content = bytearray(packed(format="FLAC").getvalue())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    stream = SoundStream(io.BytesIO(bytes(content)), "a file")
    assert stream.frames == 0
    assert len(stream.read(np.empty((5000, 2), dtype=np.float32))) == 3000


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "a file: the file is empty"), (b"no sound", "a file: not readable as audio")],
)
def test_what_is_no_sound_says_so(content: bytes, reason: str) -> None:
    with pytest.raises(AudioError, match=reason):
        SoundStream(io.BytesIO(content), "a file")


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1])
def test_a_rate_that_cannot_be_is_refused(rate: int) -> None:
    content = bytearray(packed(format="WAV").getvalue())
    content[24:28] = rate.to_bytes(4, "little")
    with pytest.raises(AudioError, match=f"a file: a sample rate of {rate:,} Hz"):
        SoundStream(io.BytesIO(bytes(content)), "a file")


@pytest.mark.parametrize(("kind", "chunk"), [("W64", b"data"), ("RF64", b"ds64")])
def test_a_length_that_no_file_has_is_not_followed(kind: str, chunk: bytes, capfd) -> None:
    content = bytearray(packed(format=kind).getvalue())
    place = content.index(chunk) + (16 if kind == "W64" else 8)
    content[place : place + 8] = (1 << 62).to_bytes(8, "little")
    stream = SoundStream(io.BytesIO(bytes(content)), "a file")
    assert len(stream.read(np.empty((5000, 2), dtype=np.float32))) <= 3010
    assert capfd.readouterr().err == ""


def test_a_file_without_samples_says_so() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.empty((0, 1)), 44_100, format="WAV")
    file.seek(0)
    with pytest.raises(AudioError, match="a file: holds no samples"):
        SoundStream(file, "a file")
