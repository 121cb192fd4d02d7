"""`lightning render`: MIDI files to sound files."""

import json
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from toy_models import RATE, make_player, make_vae, save

from lightning_modules.cli import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_player(), tmp_path_factory.mktemp("models") / "player.ckpt")


def write_piece(path: Path, pitches: tuple[int, ...] = (60, 64, 67)) -> Path:
    """A broken chord, a note each half second."""
    file = mido.MidiFile(type=0)
    file.tracks.append(
        mido.MidiTrack(
            message
            for pitch in pitches
            for message in (
                mido.Message("note_on", note=pitch, velocity=90),
                mido.Message("note_on", note=pitch, velocity=0, time=480),
            )
        )
    )
    file.save(path)
    return path


def start(checkpoint: Path, output: Path, *arguments: object) -> dict:
    main(["render", str(checkpoint), *map(str, arguments), "--output", str(output), "--device", "cpu"])
    return json.loads((output / "manifest.json").read_text())


def test_files_and_manifest(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    piece = write_piece(tmp_path / "piece.mid")
    manifest = start(checkpoint, tmp_path / "out", piece, "--ring_seconds", 1)
    (entry,) = manifest["files"]
    waveform, rate = soundfile.read(tmp_path / "out/piece.wav")
    assert (rate, len(waveform)) == (RATE, round(2.5 * RATE))
    assert (entry["file"], entry["num_notes"], entry["channels_played"]) == ("piece.wav", 3, [1])
    assert np.abs(waveform).max() == pytest.approx(entry["peak"], abs=1e-4)
    assert entry["peak"] > 0.01
    assert manifest["verb"] == "render" and manifest["failed"] == []
    assert "piece.wav  2.50 s  3 notes" in capsys.readouterr().out


def test_twice_the_same_file_and_half_as_long_at_twice_the_tempo(checkpoint: Path, tmp_path: Path):
    piece = write_piece(tmp_path / "piece.mid")
    first, again = (start(checkpoint, tmp_path / name, piece)["files"][0] for name in ("a", "b"))
    assert first["sha256"] == again["sha256"]
    fast = start(checkpoint, tmp_path / "c", piece, "--tempo", 2, "--ring_seconds", 0)["files"][0]
    assert fast["seconds"] == pytest.approx(0.75)


def test_what_would_clip_is_turned_down(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    piece = write_piece(tmp_path / "piece.mid")
    quiet, loud = (
        start(checkpoint, tmp_path / str(gain), piece, "--gain_db", gain)["files"][0] for gain in (0, 60)
    )
    assert quiet["turned_down_db"] == 0.0 and loud["peak"] == pytest.approx(0.99, abs=1e-4)
    assert loud["turned_down_db"] == pytest.approx(60 + 20 * np.log10(quiet["peak"] / 0.99), abs=0.1)
    assert f"peak 0.990, turned down by {loud['turned_down_db']:.1f} dB" in capsys.readouterr().out
    waveforms = [soundfile.read(tmp_path / name / "piece.wav")[0] for name in ("0", "60")]
    scaled = waveforms[0] * np.abs(waveforms[1]).max() / np.abs(waveforms[0]).max()
    np.testing.assert_allclose(scaled, waveforms[1], atol=2e-3)


def test_flac_holds_the_same_samples(checkpoint: Path, tmp_path: Path):
    piece = write_piece(tmp_path / "piece.mid")
    start(checkpoint, tmp_path / "a", piece)
    start(checkpoint, tmp_path / "b", piece, "--format", "flac")
    assert soundfile.info(tmp_path / "b/piece.flac").format == "FLAC"
    waveforms = [soundfile.read(tmp_path / name)[0] for name in ("a/piece.wav", "b/piece.flac")]
    np.testing.assert_allclose(*waveforms, atol=1.01 / 32768)  # libsndfile rounds either in its own way


def test_bad_files_are_named_after_the_good_are_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    good, low = write_piece(tmp_path / "good.mid"), write_piece(tmp_path / "low.mid", (10, 60))
    bad = tmp_path / "bad.mid"
    bad.write_bytes(b"no music")
    with pytest.raises(SystemExit):
        start(checkpoint, tmp_path / "out", bad, low, good)
    text = capsys.readouterr().err
    assert "bad.mid: 8 bytes are no MIDI file" in text
    assert "low.mid: 1 of 2 notes lie outside the 88 keys" in text and "--transpose" in text
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [entry["file"] for entry in manifest["files"]] == ["good.wav"]
    assert len(manifest["failed"]) == 2
    higher = start(checkpoint, tmp_path / "higher", low, "--transpose", 12)
    assert higher["files"][0]["num_notes"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tempo", "0"], r"--tempo is 0.0"),
        (["--channels", "[0]"], r"--channels has 0"),
        (["--velocity_exponent", "0"], r"--velocity_exponent is 0.0"),
        (["--block_seconds", "-1"], r"--block_seconds is -1.0"),
        (["--ring_seconds", "-1"], r"--ring_seconds is -1.0"),
    ],
)
def test_options_that_make_no_sense(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    with pytest.raises(SystemExit):
        start(checkpoint, tmp_path / "out", tmp_path / "piece.mid", *arguments)
    assert message in capsys.readouterr().err


def test_a_model_that_plays_no_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    vae = save(make_vae(), tmp_path / "vae.ckpt")
    with pytest.raises(SystemExit):
        start(vae, tmp_path / "out", write_piece(tmp_path / "piece.mid"))
    assert "plays no notes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
