"""The loader: whole batches, a state that is the sampler's, and no use of the global random numbers."""

import numpy as np
import pytest
import torch

from datamodules.batch import PcmBatch
from datamodules.clips.datasets import ClipSelection
from datamodules.clips.loader import clip_loader
from datamodules.clips.samplers import TrainingSampler


class Clips(torch.utils.data.Dataset):
    """Batches that say which clips they are made of."""

    num_clips = 12

    def __len__(self) -> int:
        return 3

    def __getitem__(self, selection: ClipSelection) -> PcmBatch:
        number = torch.from_numpy(selection.number)
        pcm = torch.zeros(len(number), 1, 8, dtype=torch.int16)
        return PcmBatch(pcm, torch.ones(len(number)), number, number + 100 * selection.epoch)


def numbers(loader: object) -> list[list[int]]:
    return [batch.start_sample.tolist() for batch in loader]  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_batches_and_the_samplers_state(workers: int) -> None:
    clips = Clips()
    loader = clip_loader(clips, TrainingSampler(clips, 4), workers, pin_memory=False, prefetch_batches=1)
    loader.sampler.set_epoch(1)
    assert numbers(loader) == (100 + np.arange(12)).reshape(3, 4).tolist()
    state = {**loader.state_dict(), "first_batch": 2}
    loader.load_state_dict(state)
    assert numbers(loader) == [[108, 109, 110, 111]]


def test_iterating_draws_no_global_random_numbers() -> None:
    clips = Clips()
    loader = clip_loader(clips, TrainingSampler(clips, 4), 0, pin_memory=False)
    before = torch.get_rng_state()
    numbers(loader)
    assert torch.equal(torch.get_rng_state(), before)
