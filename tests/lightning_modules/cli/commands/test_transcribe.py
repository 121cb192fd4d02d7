"""`lightning transcribe`: sound files of all kinds to MIDI files."""

import io
import json
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
import torch
from toy_models import make_vae, save

from lightning_modules.cli import main
from lightning_modules.networks.note_picker import pick_notes
from lightning_modules.networks.transcriber import Transcriber
from lightning_modules.transcriber import PianoTranscriber

RATE = 8000


def make_module() -> PianoTranscriber:
    """Random; it hears many notes in noise."""
    torch.manual_seed(0)
    network = Transcriber(RATE, width=4, dilations=(1,))
    with torch.no_grad():
        network.heads.weight.mul_(20.0)
        network.heads.bias.zero_()
    return PianoTranscriber(RATE, 8192, network).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_module(), tmp_path_factory.mktemp("models") / "transcriber.ckpt")


def noise(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, (round(seconds * rate), channels))


def start(checkpoint: Path, output: Path, *arguments: object) -> dict:
    main(["transcribe", str(checkpoint), *map(str, arguments), "--output", str(output), "--device", "cpu"])
    return json.loads((output / "manifest.json").read_text())


def test_notes_and_manifest(checkpoint, tmp_path, capsys):
    waveform = noise(5.0, RATE)
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.flac", noise(1.0, 44100, 2), 44100)
    manifest = start(
        checkpoint, tmp_path / "out", tmp_path / "a.wav", tmp_path / "b.flac", "--block_seconds", 1.0
    )
    first, second = manifest["files"]
    network = make_module().transcriber
    with torch.no_grad():
        expected = pick_notes(network, network(torch.from_numpy(waveform.T).float()[None]))
    file = pretty_midi.PrettyMIDI(io.BytesIO((tmp_path / "out/a.mid").read_bytes()))
    found = file.instruments[0].notes
    assert first["num_notes"] == len(expected.pitch) > 50
    assert {note.pitch for note in found} == set(expected.pitch.tolist())
    assert sorted(note.velocity for note in found) == sorted(expected.velocity.tolist())
    np.testing.assert_allclose(sorted(note.start for note in found), expected.onset, atol=1e-3)
    assert (first["file"], first["source"], first["seconds"]) == ("a.mid", str(tmp_path / "a.wav"), 5.0)
    assert (second["source_sample_rate"], second["source_channels"]) == (44100, 2)
    assert manifest["verb"] == "transcribe" and manifest["failed"] == []
    assert f"a.mid  {len(expected.pitch)} notes in 5.00 s" in capsys.readouterr().out


def test_two_files_of_one_name_are_both_kept(checkpoint, tmp_path):
    (tmp_path / "x").mkdir()
    for folder in (tmp_path, tmp_path / "x"):
        soundfile.write(folder / "a.wav", noise(0.5, RATE), RATE)
    manifest = start(checkpoint, tmp_path / "out", tmp_path / "a.wav", tmp_path / "x/a.wav")
    assert len({entry["file"] for entry in manifest["files"]}) == 2


def test_files_that_cannot_be_used_are_named_and_the_others_written(checkpoint, tmp_path, capsys):
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "a.wav", noise(0.5, RATE), RATE)
    with pytest.raises(SystemExit) as stopped:
        start(checkpoint, tmp_path / "out", tmp_path / "text.wav", tmp_path / "none.wav", tmp_path / "a.wav")
    assert stopped.value.code not in (0, None)
    text = "".join(capsys.readouterr()) + str(stopped.value.code)
    assert "text.wav: not readable as audio" in text and "none.wav: no such file" in text
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [entry["file"] for entry in manifest["files"]] == ["a.mid"]
    assert len(manifest["failed"]) == 2


def test_a_model_that_cannot_transcribe(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", noise(0.5, RATE), RATE)
    path = save(make_vae(), tmp_path / "vae.ckpt")
    with pytest.raises(SystemExit) as stopped:
        start(path, tmp_path / "out", tmp_path / "a.wav")
    assert "VAE does not transcribe" in "".join(capsys.readouterr()) + str(stopped.value.code)
    assert not (tmp_path / "out").exists()
