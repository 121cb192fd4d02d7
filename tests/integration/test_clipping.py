"""Clipping by a norm that is known already is clipping."""

import functools
from pathlib import Path

import pytest
import torch
from tiny_training import MODELS, make_data, make_vae, make_wavegan, train

from lightning_modules.callbacks.guard import GradientGuard
from lightning_modules.callbacks.health import Health

SGD = functools.partial(torch.optim.SGD, lr=1e-3)


def test_the_known_norm_is_used_once() -> None:
    model = make_vae()
    weight = model.posterior_head.weight
    optimizer = torch.optim.SGD([weight], lr=1.0)
    weight.grad = torch.full_like(weight, 2.0)
    norm = GradientGuard().check(optimizer, has_scaler=False)
    assert norm is not None and norm.item() == pytest.approx(2.0 * weight.numel() ** 0.5)
    model.gradient_norm = norm
    model.configure_gradient_clipping(optimizer, norm.item() / 4, "norm")
    torch.testing.assert_close(weight.grad, torch.full_like(weight, 0.5))
    assert model.gradient_norm is None


def test_weights_are_those_without_the_watch(
    tiny_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, and clipping is at work: without it they are others."""
    states, data = {}, make_data(tiny_release, tmp_path / "cache")
    for name, callbacks, clip_norm in (
        ("known", [Health()], 0.05),
        ("not", [], 0.05),
        ("unclipped", [], 1e9),
    ):
        monkeypatch.setitem(MODELS, "wavegan", functools.partial(make_wavegan, SGD, clip_norm=clip_norm))
        model, _ = train("wavegan", tmp_path / "toy" / name, data, *callbacks, max_steps=3)
        states[name] = model.state_dict()
    for name, value in states["not"].items():
        assert torch.equal(states["known"][name], value), name
    assert any(not torch.equal(states["unclipped"][name], value) for name, value in states["not"].items())
