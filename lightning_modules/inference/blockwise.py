"""Reconstruction of audio of any length in overlapping blocks, equal to that of the whole.

A block is reconstructed together with its surroundings, as far as the model looks, and these are dropped
from the result: no cross-fade, no seam. How far it looks is measured by differentiation.
"""

import inspect
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.base import Reconstructs

BLOCK_SECONDS = 20.0
_SHORTEST_PROBE_SECONDS, _LONGEST_PROBE_SECONDS = 2.0, 60.0


class Block(NamedTuple):
    """A stretch of audio and what the model makes of it.

    Attributes:
        original: (B, C, T).
        reconstruction: (B, C, T).
    """

    original: Tensor
    reconstruction: Tensor


def context_samples(module: Reconstructs) -> int | None:
    """Largest distance of a sample from a latent frame, to either side, at which it matters to the output.

    Measured: from the output of one frame amid noise, gradients run back to the samples it depends on. The
    noise grows longer until silence is left at both ends.

    Returns:
        A multiple of `module.latent_hop_samples`; None if there is no end to it.
    """
    hop = module.latent_hop_samples
    shortest, longest = (
        max(round(seconds * module.sample_rate / hop), 9)
        for seconds in (_SHORTEST_PROBE_SECONDS, _LONGEST_PROBE_SECONDS)
    )
    frames = shortest
    while frames <= longest:
        reach = _reach(module, frames)
        # a frame to spare at the ends, where padding may hide a dependence
        if reach is not None and reach < (frames // 2 - 1) * hop:
            return -(-reach // hop) * hop
        frames *= 2
    return None


def _reach(module: Reconstructs, frames: int) -> int | None:
    """Samples to either side of the middle of `frames` frames that its output depends on; None if on none."""
    hop = module.latent_hop_samples
    start = frames // 2 * hop
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(1, module.channels, frames * hop, generator=generator)
    with torch.enable_grad():
        waveform = noise.to(module.device).requires_grad_()
        reconstruct = inspect.unwrap(type(module).reconstruct)  # as it was before gradients were taken off
        output = reconstruct(module, waveform)[..., start : start + hop]
        weights = torch.rand(output.shape, generator=generator).to(output)
        (gradient,) = torch.autograd.grad((output * weights).sum(), waveform)
    used = gradient[0].abs().sum(0).nonzero().flatten()  # positions in time
    if len(used) == 0:
        return None
    return max(start - int(used[0]), int(used[-1]) - (start + hop - 1), 0)


@torch.inference_mode()
def reconstruct_stream(
    module: Reconstructs, chunks: Iterable[Tensor], block_samples: int, context: int | None
) -> Iterator[Block]:
    """Reconstruct a stream; the blocks joined equal `module.reconstruct` of the stream as a whole.

    Args:
        module: A model that can reconstruct, in evaluation mode.
        chunks: (B, C, t) each, of any lengths.
        block_samples: Length of a block; rounded up to whole latent frames.
        context: What `context_samples` gives; None for a model that must see all of it at once.

    Yields:
        Blocks on the CPU; memory holds one of them, and twice the context.
    """
    hop = module.latent_hop_samples
    block = -(-block_samples // hop) * hop
    held: list[Tensor] = []
    before = length = 0  # of what is held: context already done, and all of it
    for chunk in chunks:
        held.append(chunk)
        length += chunk.shape[-1]
        while context is not None and length >= before + block + context:
            joined = torch.cat(held, dim=-1)
            yield _block(module, joined[..., : before + block + context], before, block)
            keep_from = max(before + block - context, 0)
            held, length, before = [joined[..., keep_from:]], length - keep_from, before + block - keep_from
    if length > before:
        yield _block(module, torch.cat(held, dim=-1), before, length - before)


def _block(module: Reconstructs, waveform: Tensor, before: int, length: int) -> Block:
    """The part of `waveform` that begins after `before` samples, amid its surroundings."""
    reconstruction = module.reconstruct(waveform.to(module.device)).float().cpu()
    kept = slice(before, before + length)
    return Block(waveform[..., kept], reconstruction[..., kept])
