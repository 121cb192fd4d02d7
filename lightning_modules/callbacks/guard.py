"""Keeps gradients that are not finite away from the weights, and remembers how large gradients were."""

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_modules.callbacks.gradients import gradient_norm


class GradientGuard:
    """Watches the gradients of one optimiser.

    On a CPU, a step whose gradient is NaN or Inf is left out: without gradients an optimiser touches neither
    the weights nor its own state. On an accelerator the host must not wait for the answer at each step, so
    the device itself writes zeros over such a gradient: the weights only coast on the optimiser's momentum.
    A loss scaler (16-mixed) leaves steps out by itself, and relies on seeing them.

    Args:
        history: Number of norms to remember.
    """

    def __init__(self, history: int = 500) -> None:
        self.norms: deque[float] = deque(maxlen=history)
        """Norms of the steps up to the last `collect`, the latest at the end."""
        self._pending: list[Tensor] = []

    def check(self, optimizer: Optimizer, has_scaler: bool) -> None:
        """To be called before each step of the optimiser, on unscaled and unclipped gradients."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        norm = gradient_norm(optimizer)
        self._pending.append(norm.detach())
        if has_scaler:
            return
        if norm.device.type != "cpu":
            zero_unless_finite(parameters, norm)
        elif not torch.isfinite(norm):
            for parameter in parameters:
                parameter.grad = None

    @property
    def has_news(self) -> bool:
        """Whether there were steps since the last `collect`."""
        return bool(self._pending)

    def collect(self) -> int:
        """Bring the norms since the last call to the host, all at once; returns how many they are."""
        if self._pending:
            self.norms.extend(torch.stack(self._pending).tolist())
        count = len(self._pending)
        self._pending = []
        return count


def zero_unless_finite(parameters: Sequence[Tensor], norm: Tensor) -> None:
    """Write zeros over all gradients if their norm, a scalar, is not finite; without waiting for a device."""
    bad = ~torch.isfinite(norm)
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.masked_fill_(bad.to(parameter.device, non_blocking=True), 0.0)
