"""Several processes that train together as one would: the same draws, and statistics of the whole batch.

torch alone, no Lightning.
"""

import torch
from torch import Tensor


def processes() -> tuple[int, int]:
    """How many processes there are, and which of them this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0


def share() -> tuple[int, int]:
    """How many processes train on this batch together, and which of them this is.

    Evaluation (without gradients), where the processes' batches may differ in size, is one process's own.
    """
    return processes() if torch.is_grad_enabled() else (1, 0)


def normal_noise(like: Tensor) -> Tensor:
    """Standard normal noise of the shape (B, ...), dtype and device of `like`.

    In training it is this process's part of what one process would draw for the batches of all: processes
    start from one seed, and would else give the same noise to different clips.
    """
    world, rank = share()
    if world == 1:
        return torch.randn_like(like)
    # drawn in the order that `like` lies in memory, as `randn_like` does: clip by clip
    strides = torch.empty_like(like).stride()
    shape = (world * len(like), *like.shape[1:])
    noise = torch.empty_strided(shape, strides, dtype=like.dtype, device=like.device).normal_()
    return noise[rank * len(like) : (rank + 1) * len(like)]


def uniform_noise(num_clips: int, size: int, device: torch.device) -> Tensor:
    """(num_clips, size) uniform in (-1, 1): this process's part of what one process would draw for all."""
    world, rank = processes()
    draws = 2.0 * torch.rand(world * num_clips, size, device=device) - 1.0
    return draws[rank * num_clips : (rank + 1) * num_clips]


def gather(value: Tensor) -> Tensor:
    """(B, ...) of this process -> (processes * B, ...) of all that train, differentiable.

    The gradient flows into this process's part alone, times the number of processes: distributed training
    takes the mean of their gradients where the sum is due.
    """
    world, rank = share()
    if world == 1:
        return value
    parts = [torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(world)]
    torch.distributed.all_gather(parts, value.detach().contiguous())
    if value.requires_grad:
        parts[rank] = value.clone()
        parts[rank].register_hook(lambda gradient: gradient * world)
    return torch.cat(parts)


def total(value: Tensor) -> Tensor:
    """Sum of a scalar over all processes that train, differentiable as `gather` is."""
    return gather(value[None]).sum()
