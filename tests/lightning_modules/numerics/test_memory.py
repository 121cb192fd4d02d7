"""Memory of a training step, by values worked out by hand."""

import pytest

from lightning_modules.numerics.memory import largest_batch, training_bytes


def test_a_step_keeps_four_numbers_of_each_weight_and_the_clips():
    assert training_bytes(1_000_000, 5_000_000, 8) == 16_000_000 + 40_000_000


@pytest.mark.parametrize(
    ("memory", "clips"),
    [
        (1_000_000_000, 128),  # 700 MB less 16 MB, / 5 MB = 136
        (1_000_000, 0),
        (30_000_000, 1),  # 21 MB less 16 MB: one
        (80 << 30, 8192),
    ],
)
def test_the_largest_power_of_two_that_fits(memory, clips):
    assert largest_batch(memory, 1_000_000, 5_000_000) == clips
