"""Sums of decaying sinusoids under moving envelopes: the fast part of a differentiable piano.

Time is cut into chunks of `FRAMES` hops. Within a chunk a component's amplitude is known at the hops, as a
complex number whose angle is its phase; between them it is interpolated linearly under the sinusoid itself.
So a chunk is one matrix product: (frames, 2 K) @ (2 K, 2 hops), for K components of all notes together.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

FRAMES = 64
"""Hops in a chunk; a square, so that powers are products of two short tables of 8."""

SIDE = 8


class Components(NamedTuple):
    """Two-stage decaying sinusoids, N x K of them: K in each of N chunks.

    Attributes:
        turns: (N, K, 2) cycles per sample of both stages.
        samples: (N, K) int64, samples from the note's onset to the chunk's start; negative before it.
        fraction: (N, K) part of a sample by which the onset is later still.
        log_amplitude: (N, K, 2) natural logarithm at the onset.
        decay: (N, K, 2) nats per sample.
        phase: (N, K, 2) cycles at the onset.
    """

    turns: Tensor
    samples: Tensor
    fraction: Tensor
    log_amplitude: Tensor
    decay: Tensor
    phase: Tensor


def carriers(turns: Tensor, hop_samples: int) -> Tensor:
    """Sinusoids around a hop, under a triangle: what one amplitude contributes.

    Args:
        turns: (R,) cycles per sample.
        hop_samples: Hop in samples.

    Returns:
        (R, 2, 2 hops): cosine and negative sine.
    """
    columns = -(-2 * hop_samples // SIDE)
    coarse = phasor(turns[:, None] * (SIDE * torch.arange(columns, device=turns.device) - hop_samples))
    fine = phasor(turns[:, None] * torch.arange(SIDE, device=turns.device))
    wave = (coarse[:, :, None] * fine[:, None]).flatten(1)[:, : 2 * hop_samples]  # (R, 2 hops)
    sample = torch.arange(2 * hop_samples, device=turns.device)
    wave = wave * (1.0 - (sample - hop_samples).abs() / hop_samples)
    return torch.stack([wave.real, -wave.imag], 1)


def phasor(cycles: Tensor) -> Tensor:
    """exp(2 pi i cycles), of any shape."""
    angle = cycles * (2.0 * math.pi)
    return torch.complex(angle.cos(), angle.sin())


def exact_cycles(turns: Tensor, samples: Tensor) -> Tensor:
    """Fractional part of `turns * samples`, exact however many samples, without float64.

    The product is taken in whole numbers of 2^-40 cycles, of which only the fraction is kept, so that it
    does not matter that they overflow; the gradient is that of the plain product.

    Args:
        turns: Cycles per sample, 0 to 0.5.
        samples: int64.

    Returns:
        Cycles, float32 in [0, 1).
    """
    scaled = turns.detach() * 65536.0
    high = scaled.floor()
    whole = (high.long() << 24) + ((scaled - high) * 2.0**24).round().long()
    fraction = ((whole * samples) & ((1 << 40) - 1)).to(turns.dtype) * 2.0**-40
    plain = turns * samples.to(turns.dtype)
    return fraction + (plain - plain.detach())


def amplitudes(components: Components, hop_samples: int) -> Tensor:
    """Complex amplitudes at the hops of each chunk, before any envelope: (N, K, FRAMES + 1)."""
    steps = torch.arange(SIDE + 1, device=components.turns.device) * (SIDE * hop_samples)  # (9,)
    samples = components.samples[..., None, None] + steps  # (N, K, 1, 9)
    cycles = exact_cycles(components.turns[..., None], samples)
    time = samples.float() - components.fraction[..., None, None]
    cycles = cycles - (components.turns * components.fraction[..., None] - components.phase)[..., None]
    level = components.log_amplitude[..., None] - components.decay[..., None] * time
    coarse = level.clamp_max(60.0).exp() * phasor(cycles)  # (N, K, 2, 9)
    fine_steps = torch.arange(SIDE, device=cycles.device) * hop_samples
    fine = (-components.decay[..., None] * fine_steps).exp() * phasor(
        components.turns[..., None] * fine_steps
    )
    both = coarse[..., :, None] * fine[..., None, :]  # (N, K, 2, 9, 8)
    return both.sum(2).flatten(2)[..., : FRAMES + 1]


def synthesise(amplitude: Tensor, envelope: Tensor, carrier: Tensor) -> Tensor:
    """Chunks of waveform.

    Args:
        amplitude: (N, K, C, FRAMES + 1) complex.
        envelope: (N, K, FRAMES + 1) real.
        carrier: (N, K, 2, 2 hops), see `carriers`.

    Returns:
        (N, C, FRAMES * hops).
    """
    channels, frames = amplitude.shape[2:]
    enveloped = amplitude * envelope[:, :, None]
    rows = torch.stack([enveloped.real, enveloped.imag], 2).flatten(3).flatten(1, 2)  # (N, 2 K, C J)
    overlapping = torch.bmm(rows.transpose(1, 2), carrier.flatten(1, 2))  # (N, C J, 2 hops)
    before, after = overlapping.unflatten(1, (channels, frames)).chunk(2, -1)
    return (after[:, :, :-1] + before[:, :, 1:]).flatten(2)


def pack(active: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the active entries of each row, side by side.

    On a CPU the result is as wide as the fullest row. On an accelerator that width is not known without
    waiting for it, so there every entry keeps its place.

    Args:
        active: (N, E) bool.

    Returns:
        (N, K) int64 positions, and (N, K) whether each is one of an active entry.
    """
    if active.device.type != "cpu":
        return torch.arange(active.shape[1], device=active.device).expand(active.shape), active
    width = max(1, int(active.sum(1).max()))
    slot = torch.where(active, active.cumsum(1) - 1, width)
    entries = torch.arange(active.shape[1]).expand(active.shape)
    position = active.new_zeros(len(active), width + 1, dtype=torch.long).scatter_(1, slot, entries)[
        :, :width
    ]
    return position, torch.arange(width) < active.sum(1, keepdim=True)
