"""`lightning reconstruct`: sound files of all kinds through a checkpoint."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toy_models import RATE, make_vae, make_wavegan, save

from lightning_modules.cli import main
from lightning_modules.cli.commands.reconstruct import sound_files
from lightning_modules.errors import AudioFileError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_vae(), tmp_path_factory.mktemp("models") / "vae.ckpt")


def noise(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, (round(seconds * rate), channels))


def start(checkpoint: Path, output: Path, *arguments: object) -> dict:
    main(["reconstruct", str(checkpoint), *map(str, arguments), "--output", str(output), "--device", "cpu"])
    return json.loads((output / "manifest.json").read_text())


def test_files_and_manifest(checkpoint, tmp_path, capsys):
    waveform = noise(3.0, RATE)
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.flac", noise(1.0, 44100, 2), 44100)
    manifest = start(
        checkpoint, tmp_path / "out", tmp_path / "a.wav", tmp_path / "b.flac", "--block_seconds", 0.5
    )
    first, second = manifest["files"]
    found, rate = soundfile.read(tmp_path / "out/a.wav")
    expected = make_vae().reconstruct(torch.from_numpy(waveform.T).float()[None])[0, 0].detach().numpy()
    assert rate == RATE
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (first["source"], first["num_samples"]) == (str(tmp_path / "a.wav"), 24000)
    assert (second["sample_rate"], second["channels"], second["num_samples"]) == (RATE, 2, 8000)
    assert (second["source_sample_rate"], second["source_channels"]) == (44100, 2)
    assert manifest["failed"] == [] and manifest["context_samples"] > 0
    text = capsys.readouterr().out
    for entry in (first, second):
        figures = f"log-mel distance {entry['log_mel_distance']:.2f} dB  SI-SDR {entry['si_sdr']:.2f} dB"
        assert figures in text


@pytest.mark.parametrize("rate", [11025, 44100, 48000])
@pytest.mark.parametrize("samples", [4, 1001, 90_000])
def test_the_original_rate_and_length(checkpoint, tmp_path, rate, samples):
    if samples * RATE < rate:
        pytest.skip("less than one sample at the model's rate")
    soundfile.write(tmp_path / "a.wav", noise(samples / rate, rate, 2), rate)
    start(checkpoint, tmp_path / "out", tmp_path / "a.wav", "--original_rate", "--mono")
    found = soundfile.info(tmp_path / "out/a.wav")
    assert (found.samplerate, found.frames, found.channels) == (rate, samples, 1)


def test_names_of_all_kinds(checkpoint, tmp_path):
    names = [
        "two words.wav",
        "größe—♪.wav",
        "<b>&'\".wav",
        "line\nbreak\x1b[1m.wav",
        os.fsdecode(b"latin-\xe9.wav"),
        "long" * 60 + ".wav",
        "no ending",
    ]
    for name in names:
        soundfile.write(os.fsencode(tmp_path / name), noise(0.1, RATE), RATE, format="WAV")
    manifest = start(checkpoint, tmp_path / "out", *(tmp_path / name for name in names))
    assert [Path(entry["source"]).name for entry in manifest["files"]] == names
    for name, entry in zip(names, manifest["files"], strict=True):
        assert (tmp_path / "out" / entry["file"]).is_file()
        assert entry["file"].startswith(Path(name).stem[:150])


def test_two_files_of_one_name(checkpoint, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "a.wav", noise(0.1, RATE), RATE)
    manifest = start(checkpoint, tmp_path / "out", tmp_path / "x/a.wav", tmp_path / "y/a.wav")
    assert [entry["file"] for entry in manifest["files"]] == ["a.wav", "a-2.wav"]


def test_bad_files_are_named_and_the_others_written(checkpoint, tmp_path, capsys):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(1000), RATE)
    soundfile.write(tmp_path / "one.wav", np.zeros(1), RATE)
    names = ["empty.wav", "text.wav", "nan.wav", "none.wav", "gone.wav", "silent.wav", "one.wav"]
    with pytest.raises(SystemExit) as end:
        start(checkpoint, tmp_path / "out", *(tmp_path / name for name in names))
    assert end.value.code == 1
    output = capsys.readouterr()
    for name, text in (
        ("empty.wav", "the file is empty"),
        ("text.wav", "not readable as audio"),
        ("nan.wav", "a sample is NaN or infinite at 0.00 s"),
        ("none.wav", "holds no audio"),
        ("gone.wav", "no such file"),
    ):
        assert f"{tmp_path / name}: {text}" in output.err
    assert "2 of 7 file(s)" in output.out and "Traceback" not in output.err
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [entry["file"] for entry in manifest["files"]] == ["silent.wav", "one.wav"]
    assert [Path(entry["source"]).name for entry in manifest["failed"]] == names[:5]
    assert manifest["files"][0]["si_sdr"] == -100
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "one.wav",
        "silent.wav",
    ]


def test_a_model_without_an_encoder(tmp_path, capsys):
    path = save(make_wavegan(), tmp_path / "g.ckpt")
    with pytest.raises(SystemExit):
        start(path, tmp_path / "out", tmp_path / "a.wav")
    assert "makes no audio from other audio" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_stands_for_the_sound_files_in_it(tmp_path):
    (tmp_path / "b.WAV").touch()
    (tmp_path / "a.flac").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    assert [path.name for path in sound_files(tmp_path)] == ["a.flac", "b.WAV"]
    assert sound_files(tmp_path / "c.wav") == [tmp_path / "c.wav"]
    with pytest.raises(AudioFileError, match="empty holds no sound files"):
        sound_files(tmp_path / "empty")
