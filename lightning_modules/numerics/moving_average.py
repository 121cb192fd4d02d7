"""A copy of a network whose weights are the average of its recent ones."""

import copy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """Exponential moving average of a network's weights; the copy shares no storage with it.

    Early averages are short, min(decay, (1 + t) / (10 + t)) after t updates, so that the random weights of
    the start are soon forgotten.

    Args:
        network: What is copied.
        decay: Share of the old average in the new one, in [0, 1).
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
        # a tensor throughout: to read the count would be to wait for a GPU
        share = 1.0 - ((1 + self.updates) / (10 + self.updates)).clamp_max(self.decay)
        for average, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(weight, share.to(average.dtype))
        for copied, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            copied.copy_(buffer)
        self.updates += 1
