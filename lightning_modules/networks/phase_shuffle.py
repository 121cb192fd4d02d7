"""Phase shuffle: clips of features moved in time by a random number of frames."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function


class _ShiftReflected(Function):
    """Move each clip of (B, L, C) later by its shift; what is missing at an edge is the reflection there."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, shifts: list[int]) -> Tensor:  # noqa: ANN401
        ctx.shifts = shifts
        shifted = torch.empty_like(hidden, memory_format=torch.contiguous_format)
        length = hidden.shape[1]
        for source, target, shift in _by_shift(hidden, shifted, shifts):
            edge = abs(shift)
            if shift >= 0:
                target[:, edge:] = source[:, : length - edge]
                target[:, :edge] = source[:, 1 : edge + 1].flip(1)
            else:
                target[:, : length - edge] = source[:, edge:]
                target[:, length - edge :] = source[:, length - 1 - edge : length - 1].flip(1)
        return shifted

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return _ShiftReflectedTransposed.apply(grads[0], ctx.shifts), None


class _ShiftReflectedTransposed(Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor, shifts: list[int]) -> Tensor:  # noqa: ANN401
        ctx.shifts = shifts
        result = torch.empty_like(grad, memory_format=torch.contiguous_format)
        length = grad.shape[1]
        for source, target, shift in _by_shift(grad, result, shifts):
            edge = abs(shift)
            if shift >= 0:
                target[:, : length - edge] = source[:, edge:]
                target[:, length - edge :] = 0
                target[:, 1 : edge + 1] += source[:, :edge].flip(1)
            else:
                target[:, edge:] = source[:, : length - edge]
                target[:, :edge] = 0
                target[:, length - 1 - edge : length - 1] += source[:, length - edge :].flip(1)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return _ShiftReflected.apply(grads[0], ctx.shifts), None


def _by_shift(source: Tensor, target: Tensor, shifts: list[int]) -> list[tuple[Tensor, Tensor, int]]:
    """Views that one shift applies to: all clips, or clip by clip."""
    if len(shifts) == 1:
        return [(source, target, shifts[0])]
    return [(source[i : i + 1], target[i : i + 1], shift) for i, shift in enumerate(shifts)]


def shift_reflected(hidden: Tensor, shifts: list[int]) -> Tensor:
    """Shift clips in time, filling in by reflection about the first or last frame.

    Args:
        hidden: (B, L, C).
        shifts: Frames to move later (negative: earlier) by, one for all clips or one for each; each smaller
            than L in size.

    Returns:
        (B, L, C); differentiable twice.
    """
    return _ShiftReflected.apply(hidden, shifts)


class PhaseShuffle(nn.Module):
    """Shifts features by a random number of frames in training, so that their phase tells the critic nothing.

    Source: Donahue, McAuley, Puckette 2019, section 3.3.

    Args:
        radius: Largest shift n in frames, either way.
        per_clip: Draw a shift for each clip (the paper's text) rather than one per pass (its code).
    """

    def __init__(self, radius: int = 2, per_clip: bool = False) -> None:
        super().__init__()
        if radius < 0:
            raise ValueError(f"PhaseShuffle needs radius >= 0, got {radius}")
        self.radius = radius
        self.per_clip = per_clip

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        if not self.training or self.radius == 0:
            return hidden
        return shift_reflected(hidden, draw_shifts(self.radius, len(hidden) if self.per_clip else 1))


def draw_shifts(radius: int, count: int) -> list[int]:
    """Random shifts of at most `radius` frames, drawn on the host: a GPU need not be waited for to slice."""
    return torch.randint(-radius, radius + 1, (count,)).tolist()
