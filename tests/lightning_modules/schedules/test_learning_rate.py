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
    values = rates(9, total_steps=6, warmup_fraction=0.34, final_fraction=0.1)
    half = 2.0 * (0.1 + 0.9 * 0.5)
    early = 2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert values[:6] == pytest.approx([2 / 3, 4 / 3, 2.0, early, half, 2.0 * 1.1 - early])
    assert values[6:] == pytest.approx([0.2, 0.2, 0.2])  # past the end it stays


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": -1}, "got total_steps=-1, warmup_fraction=0.05\n.*set that"),
        ({"total_steps": 5, "warmup_fraction": 1.0}, "warmup_fraction=1.0"),
    ],
)
def test_lengths_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rates(1, **options)
