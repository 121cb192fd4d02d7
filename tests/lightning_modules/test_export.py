"""Exported files against the model itself, at lengths and batch sizes that they were not made at."""

import importlib.util
import io
import subprocess
import sys

import pytest
import torch
from toy_experiment import ToyModule
from toy_models import HOP, RATE, make_vae, make_wavegan

from lightning_modules import export
from lightning_modules.errors import ExportError
from lightning_modules.export import export_part, largest_difference, parts_of, run_onnx, run_pt2

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason='pip install -e ".[export]"',
)


@needs_onnx
@pytest.mark.parametrize("make", [make_vae, make_wavegan])
def test_files_are_the_model(make):
    module = make().requires_grad_(False)
    parts = {part.name: part for part in parts_of(module)}
    part = parts.get("reconstruct") or parts["decoder"]
    for file in export_part(module, part, ["pt2", "onnx"]):
        function = (run_pt2 if file.name.endswith("pt2") else run_onnx)(file.content)
        for batch, frames in ((1, 9), (4, 100)):
            value = part.example(batch, frames, 77)
            torch.testing.assert_close(function(value), part.module(value), atol=1e-4, rtol=0)
        assert part.module(value).std() > 0.005, "silence proves nothing"
        assert file.difference < 1e-4 and file.real_time_factor > 0


def test_a_pt2_opens_without_this_package(tmp_path):
    module = make_vae().requires_grad_(False)
    part = parts_of(module)[2]
    assert part.name == "decoder"
    (file,) = export_part(module, part, ["pt2"])
    (tmp_path / "decoder.pt2").write_bytes(file.content)
    value = part.example(1, 12, 5)
    torch.save({"in": value, "out": part.module(value)}, tmp_path / "pair.pt")
    program = (
        "import sys, torch, json; sys.modules['lightning_modules'] = None; extra = {'metadata.json': ''}\n"
        "graph = torch.export.load('decoder.pt2', extra_files=extra).module(); pair = torch.load('pair.pt')\n"
        "print(float((graph(pair['in']) - pair['out']).abs().max()) < 1e-4, "
        "json.loads(extra['metadata.json'])['sample_rate'])"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.split() == ["True", str(RATE)], result.stderr
    state = torch.export.load(io.BytesIO(file.content)).state_dict
    assert not [name for name in state if "encoder" in name], "the encoder takes no part"


def test_a_file_that_differs_is_refused(monkeypatch):
    module = make_vae().requires_grad_(False)
    part = parts_of(module)[2]
    assert largest_difference(part, part.module) == 0
    assert largest_difference(part, lambda value: part.module(value) + 0.25) == pytest.approx(0.25)
    wrong = (lambda program, metadata: b"", lambda content: lambda value: part.module(value) * 1.01)
    monkeypatch.setattr(export, "exported_program", lambda part: None)
    monkeypatch.setitem(export.FORMATS, "pt2", wrong)
    with pytest.raises(ExportError, match=r"decoder.pt2 differs from the model by .*, more than 0.0001"):
        export_part(module, part, ["pt2"])


def test_parts_and_missing_packages(monkeypatch):
    assert [part.name for part in parts_of(make_vae())] == ["reconstruct", "encoder", "decoder"]
    assert [part.name for part in parts_of(make_wavegan())] == ["decoder"]
    assert [part.name for part in parts_of(ToyModule(8000, 1600))] == ["reconstruct"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"package onnx, which is missing(.|\n)*pip install .*\[export\]"):
        export.as_onnx(None, {})


def test_the_matrix_form_of_the_inverse_transform():
    head = make_vae().decoder.head
    generator = torch.Generator().manual_seed(0)
    magnitude, phase = torch.rand(2, 3, 5, head.fft_samples // 2 + 1, generator=generator).unbind()
    parts = torch.cat([magnitude * torch.cos(7 * phase), magnitude * torch.sin(7 * phase)], dim=-1)
    torch.testing.assert_close(parts @ head.basis, head.inverse_transform(magnitude, 7 * phase))
    assert head.fft_samples == 4 * HOP
