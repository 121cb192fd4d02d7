"""Two processes draw what one would, and share statistics with the right gradients."""

from pathlib import Path

import pytest
import torch

from lightning_modules.numerics.processes import (
    gather,
    normal_noise,
    processes,
    share,
    total,
    uniform_noise,
)

CLIPS = torch.arange(24.0).reshape(4, 3, 2)


def test_one_process_is_left_as_it_is():
    assert processes() == share() == (1, 0)
    assert gather(CLIPS) is CLIPS
    assert total(torch.tensor(3.0)).item() == 3.0
    torch.manual_seed(0)
    drawn = uniform_noise(1000, 2, torch.device("cpu"))
    torch.manual_seed(0)
    assert torch.equal(drawn, 2.0 * torch.rand(1000, 2) - 1.0)
    assert -1.0 <= drawn.min() < -0.9 and 0.9 < drawn.max() < 1.0


def work(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    own = CLIPS[2 * rank : 2 * rank + 2].clone().requires_grad_()
    torch.manual_seed(1)
    normal, uniform = normal_noise(own.detach()), uniform_noise(2, 5, torch.device("cpu"))
    gathered = gather(own)
    (gathered.square() * torch.arange(1.0, 5.0).view(4, 1, 1)).sum().backward()
    value = own.detach().mean().requires_grad_()
    summed = total(value)
    summed.square().backward()
    with torch.no_grad():
        alone = share(), gather(own) is own
    result = (normal, uniform, gathered.detach(), own.grad, summed.detach(), value.grad, alone)
    torch.save(result, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("processes"))
    torch.multiprocessing.spawn(work, (folder,), nprocs=2)
    return list(zip(*(torch.load(Path(folder) / f"{rank}.pt") for rank in (0, 1)), strict=True))


def test_draws_are_those_of_one_process(both):
    torch.manual_seed(1)
    assert torch.equal(torch.cat(both[0]), torch.randn(4, 3, 2))
    assert torch.equal(torch.cat(both[1]), 2.0 * torch.rand(4, 5) - 1.0)


def test_gathered_values_and_their_gradients(both):
    assert all(torch.equal(found, CLIPS) for found in both[2])
    # the mean over processes, which distributed training takes, is the gradient that one process has
    expected = 2.0 * CLIPS * torch.arange(1.0, 5.0).view(4, 1, 1)
    torch.testing.assert_close(torch.cat(both[3]) / 2, expected)


def test_totals_and_their_gradients(both):
    expected = CLIPS[:2].mean() + CLIPS[2:].mean()
    assert all(found == expected for found in both[4])
    assert all(gradient / 2 == 2 * expected for gradient in both[5])


def test_evaluation_is_each_processs_own(both):
    assert both[6] == (((1, 0), True), ((1, 0), True))
