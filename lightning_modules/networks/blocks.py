"""Building blocks that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNeXtBlock(nn.Module):
    """Residual block: depthwise convolution over time, then a two-layer network at each frame.

    Source: Liu et al. 2022, "A ConvNet for the 2020s", in one dimension.

    Args:
        hidden_size: Features H.
        kernel_size: Frames the depthwise convolution sees; odd.
        expansion: Width of the inner layer over H.
        residual_scale: Initial factor on the branch, learned per feature.
    """

    def __init__(
        self, hidden_size: int, kernel_size: int = 7, expansion: int = 3, residual_scale: float = 0.3
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(
            hidden_size, hidden_size, kernel_size, padding=kernel_size // 2, groups=hidden_size
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.expand = nn.Linear(hidden_size, expansion * hidden_size)
        self.project = nn.Linear(expansion * hidden_size, hidden_size)
        self.scale = nn.Parameter(torch.full((hidden_size,), residual_scale))

    def forward(self, hidden: Tensor) -> Tensor:
        """Refine (B, H, L) to (B, H, L)."""
        branch = self.norm(self.depthwise(hidden).transpose(1, 2))  # (B, L, H)
        branch = self.project(functional.gelu(self.expand(branch)))  # (B, L, H)
        return hidden + (self.scale * branch).transpose(1, 2)


def overlap_add(frames: Tensor, hop_samples: int) -> Tensor:
    """Sum frames that overlap by a whole number of hops into a signal.

    Frame l is centred on the hop that it belongs to: with an overlap of r hops it starts (r - 1) / 2 hops
    earlier, and what would fall outside the signal is dropped.

    Args:
        frames: (B, C, L, r * hop_samples).
        hop_samples: Distance between frames in samples; (r - 1) * hop_samples must be even.

    Returns:
        (B, C, L * hop_samples).
    """
    batch, channels, length, frame_samples = frames.shape
    overlap = frame_samples // hop_samples
    pieces = frames.view(batch, channels, length, overlap, hop_samples)
    total = functional.pad(pieces[..., 0, :], (0, 0, 0, overlap - 1))  # (B, C, L + r - 1, hop)
    for shift in range(1, overlap):
        total = total + functional.pad(pieces[..., shift, :], (0, 0, shift, overlap - 1 - shift))
    start = (overlap - 1) * hop_samples // 2
    return total.reshape(batch, channels, -1)[..., start : start + length * hop_samples]
