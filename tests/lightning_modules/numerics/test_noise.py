"""Draws that depend on a seed alone."""

import numpy as np
import torch

from lightning_modules.numerics.noise import seeded_noise

CPU = torch.device("cpu")


def drawn(seed: int, clip: int | None = None) -> torch.Tensor:
    with seeded_noise(seed, CPU, clip):
        return torch.rand(3)


def test_the_draws_are_the_seeds_own() -> None:
    expected = torch.rand(3, generator=torch.Generator().manual_seed(5))
    state = torch.get_rng_state()
    assert torch.equal(drawn(5), expected)
    assert torch.equal(torch.get_rng_state(), state), "no trace is left"


def test_a_clips_draws_are_of_seed_and_number() -> None:
    (mixed,) = np.random.SeedSequence([1, 2]).generate_state(1, np.uint64)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(int(mixed)))
    assert torch.equal(drawn(1, 2), expected)
    pairs = [(1, 2), (2, 1), (1, 3), (0, 2), (21, 0), (1, None)]
    assert len({tuple(drawn(*pair).tolist()) for pair in pairs}) == len(pairs)
