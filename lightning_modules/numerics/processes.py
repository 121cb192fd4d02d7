"""Statistics of a batch that several processes share, for networks and losses: torch alone, no Lightning.

A single process, and evaluation (without gradients), where the processes' batches may differ in size, are
left as they are.
"""

import torch
from torch import Tensor


def share() -> tuple[int, int]:
    """How many processes train on this batch together, and which of them this is."""
    together = (
        torch.is_grad_enabled() and torch.distributed.is_available() and torch.distributed.is_initialized()
    )
    return (torch.distributed.get_world_size(), torch.distributed.get_rank()) if together else (1, 0)


def normal_noise(like: Tensor) -> Tensor:
    """Standard normal noise of the shape (B, ...), dtype and device of `like`.

    It is this process's part of what one process would draw for the batches of all: processes start from one
    seed, and would else give the same noise to different clips.
    """
    world, rank = share()
    if world == 1:
        return torch.randn_like(like)
    # drawn in the order that `like` lies in memory, as `randn_like` does: clip by clip
    strides = torch.empty_like(like).stride()
    shape = (world * len(like), *like.shape[1:])
    noise = torch.empty_strided(shape, strides, dtype=like.dtype, device=like.device).normal_()
    return noise[rank * len(like) : (rank + 1) * len(like)]


def total(value: Tensor) -> Tensor:
    """Sum of a scalar over all processes, differentiable.

    The gradient flows into this process's part, times the number of processes: distributed training takes the
    mean of their gradients where the sum is due.
    """
    world, _ = share()
    if world == 1:
        return value
    everywhere = value.detach().clone()
    torch.distributed.all_reduce(everywhere)
    return everywhere + world * (value - value.detach())
