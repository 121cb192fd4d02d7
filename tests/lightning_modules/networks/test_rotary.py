"""Positions turn as the formula says; the mask shows what lies before."""

import torch
from toy_rotation import turn

from lightning_modules.networks.rotary import later_mask, rotary_angles, rotated


def test_rotations_go_on_where_the_cache_ends() -> None:
    like = torch.zeros(1)
    vector = torch.randn(1, 1, 3, 8, generator=torch.Generator().manual_seed(0))
    found = rotated(vector, *rotary_angles(40, 3, 8, like))
    for index in range(3):
        expected = turn(vector[0, 0, index].tolist(), 40 + index)
        torch.testing.assert_close(found[0, 0, index], torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_the_last_positions_look_at_themselves_and_at_all_before() -> None:
    assert later_mask(2, 4, torch.device("cpu")).tolist() == [[True, True, True, False], [True] * 4]
