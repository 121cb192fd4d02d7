"""Watching the gradients changes nothing of their clipping."""

import functools
from pathlib import Path

import pytest
import torch
from tiny_training import MODELS, make_data, make_wavegan, train

from lightning_modules.callbacks.health import Health

SGD = functools.partial(torch.optim.SGD, lr=1e-3)


def test_weights_are_those_without_the_watch(
    tiny_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, and clipping is at work: without it they are others."""
    states, data = {}, make_data(tiny_release, tmp_path / "cache")
    for name, callbacks, clip_norm in (
        ("watched", [Health()], 0.05),
        ("not", [], 0.05),
        ("unclipped", [], 1e9),
    ):
        monkeypatch.setitem(MODELS, "wavegan", functools.partial(make_wavegan, SGD, clip_norm=clip_norm))
        model, _ = train("wavegan", tmp_path / "toy" / name, data, *callbacks, max_steps=3)
        states[name] = model.state_dict()
    for name, value in states["not"].items():
        assert torch.equal(states["watched"][name], value), name
    assert any(not torch.equal(states["unclipped"][name], value) for name, value in states["not"].items())
