"""Streams of sound files: what is read, refused, resampled and written."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from lightning_modules.audio import files
from lightning_modules.audio.files import (
    AudioSink,
    AudioSource,
    UnclippedAudioSink,
    resampled,
    shown,
    shown_lines,
    with_length,
)
from lightning_modules.errors import AudioFileError


def sine(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype("float32")


def read(path: Path, rate: int | None = None) -> np.ndarray:
    with AudioSource(path) as source:
        return np.concatenate(list(source.chunks(rate)), axis=1)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 1e-2),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.wav", "ULAW", 0.03),
        ("a.flac", "PCM_16", 1e-4),
        ("a.aiff", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.05),
    ],
)
def test_kinds_of_files(tmp_path, name, subtype, tolerance):
    waveform = np.stack([sine(0.5, 22050), sine(0.5, 22050, 1000)])
    soundfile.write(tmp_path / name, waveform.T, 22050, subtype=subtype)
    np.testing.assert_allclose(read(tmp_path / name), waveform, atol=tolerance)


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 22050])
def test_resampling_a_stream_is_resampling_the_whole(tmp_path, rate):
    waveform = sine(10.0, rate)  # several chunks
    soundfile.write(tmp_path / "a.wav", waveform, rate, subtype="FLOAT")
    whole = soxr.resample(waveform, rate, 16000, "HQ")
    assert read(tmp_path / "a.wav", 16000).shape == (1, len(whole))
    np.testing.assert_allclose(read(tmp_path / "a.wav", 16000)[0], whole, atol=1e-5)
    middle = slice(1000, -1000)
    np.testing.assert_allclose(whole[middle], sine(10.0, 16000)[middle], atol=1e-3)


def test_a_name_does_not_decide_what_a_file_is(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    (tmp_path / "a.wav").rename(tmp_path / "a.raw")
    with AudioSource(tmp_path / "a.raw") as source:
        assert sum(chunk.shape[1] for chunk in source.chunks()) == 800
    (tmp_path / "b.raw").write_bytes(bytes(800))
    with pytest.raises(AudioFileError, match=r"b\.raw: not readable as audio"):
        AudioSource(tmp_path / "b.raw")


def test_headers_and_samples_that_cannot_be(tmp_path):
    soundfile.write(tmp_path / "slow.wav", np.zeros(800), 1)
    with pytest.raises(AudioFileError, match=r"slow\.wav: a sample rate of 1 Hz"):
        AudioSource(tmp_path / "slow.wav")
    soundfile.write(tmp_path / "loud.wav", np.full(800, 3e38), 8000, subtype="FLOAT")
    with pytest.raises(AudioFileError, match=r"loud\.wav: a sample is NaN or infinite at 0\.00 s"):
        with AudioSource(tmp_path / "loud.wav") as source:
            list(source.chunks())


def broken_files(folder: Path) -> dict[Path, str]:
    """Files that cannot be used, and what is said of each."""
    texts = {
        "empty.wav": (b"", "the file is empty"),
        "text.wav": (b"this is no sound", "not readable as audio"),
        "noise.mp3": (bytes(range(256)) * 8, "not readable as audio|holds no audio"),
    }
    found = {folder / "gone.wav": "no such file", folder: "no file, but a folder"}
    for name, (content, text) in texts.items():
        (folder / name).write_bytes(content)
        found[folder / name] = text
    for name, waveform, text in (
        ("no_samples.wav", np.zeros(0), "holds no audio"),
        ("one_at_44100.wav", np.zeros(1), "less than one sample at 16000 Hz"),
        ("nan.wav", np.full(50_000, np.nan), "a sample is NaN or infinite at 0.00 s"),
        ("late_inf.wav", np.append(np.zeros(70_000), np.inf), "a sample is NaN or infinite at 1.59 s"),
    ):
        soundfile.write(folder / name, waveform, 44100, subtype="FLOAT")
        found[folder / name] = text
    return found


def test_files_that_cannot_be_used_say_why(tmp_path):
    for path, text in broken_files(tmp_path).items():
        with pytest.raises(AudioFileError, match=rf"{path}: .*({text})(.|\n)*What to do: ") as error:
            read(path, 16000)
        assert error.value.remedy


def test_a_flac_file_cut_short_is_named(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, 200_000), 44100)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])
    try:
        assert read(tmp_path / "a.flac").shape[1] < 200_000
    except AudioFileError as error:
        assert "a.flac: decoding failed after" in str(error)


def test_names_that_are_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"a \xff\n<b>'\"\x1b.wav")
    with AudioSink(path, 8000, 1) as sink:
        sink.write(sine(0.1, 8000)[None])
    np.testing.assert_allclose(read(path)[0], sine(0.1, 8000), atol=1e-4)
    assert shown(path.name) == "a \\udcff\\n<b>'\"\\x1b.wav"


def test_of_a_long_name_beginning_and_end_are_shown():
    name = "runs/" + "x" * 5000 + "/best.ckpt"
    choices = "\n  What to do: choose from " + ", ".join(f"name_{number}" for number in range(400))
    for text in (f"{name}: no such file{choices}", f"--seed is '{name.replace('x', 'x ')}'{choices}"):
        told = shown_lines(text)
        assert "runs/x" in told and "/best.ckpt" in told and " letters) …" in told
        assert told.endswith(choices) and len(told) < len(choices) + 400
    half = "x" * 150
    assert shown_lines(f"{half}{half}{half}\x1b") == f"{half}… (154 letters) …{half[4:]}\\x1b"
    for kept in ("a " * 4000, f"isn't {'a ' * 300} don't", f"{half}{half}, {half}"):
        assert shown_lines(kept) == kept


def test_what_is_written_is_described(tmp_path):
    waveform = np.array([[0.5, -0.25], [0.0, 3.0]], dtype="float32")
    with AudioSink(tmp_path / "a.wav", 100, 2) as sink:
        sink.write(waveform)
        sink.write(waveform)
        assert not (tmp_path / "a.wav").exists()
    written = sink.written()
    assert written[:5] == ("a.wav", 100, 2, 4, 0.04)
    assert (written.peak, written.rms) == (1.0, pytest.approx(((0.25 + 0.0625 + 0 + 1) / 4) ** 0.5))
    assert written.sha256 == hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()
    back, rate = soundfile.read(tmp_path / "a.wav", always_2d=True)
    assert rate == 100
    np.testing.assert_allclose(back.T, np.clip(np.tile(waveform, 2), -1, 1), atol=2**-15)


def test_a_failure_leaves_nothing(tmp_path):
    with (
        pytest.raises(AudioFileError, match=r"a.wav: the model's output is NaN or infinite at 0.51 s"),
        AudioSink(tmp_path / "a.wav", 100, 1) as sink,
    ):
        sink.write(np.zeros((1, 50), "float32"))
        sink.write(np.array([[0.0, np.nan]], "float32"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(AudioFileError, match=r"a.wav: cannot be written(.|\n)*another --output"):
        AudioSink(tmp_path / "gone" / "a.wav", 100, 1)


def test_a_file_that_would_clip_is_turned_down_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "COPIED_SAMPLES", 3)
    waveform = np.array([[0.5, -0.25, 0.1, 0.0], [0.0, 1.5, -2.0, 0.25]], dtype="float32")
    with UnclippedAudioSink(tmp_path / "a.wav", 100, 2) as sink:
        sink.write(waveform)
        sink.write(0.5 * waveform)
        assert [path.name for path in tmp_path.iterdir()] != ["a.wav"]
    written = sink.written()
    assert written.peak == pytest.approx(0.99, abs=1e-6)
    assert sink.turned_down_db == pytest.approx(20 * np.log10(2.0 / 0.99))
    both = np.concatenate([waveform, 0.5 * waveform], 1) * (0.99 / 2.0)
    np.testing.assert_allclose(soundfile.read(tmp_path / "a.wav")[0].T, both, atol=2**-15)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_what_does_not_clip_is_the_same_file_as_ever(tmp_path):
    waveform = np.array([[0.5, -1.0, 1.0, 0.0]], dtype="float32")
    for kind in (AudioSink, UnclippedAudioSink):
        with kind(tmp_path / f"{kind.__name__}.wav", 100, 1) as sink:
            sink.write(waveform)
    assert sink.turned_down_db == 0.0 and sink.num_samples == 4
    first, second = (path.read_bytes() for path in tmp_path.iterdir())
    assert first == second


def test_an_unclipped_file_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(AudioFileError), UnclippedAudioSink(tmp_path / "a.wav", 100, 1) as sink:
        sink.write(np.array([[2.0, np.nan]], "float32"))
    with pytest.raises(KeyboardInterrupt), UnclippedAudioSink(tmp_path / "a.wav", 100, 1) as sink:
        sink.write(np.array([[2.0, 0.5]], "float32"))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with pytest.raises(AudioFileError, match=r"a.wav: cannot be written"):
        UnclippedAudioSink(tmp_path / "gone" / "a.wav", 100, 1)


@pytest.mark.parametrize("length", [7, 10, 12])
def test_a_stream_gets_the_length_that_is_known_at_its_end(length):
    chunks = [np.ones((1, 6), "float32"), np.ones((1, 4), "float32")]
    joined = np.concatenate(list(with_length(iter(chunks), lambda: length)), axis=1)
    assert joined.tolist() == [[1.0] * min(length, 10) + [0.0] * (length - 10)]


def test_the_same_rate_changes_nothing():
    chunks = [np.ones((2, 3), "float32")]
    assert next(resampled(iter(chunks), 8000, 8000)) is chunks[0]


@pytest.mark.parametrize("kind", ["wav", "ogg", "mp3", "aiff"])
def test_a_file_that_is_cut_off_says_so(kind, tmp_path, capsys):
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 160_000), 16_000)
    whole = path.read_bytes()
    for content, said in ((whole, False), (whole[: len(whole) // 2], True)):
        path.write_bytes(content)
        with AudioSource(path) as source:
            assert sum(chunk.shape[1] for chunk in source.chunks()) == source.num_samples
        assert ("is cut off after" in capsys.readouterr().out) is said


def test_a_length_that_a_pipe_left_open_is_no_promise(tmp_path, capsys):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(1600, 0.5), 16_000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[4:8] = content[place : place + 4] = b"\xff" * 4
    path.write_bytes(content)
    with AudioSource(path) as source:
        assert sum(chunk.shape[1] for chunk in source.chunks()) == 1600
    assert capsys.readouterr().out == ""
