"""Rotary positions of attention (Su et al. 2021), and the mask that keeps it from looking ahead."""

import torch
from torch import Tensor

ROTARY_BASE = 10_000.0


def later_mask(length: int, total: int, device: torch.device) -> Tensor:
    """(S, P) bool, what each of the last S of P positions may look at."""
    return torch.ones(length, total, dtype=torch.bool, device=device).tril(total - length)


def rotary_angles(first: int, length: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (S, D / 2) of the angles by which positions from `first` on turn their channels."""
    position = torch.arange(first, first + length, device=like.device, dtype=torch.float32)
    channel = torch.arange(size // 2, device=like.device, dtype=torch.float32)
    angle = position[:, None] * ROTARY_BASE ** (-2.0 * channel / size)
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def rotated(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs (channel c, channel c + D / 2) of (B, heads, S, D) by their position's angles."""
    first, second = heads.chunk(2, dim=-1)
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(heads.dtype)
