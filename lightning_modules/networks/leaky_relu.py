"""LeakyReLU whose second derivative costs nothing.

Torch differentiates a backward pass through LeakyReLU with respect to the activations too, where the result
is zero everywhere, and then carries these zeros through all layers before: under a gradient penalty that is
two of thirteen passes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function


class _LeakyReLU(Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, slope: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(hidden)
        ctx.slope = slope
        return torch.nn.functional.leaky_relu(hidden, slope)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return _Scale.apply(grads[0], ctx.saved_tensors[0], ctx.slope), None


class _Scale(Function):
    """Multiply by the slope at `hidden`: linear in the first argument, flat in the second."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, hidden: Tensor, slope: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(hidden)
        ctx.slope = slope
        return torch.ops.aten.leaky_relu_backward(value, hidden, slope, False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return _Scale.apply(grads[0], ctx.saved_tensors[0], ctx.slope), None, None


class LeakyReLU(nn.Module):
    """max(x, slope * x).

    Args:
        slope: Factor on negative values.
    """

    def __init__(self, slope: float = 0.2) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, hidden: Tensor) -> Tensor:
        """Any shape."""
        if torch.compiler.is_compiling():
            return torch.nn.functional.leaky_relu(hidden, self.slope)
        return _LeakyReLU.apply(hidden, self.slope)
