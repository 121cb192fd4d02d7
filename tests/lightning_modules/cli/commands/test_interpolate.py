"""`lightning interpolate`: steps and manifest."""

import json

import numpy as np
import pytest
import soundfile
from toy_experiment import ToyModule
from toy_models import CLIP, make_vae, make_wavegan, save

from lightning_modules.cli import main


def test_steps_joined_and_manifest(tmp_path):
    checkpoint = save(make_wavegan(), tmp_path / "g.ckpt")
    options = ["--steps", "3", "--joined", "--output", str(tmp_path / "out"), "--device", "cpu"]
    main(["interpolate", str(checkpoint), "1", "2", *options])
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["path"] == "linear"
    assert [entry.get("weight") for entry in manifest["files"]] == [0.0, 0.5, 1.0, None]
    steps = [soundfile.read(tmp_path / f"out/step_0{index}.wav")[0] for index in range(3)]
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out/joined.wav")[0], np.concatenate(steps))
    assert len(steps[0]) == CLIP


def test_errors(tmp_path, capsys):
    vae = str(save(make_vae(), tmp_path / "vae.ckpt"))
    toy = str(save(ToyModule(8000, 1600), tmp_path / "toy.ckpt"))
    for arguments, text in (
        ((vae, "1", "2", "--steps", "1"), "--steps is 1\n"),
        ((vae, "1", "gone.wav"), "'gone.wav' is neither a seed nor a sound file"),
        ((toy, "1", "2"), "ToyModule has no latents to interpolate between"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["interpolate", *arguments, "--output", str(tmp_path / "out")])
        assert end.value.code == 1
        assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
