import math

import pytest
import torch

from lightning_modules.losses.log_mel import LogMelLoss


def test_gain_is_its_logarithm():
    waveform = 0.1 * torch.randn(2, 1, 4096, generator=torch.Generator().manual_seed(0))
    loss = LogMelLoss(16000)
    assert loss(waveform, waveform).item() == 0.0
    assert loss(2 * waveform, waveform).item() == pytest.approx(math.log(2), rel=1e-3)


def test_silence_is_the_floor():
    waveform = torch.full((1, 1, 4096), 0.0, requires_grad=True)
    loss = LogMelLoss(16000, floor=1e-3)(waveform, 0.1 * torch.randn(1, 1, 4096))
    loss.backward()
    assert torch.isfinite(waveform.grad).all()
    assert 0 < loss.item() < -math.log(1e-3)
