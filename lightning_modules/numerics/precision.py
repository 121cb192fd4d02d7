"""Full precision within mixed precision, and float64 where a device has none."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

WITHOUT_FLOAT64 = ("mps",)
"""Kinds of devices that know no float64: Apple's GPUs."""


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Context without autocast; in a graph that is being exported, which has none, nothing at all."""
    if torch.compiler.is_exporting():
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def has_float64(device: torch.device) -> bool:
    """Whether tensors of float64 can lie there."""
    return device.type not in WITHOUT_FLOAT64


def to_float64(value: Tensor) -> Tensor:
    """In float64, and on the CPU if its device has none."""
    return (value if has_float64(value.device) else value.cpu()).double()
