"""Random numbers that depend on a seed alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded_noise(seed: int, device: torch.device, clip: int | None = None) -> Iterator[None]:
    """Within, torch draws from `seed`; afterwards, its generators are where they were.

    Args:
        seed: Of the draws.
        device: Where is drawn, beside the CPU.
        clip: Number of a clip, which the draws then depend on too: clip 3 is the same whether it is one of
            four or one of a hundred.
    """
    state = seed if clip is None else np.random.SeedSequence([seed, clip]).generate_state(1, np.uint64)[0]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(state))
        yield
