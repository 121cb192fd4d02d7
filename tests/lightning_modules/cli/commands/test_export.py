"""`lightning export`: the files, their manifest, and what is refused."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toy_experiment import ToyModule
from toy_models import make_vae, save

from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.repository import NAMES
from lightning_modules.cli import main
from lightning_modules.cli.commands.export import exported_graphs
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


class Bigrams(nn.Module):
    """Which token follows which; it remembers how many it has read."""

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary_size = 5
        self.table = nn.Parameter(torch.arange(25.0).view(5, 5))

    def forward(self, tokens: Tensor, cache: Tensor | None = None) -> tuple[Tensor, Tensor]:
        cache = self.empty_cache(len(tokens)) if cache is None else cache
        read = torch.ones(1, 2, tokens.shape[0], 1, tokens.shape[1], 1)
        return self.table[tokens], torch.cat([cache, read], 4)

    def empty_cache(self, batch: int) -> Tensor:
        return torch.zeros(1, 2, batch, 1, 0, 1)


class BigramModule(ToyModule):
    """Says by what it can do, and by nothing else, that it is a model of notes."""

    window_tokens = 8

    def __init__(self, sample_rate: int = 100, clip_samples: int = 8) -> None:
        super().__init__(sample_rate, clip_samples)
        self.bigrams = Bigrams()

    @property
    def token_network(self) -> Bigrams:
        return self.bigrams


def test_the_step_of_any_model_that_draws_tokens():
    (file,) = exported_graphs(BigramModule().eval().requires_grad_(False), ["pt2"])
    assert file.name == "step.pt2" and file.difference == 0.0
    step = torch.export.load(io.BytesIO(file.content)).module()
    scores, cache = step(torch.tensor([[3]]), torch.zeros(1, 2, 1, 1, 2, 1))
    assert scores.tolist() == [[15.0, 16.0, 17.0, 18.0, 19.0]] and cache.flatten().tolist() == [0, 0, 1] * 2


def test_safetensors_come_back_equal_and_open_in_other_verbs(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("safetensors")
    module, run = make_vae(), tmp_path / "runs/vae/one"
    (run / "test").mkdir(parents=True)
    (run / "config.yaml").touch()
    scores = [{"name": "log_mel_distance", "of": "reconstructions", "value": 3.5, "unit": "dB"}]
    (run / "test/scores.json").write_text(json.dumps({"scores": scores}))
    (run / "checkpoints").mkdir()
    save(module, run / "checkpoints/best.ckpt")
    piano = tmp_path / "piano"
    main(["export", str(run), "--format", "safetensors", "--output", str(piano)])
    assert f"GenerativeModule.from_pretrained({str(piano)!r})" in capsys.readouterr().out
    assert {path.name for path in piano.iterdir()} == {*NAMES, "manifest.json"}
    listed = json.loads((piano / "manifest.json").read_text())["files"]
    assert [entry["file"] for entry in listed] == list(NAMES)
    again = GenerativeModule.from_pretrained(piano)
    assert type(again) is type(module)
    for name, weight in module.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    card = (piano / "README.md").read_text()
    assert "# piano\n" in card and "| `log_mel_distance` | 3.5 dB |" in card
    main(["generate", str(piano), "--num_clips", "1", "--output", str(tmp_path / "out")])
    assert len(list((tmp_path / "out").glob("*.wav"))) == 1


def test_without_safetensors_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    path = save(make_vae(), tmp_path / "vae.ckpt")
    with pytest.raises(SystemExit):
        main(["export", str(path), "--format", "safetensors", "--output", str(tmp_path / "out")])
    assert '".[hub]"' in capsys.readouterr().err and not (tmp_path / "out").exists()
