"""`lightning generate`: clips and manifest from a checkpoint path alone."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_models import CLIP, RATE, make_vae, make_vocoder, make_wavegan, save

from lightning_modules.cli import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_vae(), tmp_path_factory.mktemp("models") / "vae.ckpt")


def generate(checkpoint: Path, output: Path, *options: object) -> list[np.ndarray]:
    main(["generate", str(checkpoint), "--output", str(output), "--device", "cpu", *map(str, options)])
    return [soundfile.read(path)[0] for path in sorted(output.glob("*.wav"))]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    assert end.value.code == 1
    return capsys.readouterr().err


def test_clips_and_manifest(checkpoint, tmp_path, capsys):
    clips = generate(checkpoint, tmp_path / "out", "--num_clips", 2, "--seconds", 0.5, "--seed", 3)
    assert [clip.shape for clip in clips] == [(4000,), (4000,)]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["model"] == "lightning_modules.vae.VAE"
    assert (manifest["verb"], manifest["seed"], manifest["sample_rate"], manifest["step"]) == (
        "generate",
        3,
        RATE,
        7,
    )
    assert manifest["checkpoint"] == str(checkpoint) and manifest["options"]["temperature"] == 1.0
    for clip, entry in zip(clips, manifest["files"], strict=True):
        path = tmp_path / "out" / entry["file"]
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["peak"] == pytest.approx(np.abs(clip).max(), abs=1e-4)
        assert entry["rms"] == pytest.approx(np.sqrt(np.mean(clip**2)), abs=1e-4)
        assert (entry["num_samples"], entry["seconds"]) == (4000, 0.5)
    assert [path.suffix for path in (tmp_path / "out").iterdir()].count(".part") == 0
    assert "clip_0001.wav  0.50 s" in capsys.readouterr().out


def test_a_seed_gives_the_same_clips_however_many(checkpoint, tmp_path):
    three = generate(checkpoint, tmp_path / "three", "--num_clips", 3, "--seed", 1)
    one = generate(checkpoint, tmp_path / "one", "--num_clips", 1, "--seed", 1)
    other = generate(checkpoint, tmp_path / "other", "--num_clips", 1, "--seed", 2)
    assert len(three[0]) == CLIP
    np.testing.assert_array_equal(three[0], one[0])
    assert (three[0] != other[0]).any() and (three[0] != three[1]).any()


def test_nothing_is_overwritten(checkpoint, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/clip_0000.wav").write_text("mine")
    assert generate(checkpoint, tmp_path / "out-2", "--num_clips", 1)  # a name of its own
    main(["generate", str(checkpoint), "--num_clips", "1", "--output", str(tmp_path / "out")])
    assert (tmp_path / "out/clip_0000.wav").read_text() == "mine"
    assert (tmp_path / "out-3/manifest.json").is_file()


def test_the_default_folder_is_the_run_s(tmp_path, monkeypatch):
    run = tmp_path / "runs/vae/one"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").touch()
    main(["generate", str(save(make_vae(), run / "checkpoints/best.ckpt")), "--num_clips", "1"])
    assert (run / "generate/clip_0000.wav").is_file()
    monkeypatch.chdir(tmp_path)
    main(["generate", str(save(make_wavegan(), tmp_path / "g.ckpt")), "--num_clips", "1", "--seconds", "0.3"])
    assert soundfile.info(tmp_path / "generate/clip_0000.wav").frames == 2400


def test_zero_temperature_takes_the_noise_away(checkpoint, tmp_path):
    clips = generate(checkpoint, tmp_path / "cold", "--num_clips", 2, "--temperature", 0)
    np.testing.assert_array_equal(clips[0], clips[1])
    tame = generate(checkpoint, tmp_path / "tame", "--num_clips", 1, "--truncation", 0.01)
    wild = generate(checkpoint, tmp_path / "wild", "--num_clips", 1)
    assert np.abs(tame[0] - clips[0]).mean() < 0.1 * np.abs(wild[0] - clips[0]).mean()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--num_clips", 0), "--num_clips is 0\n  What to do: give at least 1"),
        (("--seconds", 0), "--seconds is 0.0\n"),
        (("--seed", -1), "--seed is -1\n"),
        (("--temperature", -0.5), "--temperature is -0.5\n"),
        (("--truncation", 0), "--truncation is 0.0\n  What to do: give more than 0"),
        (("--device", "gramophone"), "--device gramophone cannot be used"),
    ],
)
def test_options_that_make_no_sense(checkpoint, tmp_path, capsys, options, text):
    assert text in refusal(capsys, "generate", checkpoint, "--output", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_models_that_cannot(tmp_path, capsys):
    vocoder, wavegan = (
        save(make(), tmp_path / f"{make.__name__}.ckpt") for make in (make_vocoder, make_wavegan)
    )
    folder = ("--output", tmp_path / "out")
    assert "it cannot sample" in refusal(capsys, "generate", vocoder, *folder)
    assert "draws no normal noise" in refusal(capsys, "generate", wavegan, *folder, "--truncation", 1)
    assert "gone.ckpt does not exist" in refusal(capsys, "generate", tmp_path / "gone.ckpt", *folder)
    (tmp_path / "file").touch()
    assert "Cannot make the folder" in refusal(capsys, "generate", wavegan, "--output", tmp_path / "file/out")
    assert not (tmp_path / "out").exists()
