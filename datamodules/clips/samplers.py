"""Which clips make up each batch: from the epoch, the device and the position in the epoch alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DistributedSampler

from datamodules.clips.datasets import ClipSelection, IntArray, WholeBatches


class BatchSampler(DistributedSampler[ClipSelection], ABC):
    """Decides which clips make up each batch of this device.

    Being a `DistributedSampler`, Lightning calls its `set_epoch` and does not replace it.

    Args:
        dataset: The clips, or windows of tokens.
        batch_size: Clips in a batch of one device.
        num_replicas: Number of devices.
        rank: This device.
    """

    def __init__(
        self, dataset: WholeBatches[Any], batch_size: int, num_replicas: int = 1, rank: int = 0
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)
        self.batch_size = batch_size
        self.num_clips = dataset.num_clips
        self._first_batch = 0

    def state_dict(self) -> dict[str, int]:
        """Epoch and the batch that iteration starts at, for `load_state_dict`.

        How many batches were used is not known here: workers fetch ahead. Who saves in the middle of an epoch
        puts `epoch` and `first_batch` right.
        """
        return {
            "epoch": self.epoch,
            "first_batch": self._first_batch,
            "clips_per_batch": self.batch_size * self.num_replicas,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration in the middle of an epoch; later ones start at their beginning.

        With another batch size or number of devices than at saving, it starts at the batch that holds the
        first clip not yet used.
        """
        self.epoch = state["epoch"]
        clips_per_batch = self.batch_size * self.num_replicas
        self._first_batch = state["first_batch"] * state["clips_per_batch"] // clips_per_batch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; another one than that of a loaded state starts at its beginning."""
        if epoch != self.epoch:
            self._first_batch = 0
        super().set_epoch(epoch)

    def __len__(self) -> int:
        """Batches of one device in an epoch, rounded up."""
        return -(-self.num_clips // (self.batch_size * self.num_replicas))

    def __iter__(self) -> Iterator[ClipSelection]:
        epoch, first, self._first_batch = self.epoch, self._first_batch, 0
        for batch in range(first, len(self)):
            yield ClipSelection(epoch, self._numbers(batch))

    @abstractmethod
    def _numbers(self, batch: int) -> IntArray:
        """(B,) clip numbers of this device's batch."""


class TrainingSampler(BatchSampler):
    """Full batches only: an epoch is rounded up to whole batches of all devices.

    The batches of all devices at one step together hold consecutive clip numbers: two devices with batches
    of 8 train on the clips that one device with batches of 16 would.
    """

    def _numbers(self, batch: int) -> IntArray:
        first = (batch * self.num_replicas + self.rank) * self.batch_size
        return np.arange(first, first + self.batch_size, dtype=np.int64)


class EvaluationSampler(BatchSampler):
    """Every clip once, in batches of nearly equal size, equally many on each device.

    Devices must take the same number of steps. Instead of repeating clips to that end, which would count
    them twice, batches are a little smaller; a clip repeats only where a batch would be empty.
    """

    def _numbers(self, batch: int) -> IntArray:
        share = np.arange(self.rank, self.num_clips, self.num_replicas, dtype=np.int64)
        missing = max(0, len(self) - len(share))
        repeated = np.arange(self.rank, self.rank + missing, dtype=np.int64) % self.num_clips
        return np.array_split(np.concatenate([share, repeated]), len(self))[batch]


def replica_of(trainer: pl.Trainer | None) -> tuple[int, int]:
    """Number of devices that a data module's Trainer has, and which of them this is; (1, 0) without one."""
    return (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
