"""Logarithms that are learned.

Adam moves any parameter by about the learning rate a step, and the logarithm of a scale or a variance has
nats to go where weights have hundredths: a tenth of it is learned.
"""

import torch
from torch import Tensor, nn

FACTOR = 10.0


def log_parameter(log_value: float, *shape: int) -> nn.Parameter:
    """The parameter for logarithms that all start at `log_value`; a scalar by default."""
    return nn.Parameter(torch.full(shape, log_value / FACTOR))


def log_of(parameter: Tensor) -> Tensor:
    """The logarithms that a parameter made by `log_parameter` stands for, of its shape."""
    return FACTOR * parameter
