"""A copy of a network whose weights are the average of its recent ones."""

import copy

import torch
from torch import Tensor, nn


def warmed_decay(decay: float, updates: int | Tensor) -> float | Tensor:
    """Share of the old average in the new one: min(decay, (1 + t) / (10 + t)) after t updates.

    Early averages are short, so that the random weights of the start are soon forgotten.

    Args:
        decay: The share after many updates, in [0, 1).
        updates: t; a tensor gives a tensor, without waiting for its device.
    """
    ramp = (1 + updates) / (10 + updates)
    return ramp.clamp_max(decay) if isinstance(ramp, Tensor) else min(decay, ramp)


class MovingAverage(nn.Module):
    """Exponential moving average of a network's weights; the copy shares no storage with it.

    Args:
        network: What is copied.
        decay: As `warmed_decay` takes it.
    """

    updates: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("updates", torch.tensor(0))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the present weights of `network`; its buffers are copied."""
        share = torch.as_tensor(1.0 - warmed_decay(self.decay, self.updates))
        for average, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(weight, share.to(average.dtype))
        for copied, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            copied.copy_(buffer)
        self.updates += 1
