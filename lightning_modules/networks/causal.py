"""A causal network over latent frames: parallel where the past is given, one frame at a time where not."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError


class CausalBlock(nn.Module):
    """Residual block: a dilated convolution over this frame and earlier ones, then a layer at each frame.

    Args:
        hidden_size: Features H.
        kernel_size: Frames the convolution reads.
        dilation: Distance between them in frames.
        expansion: Width of the inner layer over H.
    """

    def __init__(self, hidden_size: int, kernel_size: int, dilation: int, expansion: int = 2) -> None:
        super().__init__()
        self.past_frames = (kernel_size - 1) * dilation
        inner = expansion * hidden_size
        self.norm = nn.LayerNorm(hidden_size)
        self.expand = nn.Conv1d(hidden_size, inner, kernel_size, dilation=dilation)
        self.project = nn.Conv1d(inner, hidden_size, 1)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, hidden: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Refine frames.

        Args:
            hidden: (B, H, L).
            past: (B, H, `past_frames`), the second result for the frames before; None before the first.

        Returns:
            (B, H, L), and what to give as `past` with the frames that follow.
        """
        normed = self.norm(hidden.transpose(1, 2)).transpose(1, 2)
        seen = (
            functional.pad(normed, (self.past_frames, 0))
            if past is None
            else torch.cat([past, normed], dim=2)
        )
        output = hidden + self.project(functional.gelu(self.expand(seen)))
        return output, seen[..., seen.shape[2] - self.past_frames :]


class CausalNetwork(nn.Module):
    """Dilated causal convolutions (WaveNet: van den Oord et al. 2016) over latent frames.

    Frame l of the output depends on frames up to l of the input, and on `receptive_frames` of them.

    Args:
        input_size: Features per frame of the input.
        output_size: Features per frame of the output; zero at the start but for the last layer's bias.
        hidden_size: Features H between.
        kernel_size: Frames each block reads.
        dilations: Distance between them, block by block.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int = 256,
        kernel_size: int = 3,
        dilations: Sequence[int] = (1, 2, 4, 8, 16),
    ) -> None:
        super().__init__()
        if kernel_size < 2 or not dilations or min(dilations) < 1:
            raise OptionError(
                "CausalNetwork needs kernel_size >= 2 and dilations >= 1, "
                f"got kernel_size={kernel_size}, dilations={list(dilations)}",
                "kernel_size 3 with dilations 1, 2, 4, … sees far at little cost",
            )
        self.input = nn.Conv1d(input_size, hidden_size, 1)
        self.blocks = nn.ModuleList(CausalBlock(hidden_size, kernel_size, dilation) for dilation in dilations)
        self.receptive_frames = 1 + (kernel_size - 1) * sum(dilations)
        self.norm = nn.LayerNorm(hidden_size)
        self.output = nn.Conv1d(hidden_size, output_size, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, frames: Tensor, past: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Run over frames.

        Args:
            frames: (B, `input_size`, L).
            past: The second result for the frames before; None before the first.

        Returns:
            (B, `output_size`, L), and what to give as `past` with the frames that follow.
        """
        hidden = self.input(frames)  # (B, H, L)
        seen = []
        for number, block in enumerate(self.blocks):
            hidden, kept = block(hidden, None if past is None else past[number])
            seen.append(kept)
        return self.output(self.norm(hidden.transpose(1, 2)).transpose(1, 2)), seen
