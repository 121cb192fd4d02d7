"""Metrics whose sums are kept in float64, on every device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_modules.numerics.precision import has_float64


class Float64Metric(Metric):
    """A metric with states of float64, which stay on the CPU when it moves to a device that has none.

    What is added to them comes from `to_float64`, which is then on the CPU too.
    """

    def _apply(self, fn: Callable[..., Tensor], exclude_state: Sequence[str] = "") -> Any:  # noqa: ANN401
        def but_float64(value: Tensor) -> Tensor:
            return value if value.dtype == torch.float64 else fn(value)

        keeps = not has_float64(fn(torch.zeros(0)).device)
        return super()._apply(but_float64 if keeps else fn, exclude_state)
