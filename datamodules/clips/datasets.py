"""Fixed-length clips out of the cache: random for training, a regular grid for evaluation.

Datasets hand out whole batches, filled in place: one allocation and one copy per clip, no per-clip objects
to collate. Which clips make a batch is decided by `datamodules.clips.samplers`.
"""

import hashlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datamodules.batch import PcmBatch
from datamodules.cache.pcm import PcmCache
from datamodules.clips.notes import ClipNotes
from datamodules.options import gain_range

IntArray = NDArray[np.int64]
Item = TypeVar("Item")

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class ClipSelection(NamedTuple):
    """Which clips make up a batch.

    Attributes:
        epoch: Epoch, counted from 0; evaluation clips ignore it.
        number: (B,) int64, clip numbers within the epoch.
    """

    epoch: int
    number: IntArray


class ClipPlan(NamedTuple):
    """Where the clips of a batch lie.

    Attributes:
        row: (B,) int64, index of the performance in the cache.
        start: (B,) int64, first sample.
        gain: (B,) float32, factor to apply.
    """

    row: IntArray
    start: IntArray
    gain: NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training clips.

    Attributes:
        gain_db: Lowest and highest gain in dB, drawn uniformly; None for none.
        flip_polarity: Whether to negate half of the clips; inaudible, and removes any offset.

    Raises:
        OptionError: If `gain_db` is no range.
    """

    gain_db: tuple[float, float] | None = None
    flip_polarity: bool = False

    def __post_init__(self) -> None:
        if self.gain_db is not None:
            gain_range("gain_db", self.gain_db)

    def gains(self, seed: int, epoch: int, number: IntArray) -> NDArray[np.float32]:
        """(B,) float32 factors, a pure function of the arguments."""
        gain = np.ones(len(number))
        if self.gain_db is not None:
            low, high = self.gain_db
            gain = 10 ** ((low + (high - low) * uniform(seed, epoch, number, stream=1)) / 20)
        if self.flip_polarity:
            gain = np.where(uniform(seed, epoch, number, stream=2) < 0.5, -gain, gain)
        return gain.astype(np.float32)


def uniform(seed: int, epoch: int, number: IntArray, stream: int) -> NDArray[np.float64]:
    """Random numbers in [0, 1) that depend on nothing but the arguments.

    Clip n takes output n of the generator SplitMix64 (Steele, Lea and Flood 2014), whose state after n steps
    is known in closed form; it starts from a hash of the other arguments. So no order of calls is needed,
    and any worker or device computes any clip.

    Args:
        seed: Seed of the run.
        epoch: Epoch.
        number: (B,) clip numbers within the epoch.
        stream: Tells apart the uses: 0 position, 1 gain, 2 polarity.

    Returns:
        (B,) float64.
    """
    digest = hashlib.blake2b(f"{seed}:{epoch}:{stream}".encode(), digest_size=8).digest()
    state = np.frombuffer(digest, dtype="<u8")
    bits = _mix64(state + (number + 1).astype(np.uint64) * _GOLDEN_GAMMA)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix64(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function, a bijection of 64-bit numbers; arithmetic wraps around."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


class _BufferPool:
    """Memory for batches, used again once nothing refers to the batch any more.

    A fresh buffer of a few megabytes costs more than filling it: the C library hands the memory back to the
    kernel at every release, and the kernel clears each page again at the next use.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.int16]] = []

    def take(self, shape: tuple[int, int, int]) -> NDArray[np.int16]:
        """An array of `shape` with arbitrary content; its memory comes back when the array is collected.

        A tensor made by `torch.from_numpy` keeps the array alive for as long as its storage lives.
        """
        buffer = self._free.pop() if self._free else np.empty(shape, dtype=np.int16)
        if buffer.shape != shape:
            buffer = np.empty(shape, dtype=np.int16)
        array = buffer[:]
        weakref.finalize(array, self._free.append, buffer)
        return array

    def __getstate__(self) -> dict[str, list[NDArray[np.int16]]]:
        return {"_free": []}


class WholeBatches(Dataset[Item], ABC):
    """A dataset that hands out whole batches: those that a sampler selects, or by number.

    Args:
        num_clips: Clips in an epoch.
        batch_size: Clips in a batch, for access by batch number.
    """

    def __init__(self, num_clips: int, batch_size: int) -> None:
        self.num_clips = num_clips
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Number of batches that a single device sees in an epoch."""
        return -(-self.num_clips // self.batch_size)

    def __getitem__(self, selection: ClipSelection | int) -> Item:
        """A batch: the selected clips, or the batch of that number in epoch 0."""
        if not isinstance(selection, ClipSelection):
            first = selection * self.batch_size
            last = min(first + self.batch_size, self.num_clips)
            selection = ClipSelection(0, np.arange(first, last, dtype=np.int64))
        return self.read(selection)

    @abstractmethod
    def read(self, selection: ClipSelection) -> Item:
        """The selected clips."""


class ClipDataset(WholeBatches[PcmBatch]):
    """Batches of clips.

    Args:
        cache: Where the samples are.
        rows: Performances to use: indices into the cache. All must be at least `clip_samples` long.
        clip_samples: Length T of a clip.
        num_clips: Clips in an epoch.
        batch_size: Clips in a batch, for access by batch number.
        notes: The performances' notes, to go with the clips; None for clips without them.
    """

    def __init__(
        self,
        cache: PcmCache,
        rows: Sequence[int],
        clip_samples: int,
        num_clips: int,
        batch_size: int,
        notes: ClipNotes | None = None,
    ) -> None:
        super().__init__(num_clips, batch_size)
        self.cache = cache
        self.rows = np.array(rows, dtype=np.int64)
        self.clip_samples = clip_samples
        self.notes = notes
        self._buffers = _BufferPool()

    @abstractmethod
    def plan(self, selection: ClipSelection) -> ClipPlan:
        """Where the selected clips lie."""

    def read(self, selection: ClipSelection) -> PcmBatch:
        """The selected clips."""
        plan = self.plan(selection)
        target = self._buffers.take((len(plan.row), self.cache.spec.channels, self.clip_samples))
        for position, (row, start) in enumerate(zip(plan.row.tolist(), plan.start.tolist(), strict=True)):
            target[position] = self.cache.pcm(row)[start : start + self.clip_samples].T
        pcm, gain, row, start = map(torch.from_numpy, (target, plan.gain, plan.row, plan.start))
        batch = PcmBatch(pcm, gain, row, start)
        if self.notes is None:
            return batch
        return batch._replace(notes=self.notes.batch(plan.row, plan.start, plan.gain, self.clip_samples))


class TrainingClips(ClipDataset):
    """Clips at random positions, every valid position of every performance equally likely.

    Args:
        cache: Where the samples are.
        rows: Performances to use.
        clip_samples: Length T of a clip.
        num_clips: Clips in an epoch.
        batch_size: Clips in a batch, for access by batch number.
        seed: With the epoch and the clip's number, decides everything about the clip.
        augmentation: Random changes.
        notes: The performances' notes, to go with the clips.
    """

    def __init__(
        self,
        cache: PcmCache,
        rows: Sequence[int],
        clip_samples: int,
        num_clips: int,
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
        notes: ClipNotes | None = None,
    ) -> None:
        super().__init__(cache, rows, clip_samples, num_clips, batch_size, notes)
        self.seed = seed
        self.augmentation = augmentation
        counts = cache.samples[self.rows] - clip_samples + 1  # (P,) valid positions of each performance
        self._end = np.cumsum(counts)
        self._begin = self._end - counts

    def plan(self, selection: ClipSelection) -> ClipPlan:  # noqa: D102
        epoch, number = selection
        position = (uniform(self.seed, epoch, number, stream=0) * self._end[-1]).astype(np.int64)
        choice = np.searchsorted(self._end, position, side="right")
        gain = self.augmentation.gains(self.seed, epoch, number)
        return ClipPlan(self.rows[choice], position - self._begin[choice], gain)


class EvaluationClips(ClipDataset):
    """Every performance cut into adjacent clips from its beginning; a shorter rest is left out.

    Args:
        cache: Where the samples are.
        rows: Performances to use.
        clip_samples: Length T of a clip.
        batch_size: Clips in a batch, for access by batch number.
        notes: The performances' notes, to go with the clips.
    """

    def __init__(
        self,
        cache: PcmCache,
        rows: Sequence[int],
        clip_samples: int,
        batch_size: int,
        notes: ClipNotes | None = None,
    ) -> None:
        counts = cache.samples[np.array(rows, dtype=np.int64)] // clip_samples  # (P,)
        super().__init__(cache, rows, clip_samples, int(counts.sum()), batch_size, notes)
        self._row = np.repeat(self.rows, counts)
        self._start = np.concatenate([np.arange(count, dtype=np.int64) * clip_samples for count in counts])

    def plan(self, selection: ClipSelection) -> ClipPlan:  # noqa: D102
        number = selection.number
        return ClipPlan(self._row[number], self._start[number], np.ones(len(number), dtype=np.float32))
