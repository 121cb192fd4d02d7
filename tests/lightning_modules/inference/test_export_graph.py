"""Which parts of a model are exported, and what is left out of each."""

import pytest
import torch
from toy_experiment import ToyModule
from toy_models import HOP, make_melgan, make_vae, make_wavegan

from lightning_modules.base import GenerativeModule, Reconstructs
from lightning_modules.errors import ExportError
from lightning_modules.inference.export_graph import Part, parts_of, pruned
from lightning_modules.networks.feature_encoder import LogMelFeatures


def part_named(module: GenerativeModule, name: str) -> Part:
    return next(part for part in parts_of(module.requires_grad_(False)) if part.name == name)


def test_parts():
    assert [part.name for part in parts_of(make_vae())] == ["reconstruct", "encoder", "decoder"]
    assert [part.name for part in parts_of(make_wavegan())] == ["decoder"]
    assert [part.name for part in parts_of(ToyModule(8000, 1600))] == ["reconstruct"]
    silent = ToyModule(8000, 1600)
    silent.lacks = frozenset({Reconstructs})
    with pytest.raises(ExportError, match="ToyModule neither reconstructs nor decodes latents"):
        parts_of(silent)


def test_examples_depend_on_their_seed_alone():
    for part in parts_of(make_vae().requires_grad_(False)):
        torch.rand(3)
        one, same, other = part.example(2, 5, 1), part.example(2, 5, 1), part.example(2, 5, 2)
        assert one.shape[0] == 2 and one.shape[2] == 5 * part.unit
        torch.testing.assert_close(one, same, rtol=0, atol=0)
        assert not torch.equal(one, other)


def test_what_takes_no_part_is_left_out_of_the_copy():
    module = make_vae()
    part = part_named(module, "encoder")
    value = part.example(1, 70, 1)
    before = part.module(value)
    plain = pruned(part)
    assert [name for name in module.state_dict() if name.startswith("decoder.")]
    assert not [name for name in plain.state_dict() if "decoder" in name]
    torch.testing.assert_close(plain(value), before)


def test_weight_normalisation_stays_on_the_model():
    module = make_melgan().requires_grad_(False)
    part = part_named(module, "decoder")
    value = part.example(1, 9, 1)
    before = part.module(value)
    plain = pruned(part)
    assert not [name for name in plain.state_dict() if "parametrizations" in name]
    torch.testing.assert_close(plain(value), before)
    torch.testing.assert_close(part.module(value), before)


def test_real_forms_of_the_transforms():
    head = make_vae().decoder.head
    generator = torch.Generator().manual_seed(0)
    magnitude, phase = torch.rand(2, 3, 5, head.fft_samples // 2 + 1, generator=generator).unbind()
    parts = torch.cat([magnitude * torch.cos(7 * phase), magnitude * torch.sin(7 * phase)], dim=-1)
    torch.testing.assert_close(parts @ head.basis, head.inverse_transform(magnitude, 7 * phase))
    assert head.fft_samples == 4 * HOP
    stft = LogMelFeatures(16000).mel.stft
    noise = torch.randn(2, 5000, generator=generator)
    power = stft.power_without_complex_numbers(noise, "reflect")
    torch.testing.assert_close(power, stft(noise).square(), atol=1e-6, rtol=1e-4)
