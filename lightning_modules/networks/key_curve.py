"""A quantity of each of the piano's 88 keys, smooth over the keyboard but for a learned rest."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LOWEST_KEY = 21
"""MIDI number of A0."""

NUM_KEYS = 88


class KeyCurve(nn.Module):
    """Values of every key: straight lines between knots, plus a value of the key's own that starts at 0.

    Keys that are rarely heard follow their neighbours, which is what the knots are for.

    Args:
        start: (88,) or (88, ...) values to start from.
        num_knots: Knots over the keyboard.
        scale: What a step of a knot by 1 changes; sets how fast it learns beside other parameters.
        own_scale: The same for a key's own value; `scale` by default.
        knot_shape: Shape of a knot's value, to be broadcast with `start`; that of `start` by default.
    """

    start: Tensor
    weights: Tensor

    def __init__(
        self,
        start: Tensor,
        num_knots: int = 12,
        scale: float = 1.0,
        own_scale: float | None = None,
        knot_shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.own_scale = scale if own_scale is None else own_scale
        shape = tuple(start.shape[1:]) if knot_shape is None else knot_shape
        self.register_buffer("start", start.float().contiguous(), persistent=False)
        self.register_buffer("weights", hat_functions(NUM_KEYS, num_knots), persistent=False)
        self.knots = nn.Parameter(torch.zeros(num_knots, *shape))
        self.own = nn.Parameter(torch.zeros_like(self.start))

    def forward(self) -> Tensor:
        """(88, ...), the shape of `start`."""
        smooth = torch.tensordot(self.weights, self.knots, 1)
        return self.start + self.scale * smooth + self.own_scale * self.own


def hat_functions(num_points: int, num_knots: int) -> Tensor:
    """Weights (num_points, num_knots) of linear interpolation between evenly spaced knots; rows sum to 1."""
    position = torch.linspace(0.0, num_knots - 1.0, num_points)
    return functional.relu(1.0 - (position[:, None] - torch.arange(num_knots)).abs())


def interpolation_weights(position: Tensor, num_knots: int) -> Tensor:
    """Weights (..., num_knots) of linear interpolation at `position` (...), counted in knots."""
    position = position.clamp(0.0, num_knots - 1.0)
    return functional.relu(1.0 - (position[..., None] - torch.arange(num_knots)).abs())
