import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.archive.folder import open_stream
from datamodules.cache.decoding import PcmSummary, convert_to_pcm, quantise
from datamodules.errors import AudioError


def convert(path: Path, sample_rate: int = 44_100, channels: int = 1) -> tuple[np.ndarray, PcmSummary]:
    """(T, C) int16 and the summary."""
    target = io.BytesIO()
    with open_stream(path) as source:
        summary = convert_to_pcm(source, target, sample_rate, channels)
    content = target.getvalue()
    assert summary.crc32 == zlib.crc32(content)
    pcm = np.frombuffer(content, dtype="<i2").reshape(-1, channels)
    assert summary.samples == len(pcm)
    return pcm, summary


def test_stereo_becomes_the_mean_of_both_channels(tmp_path: Path) -> None:
    stereo = np.random.default_rng(0).integers(-30000, 30000, size=(100_000, 2)).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", stereo, 44_100, subtype="PCM_16")
    pcm, summary = convert(tmp_path / "x.wav")
    expected = np.rint(stereo.astype(np.float64).mean(axis=1))
    np.testing.assert_array_equal(pcm[:, 0], expected)
    assert (summary.source_rate, summary.clipped) == (44_100, 0)
    pcm, _ = convert(tmp_path / "x.wav", channels=2)
    np.testing.assert_array_equal(pcm, stereo)  # 16-bit samples pass unchanged


def test_mono_is_accepted_and_repeated_for_stereo(tmp_path: Path) -> None:
    mono = np.random.default_rng(0).integers(-30000, 30000, size=5000).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", mono, 44_100, subtype="PCM_16")
    np.testing.assert_array_equal(convert(tmp_path / "x.wav")[0][:, 0], mono)
    np.testing.assert_array_equal(convert(tmp_path / "x.wav", channels=2)[0], np.stack([mono, mono], axis=1))


def test_24_bit_is_rounded_to_16(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-(2**23), 2**23 - 200, size=5000)
    soundfile.write(tmp_path / "x.wav", (values << 8).astype(np.int32), 44_100, subtype="PCM_24")
    np.testing.assert_array_equal(convert(tmp_path / "x.wav")[0][:, 0], np.rint(values / 256))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_is_scaled_rounded_and_limited(tmp_path: Path, subtype: str) -> None:
    values = np.array([0.0, 0.5, -1.0, 0.6 / 32768, 1.0, 1.5, -2.0] + [0.0] * 1000)
    soundfile.write(tmp_path / "x.wav", values, 44_100, subtype=subtype)
    pcm, summary = convert(tmp_path / "x.wav")
    assert pcm[:7, 0].tolist() == [0, 16384, -32768, 1, 32767, 32767, -32768]
    assert summary.clipped == 3


def test_resampling_keeps_a_tone_and_removes_what_would_alias(tmp_path: Path) -> None:
    time = np.arange(48_000) / 48_000
    tone, inaudible = 0.5 * np.sin(2 * np.pi * 1000 * time), 0.4 * np.sin(2 * np.pi * 10_000 * time)
    soundfile.write(tmp_path / "x.wav", tone + inaudible, 48_000, subtype="PCM_24")
    pcm, summary = convert(tmp_path / "x.wav", sample_rate=16_000)
    assert summary.samples == 16_000
    expected = 0.5 * 32768 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(pcm[500:-500, 0], expected[500:-500], atol=1.5)


def test_long_files_are_streamed_without_seams(tmp_path: Path) -> None:
    """Several blocks, at a ratio that does not divide them."""
    time = np.arange(300_000) / 44_100
    soundfile.write(tmp_path / "x.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 44_100, subtype="FLOAT")
    seconds: list[float] = []
    target = io.BytesIO()
    with open_stream(tmp_path / "x.wav") as source:
        convert_to_pcm(source, target, 16_000, 1, on_block=seconds.append)
    pcm = np.frombuffer(target.getvalue(), dtype="<i2")
    expected = 0.5 * 32768 * np.sin(2 * np.pi * 440 * np.arange(len(pcm)) / 16_000)
    np.testing.assert_allclose(pcm[500:-500], expected[500:-500], atol=1.5)
    assert len(pcm) == pytest.approx(300_000 * 16_000 / 44_100, abs=1)
    assert len(seconds) == 5 and sum(seconds) == pytest.approx(300_000 / 44_100)


def test_quantise_rounds_to_nearest_even() -> None:
    pcm, clipped = quantise(np.array([[0.5], [1.5], [2.5], [-0.5], [40000]], dtype=np.float32) / 32768)
    assert pcm[:, 0].tolist() == [0, 2, 2, 0, 32767]
    assert clipped == 1


def silence(path: Path, subtype: str = "PCM_16", channels: int = 2, rate: int = 44_100) -> None:
    soundfile.write(path, np.zeros((20_000, channels)), rate, subtype=subtype)


def test_silence_is_a_valid_recording(tmp_path: Path) -> None:
    silence(tmp_path / "x.wav")
    pcm, _ = convert(tmp_path / "x.wav")
    assert not pcm.any()


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"subtype": "PCM_U8"}, r"x\.wav: sample format PCM_U8\n.*16-bit; accepted: PCM_16, PCM_24"),
        ({"subtype": "ULAW"}, r"x\.wav: sample format of tag 7 with 8 bits"),
        ({"channels": 3}, r"x\.wav: 3 channels\n.*mix it down"),
        ({"rate": 8000}, r"its sample rate of 8000 Hz is below the 16000 Hz asked for\n.*44,100 or 48,000"),
    ],
)
def test_refused_formats(tmp_path: Path, options: dict, pattern: str) -> None:
    silence(tmp_path / "x.wav", **options)
    with pytest.raises(AudioError, match=pattern):
        convert(tmp_path / "x.wav", sample_rate=16_000)


def test_maestro_rates_are_accepted_for_any_target(tmp_path: Path) -> None:
    silence(tmp_path / "x.wav", rate=44_100)
    assert convert(tmp_path / "x.wav", sample_rate=48_000)[1].samples == pytest.approx(
        20_000 * 48 / 44.1, abs=1
    )


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"x\.wav: no such file\n.*official release"):
        convert(tmp_path / "x.wav")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.wav").touch()
    with pytest.raises(AudioError, match=r"the file is empty \(0 bytes\)"):
        convert(tmp_path / "x.wav")


def test_file_without_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros((0, 2)), 44_100, subtype="PCM_16")
    with pytest.raises(AudioError, match="holds no samples"):
        convert(tmp_path / "x.wav")


def test_file_that_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("<html>404 not found</html>")
    with pytest.raises(AudioError, match=r"not readable as audio \("):
        convert(tmp_path / "x.wav")


@pytest.mark.parametrize("extra_chunk", [b"", b"LIST" + struct.pack("<I", 3) + b"abc\0"])
def test_truncated_file(tmp_path: Path, extra_chunk: bytes) -> None:
    path = tmp_path / "x.wav"
    silence(path)
    content = path.read_bytes()
    content = content[:36] + extra_chunk + content[36:]
    path.write_bytes(content)
    assert convert(path)[1].samples == 20_000
    path.write_bytes(content[:-40_000])
    with pytest.raises(AudioError, match=r"truncated, 40,000 bytes of the audio it announces are missing"):
        convert(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path: Path, bad: float) -> None:
    waveform = np.zeros(100_000, dtype=np.float32)
    waveform[90_000] = bad
    soundfile.write(tmp_path / "x.wav", waveform, 44_100, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a sample is NaN or infinite at"):
        convert(tmp_path / "x.wav")


def test_float_file_in_integer_scale(tmp_path: Path) -> None:
    waveform = 1000 * np.sin(np.arange(20_000))
    soundfile.write(tmp_path / "x.wav", waveform, 44_100, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"100% of the samples exceed full scale\n.*\[-1, 1\]"):
        convert(tmp_path / "x.wav")
