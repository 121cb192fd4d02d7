import pytest
import torch
from torch import nn

from lightning_modules.checkpoints.allocation import GRACE_BYTES, AllocationLimit, allocation_allowed
from lightning_modules.errors import CheckpointError


def test_what_is_allowed_grows_with_the_weights():
    assert allocation_allowed({}) == GRACE_BYTES
    assert allocation_allowed({"weight": torch.zeros(1000)}) == GRACE_BYTES + 16 * 4000


def test_a_module_within_the_limit_is_built_as_ever():
    torch.manual_seed(0)
    plain = nn.Linear(10, 10)
    torch.manual_seed(0)
    with AllocationLimit(2**20, "model"):
        limited = nn.Linear(10, 10)
    assert torch.equal(limited.weight, plain.weight)


def test_more_than_the_limit_is_refused_by_name():
    with (
        pytest.raises(CheckpointError, match=r"The model of x\.ckpt asks for 1 MiB and more"),
        AllocationLimit(2**20, "model of x.ckpt"),
    ):
        torch.zeros(2**18 + 1)


def test_views_and_changes_in_place_are_no_new_memory():
    made = torch.zeros(1000)
    with AllocationLimit(100, "model") as limit:
        made.view(10, 100).add_(1.0)
    assert limit.taken == 0
