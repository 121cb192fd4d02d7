"""Exported files against the model itself, at lengths and batch sizes that they were not made at."""

import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy_models import (
    CLIP,
    RATE,
    make_clip_vae,
    make_hifigan,
    make_melgan,
    make_vae,
    make_vocoder,
    make_wavegan,
    save,
)

from lightning_modules.base import GenerativeModule
from lightning_modules.cli import main
from lightning_modules.cli.trainer import TrainerCLI
from lightning_modules.errors import ExportError
from lightning_modules.inference import export
from lightning_modules.inference.export import ExportedFile, Speed, export_part, largest_difference
from lightning_modules.inference.export_graph import Part, parts_of

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason='pip install -e ".[export]"',
)


def part_named(module: GenerativeModule, name: str) -> Part:
    return next(part for part in parts_of(module.requires_grad_(False)) if part.name == name)


def opened(file: ExportedFile) -> Callable[[Tensor], Tensor]:
    return export.FORMATS[file.name.rpartition(".")[2]][1](file.content)


@torch.no_grad()
def check(part: Part, files: list[ExportedFile], loud: float = 0.005) -> None:
    """Every file gives what the model gives."""
    for batch, frames in ((1, 9), (4, 100), (2, 65)):
        value = part.example(batch, frames, 77)
        wanted = part.module(value)
        assert wanted.std() > loud, "silence proves nothing"
        for file in files:
            torch.testing.assert_close(opened(file)(value), wanted, atol=1e-4, rtol=0)
    for file in files:
        assert file.difference <= 1e-4 and file.exported > 0 and file.eager > 0


@needs_onnx
@pytest.mark.slow
def test_reconstruction_of_the_vae():
    module = make_vae()
    part = part_named(module, "reconstruct")
    pt2, onnx_file = files = export_part(module, part, ["pt2", "onnx"])
    assert [file.name for file in files] == ["reconstruct.pt2", "reconstruct.onnx"]
    check(part, files)
    ragged = part.example(1, 10, 3)[..., :-1]  # not whole frames
    with pytest.raises(Exception, match=r"16 ?\*|multiple|divisible"):
        opened(pt2)(ragged)
    with pytest.raises(Exception, match="dimensions must match"):
        opened(onnx_file)(ragged)
    import onnx

    graph = onnx.load_from_string(onnx_file.content)
    facts = {each.key: each.value for each in graph.metadata_props}
    assert (facts["sample_rate"], facts["length_multiple_of"], facts["least_length"]) == ("8000", "16", "32")
    assert facts["model"] == "lightning_modules.vae.VAE" and "T a multiple of 16" in facts["input"]


@needs_onnx
@pytest.mark.slow
def test_the_generator_of_the_wavegan_and_the_command(tmp_path, capsys):
    module = make_wavegan()
    path = save(module, tmp_path / "wavegan.ckpt")
    main(["export", str(path), "--format", "pt2", "onnx", "--output", str(tmp_path / "out")])
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [entry["file"] for entry in manifest["files"]] == ["decoder.pt2", "decoder.onnx"]
    files = [
        ExportedFile(
            entry["file"],
            (tmp_path / "out" / entry["file"]).read_bytes(),
            entry["difference"],
            Speed("real_time_factor", "x real time", lambda _: 0.0),
            entry["eager_real_time_factor"],
            entry["real_time_factor"],
        )
        for entry in manifest["files"]
    ]
    part = part_named(module, "decoder")
    check(part, files)
    one = part.example(1, 1, 4)  # a single clip, as a rule
    torch.testing.assert_close(opened(files[1])(one), part.module(one), atol=1e-4, rtol=0)
    assert part.module(one).shape == (1, 1, CLIP)
    assert "2 file(s) in" in capsys.readouterr().out


@pytest.mark.slow
def test_a_pt2_opens_without_this_package(tmp_path):
    module = make_vae()
    part = part_named(module, "encoder")
    (file,) = export_part(module, part, ["pt2"])
    (tmp_path / "encoder.pt2").write_bytes(file.content)
    value = part.example(1, 12, 5)
    torch.save({"in": value, "out": part.module(value)}, tmp_path / "pair.pt")
    program = (
        "import sys, torch, json; sys.modules['lightning_modules'] = None; extra = {'metadata.json': ''}\n"
        "graph = torch.export.load('encoder.pt2', extra_files=extra).module(); pair = torch.load('pair.pt')\n"
        "print(float((graph(pair['in']) - pair['out']).abs().max()) < 1e-4, "
        "json.loads(extra['metadata.json'])['sample_rate'])"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.split() == ["True", str(RATE)], result.stderr
    state = torch.export.load(io.BytesIO(file.content)).state_dict
    assert not [name for name in state if "decoder" in name], "the decoder takes no part"


def test_a_file_that_differs_is_refused_and_nothing_written(tmp_path, monkeypatch, capsys):
    module = make_vae()
    path = save(module, tmp_path / "vae.ckpt")
    part = part_named(module, "decoder")
    assert largest_difference(part, part.module) == 0
    assert largest_difference(part, lambda value: part.module(value) + 0.25) == pytest.approx(0.25)
    assert not largest_difference(part, lambda value: part.module(value)[..., 1:]) <= 1e9
    assert not largest_difference(part, lambda value: part.module(value) * torch.nan) <= 1e9
    wrong = (lambda graph, metadata: b"", lambda content: lambda value: 0.5 * value[:, :1])
    monkeypatch.setattr(export, "exported_program", lambda part: export.Program(None, 1))
    monkeypatch.setitem(export.FORMATS, "pt2", wrong)
    with pytest.raises(SystemExit) as end:
        main(["export", str(path), "--output", str(tmp_path / "out")])
    assert end.value.code == 1 and not (tmp_path / "out").exists()
    assert "reconstruct.pt2 differs from the model by" in capsys.readouterr().err


def test_missing_packages(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"package onnx, which is missing(.|\n)*pip install .*\[export\]"):
        export.as_onnx(None, {})


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [make_vae, make_clip_vae, make_wavegan, make_vocoder, make_melgan, make_hifigan]
)
def test_every_part_of_every_kind(make):
    module = make(channels=2) if make in (make_vae, make_wavegan, make_vocoder) else make()
    for part in parts_of(module.requires_grad_(False)):
        check(part, export_part(module, part, ["pt2", "onnx"]), loud=1e-6)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["vae", "wavegan", "wavegan_conditional"])
def test_the_default_models(experiment, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)
    path = EXPERIMENTS / f"{experiment}.yaml"
    module = TrainerCLI.start(["fit", "--config", str(path), "--trainer.accelerator", "cpu"]).model
    with torch.no_grad():  # loud enough for differences to be heard
        if experiment == "vae":
            module.posterior_head.weight.normal_(std=1.0)
            module.coarse_generator.output.weight.normal_(std=0.05)
    for part in parts_of(module.eval().requires_grad_(False)):
        files = export_part(module, part, ["pt2", "onnx"])
        print(part.name, *((file.name, file.difference) for file in files))
        check(part, files, loud=1e-3)
