"""Residual units of dilated convolutions and Snakes, for networks that work at several rates."""

import torch
from torch import Tensor, nn


class Snake(nn.Module):
    """x + sin²(αx) / α with one α per feature, learned: a nonlinearity that is periodic as sound is.

    Source: Ziyin, Hartwig, Ueda 2020, "Neural Networks Fail to Learn Periodic Functions", eq. 3.

    Args:
        hidden_size: Features H.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.log_frequency = nn.Parameter(torch.zeros(hidden_size, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply to (B, H, L)."""
        # sin² u = (1 - cos 2u) / 2: fewer passes over the signal than with a square and a quotient
        frequency = 2.0 * self.log_frequency.exp()
        period = frequency.reciprocal()
        return torch.addcmul(hidden + period, torch.cos(frequency * hidden), -period)


class ResidualUnit(nn.Module):
    """A dilated convolution and one at each frame between Snakes, beside the identity.

    Args:
        hidden_size: Features H.
        dilation: Distance between the seven frames of the convolution.
    """

    def __init__(self, hidden_size: int, dilation: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            Snake(hidden_size),
            nn.Conv1d(hidden_size, hidden_size, 7, dilation=dilation, padding=3 * dilation),
            Snake(hidden_size),
            nn.Conv1d(hidden_size, hidden_size, 1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Refine (B, H, L) to (B, H, L)."""
        return hidden + self.branch(hidden)


def residual_units(hidden_size: int, num_units: int) -> list[nn.Module]:
    """`num_units` units, their dilations 1, 3, 9, …; and the nonlinearity that ends a stage."""
    units: list[nn.Module] = [ResidualUnit(hidden_size, 3**number) for number in range(num_units)]
    return [*units, Snake(hidden_size)]
