"""A loader that can be saved and continued inside an epoch."""

from typing import Any

import torch
from torch.utils.data import DataLoader

from datamodules.batch import PcmBatch, TokenBatch
from datamodules.clips.datasets import WholeBatches
from datamodules.clips.samplers import BatchSampler


class ClipLoader(DataLoader[PcmBatch | TokenBatch]):
    """Loads the batches that a sampler chooses; its state is the sampler's.

    Starting an iteration draws nothing from torch's global random numbers, as `DataLoader` alone does: a run
    that is continued inside an epoch starts one more iteration than a run that is not.
    """

    sampler: BatchSampler

    def state_dict(self) -> dict[str, int]:
        """See `BatchSampler.state_dict`."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """See `BatchSampler.load_state_dict`."""
        self.sampler.load_state_dict(state)


def clip_loader(
    clips: WholeBatches[Any],
    sampler: BatchSampler,
    workers: int,
    pin_memory: bool,
    prefetch_batches: int | None = None,
) -> ClipLoader:
    """A loader of whole batches.

    Args:
        clips: Where they come from.
        sampler: Which clips make each batch.
        workers: Processes; 0 for none.
        pin_memory: Whether to copy batches into page-locked memory, from which a GPU copies faster.
        prefetch_batches: Batches that each worker loads ahead; None for torch's default of 2.
    """
    return ClipLoader(
        clips,
        # the dataset returns whole batches, one for each item of the sampler
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
        prefetch_factor=prefetch_batches if workers > 0 else None,
        generator=torch.Generator(),
    )
