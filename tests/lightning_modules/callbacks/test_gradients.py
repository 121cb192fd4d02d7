"""The norm of the gradients."""

from pathlib import Path

import pytest
import torch
from toy_fit import fit, logged

from lightning_modules.callbacks.gradients import GradientNorm, gradient_norm


def test_gradient_norm_by_hand() -> None:
    weights = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))]
    unused = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": [weights[1], unused]}], lr=1.0)
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert gradient_norm(optimizer).item() == 5.0


def test_gradient_norm_is_logged_before_clipping(tmp_path: Path) -> None:
    clip_at = 1e-4
    fit(tmp_path, GradientNorm(), gradient_clip_val=clip_at, enable_checkpointing=False, max_epochs=1)
    norms = logged(tmp_path, "train/gradient_norm")
    losses = logged(tmp_path, "train/loss")
    # loss = (w - 1)² mean(x²), so its gradient is 2 loss / (w - 1); clipping leaves w near 0.1
    expected = [2 * loss / 0.9 for loss in losses]
    assert norms == pytest.approx(expected, rel=1e-2)
    assert min(norms) > 100 * clip_at


def test_gradient_norm_at_logging_steps_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    module = "lightning_modules.callbacks.gradients.gradient_norm"
    monkeypatch.setattr(module, lambda optimizer: calls.append(1) or torch.tensor(1.0))
    fit(tmp_path, GradientNorm(), log_every_n_steps=4, enable_checkpointing=False)
    assert len(calls) == 2  # of 8 steps
