import math

import pytest
import torch

from lightning_modules.schedules.learning_rate import WarmupCosine


def rates(steps: int, **options) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = WarmupCosine(optimizer, **options)
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


def test_rates_by_hand():
    values = rates(9, total_steps=6, warmup_steps=2, final_fraction=0.1)
    half = 2.0 * (0.1 + 0.9 * 0.5)
    early = 2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert values[:6] == pytest.approx([2 / 3, 4 / 3, 2.0, early, half, 2.0 * 1.1 - early])
    assert values[6:] == pytest.approx([0.2, 0.2, 0.2])  # past the end it stays


def test_warmup_longer_than_training_is_refused():
    with pytest.raises(ValueError, match="warmup_steps=50, total_steps=10"):
        rates(1, total_steps=10)
