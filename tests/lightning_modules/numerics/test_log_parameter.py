"""Logarithms as parameters: their value, and how far Adam takes them in a step."""

import math

import pytest
import torch

from lightning_modules.numerics.log_parameter import log_of, log_parameter


def test_the_value_is_the_one_given():
    assert log_of(log_parameter(-3.7)).item() == pytest.approx(-3.7)
    torch.testing.assert_close(
        log_of(log_parameter(math.log(0.02), 2, 3)), torch.full((2, 3), math.log(0.02))
    )


def test_a_step_of_adam_moves_the_logarithm_by_ten_learning_rates():
    parameter = log_parameter(0.0)
    optimizer = torch.optim.Adam([parameter], lr=1e-3)
    (5.0 * log_of(parameter)).backward()
    optimizer.step()
    assert log_of(parameter).item() == pytest.approx(-1e-2, rel=1e-4)
