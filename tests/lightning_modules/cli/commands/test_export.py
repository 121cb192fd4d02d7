"""`lightning export`: the files, their manifest, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from toy_models import make_vae, save

from lightning_modules.cli import main
from lightning_modules.networks import NoteTransformer
from lightning_modules.note_prior import NotePrior


@pytest.mark.slow  # the generator of the WaveGAN goes through the command as well: inference/test_export.py
def test_files_and_manifest(tmp_path: Path, capsys: pytest.CaptureFixture):
    module = make_vae()
    path = save(module, tmp_path / "vae.ckpt")
    main(["export", str(path), "--format", "pt2", "pt2", "--output", str(tmp_path / "out")])
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    names = [entry["file"] for entry in manifest["files"]]
    assert names == ["reconstruct.pt2", "encoder.pt2", "decoder.pt2"], "each format once"
    assert manifest["options"]["device"] == "cpu"
    waveform = 0.1 * torch.randn(2, 1, 16 * 50)
    graphs = {name: torch.export.load(tmp_path / "out" / name).module() for name in names}
    with torch.no_grad():
        expected = module.reconstruct(waveform)
        torch.testing.assert_close(graphs["reconstruct.pt2"](waveform), expected, atol=1e-4, rtol=0)
        latent = graphs["encoder.pt2"](waveform)
        torch.testing.assert_close(graphs["decoder.pt2"](latent), expected, atol=1e-4, rtol=0)
    assert f"3 file(s) in {tmp_path / 'out'}" in capsys.readouterr().out


def test_an_unknown_format(tmp_path: Path, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        main(["export", "x.ckpt", "--format", "wav", "--output", str(tmp_path / "out")])
    assert "wav" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_step_of_a_model_of_notes(tmp_path: Path):
    prior = save(NotePrior(NoteTransformer(11, width=8, layers=1, heads=2), 16), tmp_path / "prior.ckpt")
    main(["export", str(prior), "--output", str(tmp_path / "out"), "--format", "pt2"])
    (entry,) = json.loads((tmp_path / "out/manifest.json").read_text())["files"]
    assert entry["file"] == "step.pt2" and entry["difference"] <= 1e-4 and entry["steps_per_second"] > 0
    token, cache = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 2, 1, 2, 3, 4)
    scores, cache = torch.export.load(tmp_path / "out/step.pt2").module()(token, cache)
    assert scores.shape == (1, 11) and cache.shape[4] == 4
