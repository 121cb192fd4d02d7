from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.cache.pcm import CacheEntry, CacheSpec, PcmCache
from datamodules.clips.datasets import EvaluationClips
from datamodules.clips.samplers import BatchSampler, EvaluationSampler, TrainingSampler

CLIP = 10


@pytest.fixture
def make_clips(tmp_path: Path) -> Callable[[int], EvaluationClips]:
    """A function that makes a dataset of so many clips; their samples are never read here."""

    def make(num_clips: int) -> EvaluationClips:
        entry = CacheEntry(num_clips * CLIP, 0, "", 44_100, 0)
        cache = PcmCache(tmp_path, CacheSpec("v3.0.0", 16_000, 1, "catalogue"), ["a"], [entry])
        return EvaluationClips(cache, [0], CLIP, batch_size=1)

    return make


def take(sampler: BatchSampler, epoch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    selections = list(sampler)
    assert len(selections) == len(sampler)
    assert all(selection.epoch == epoch for selection in selections)
    return [selection.number.tolist() for selection in selections]


def test_training_batches_are_full(make_clips: Callable[[int], EvaluationClips]) -> None:
    sampler = TrainingSampler(make_clips(9), batch_size=4)
    assert take(sampler, 2) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_devices_share_the_batches_of_one(make_clips: Callable[[int], EvaluationClips]) -> None:
    """Two devices with batches of 3 train on what one device with batches of 6 would, step by step."""
    clips = make_clips(13)
    one = take(TrainingSampler(clips, 6), 1)
    two = [take(TrainingSampler(clips, 3, num_replicas=2, rank=rank), 1) for rank in (0, 1)]
    assert [a + b for a, b in zip(*two, strict=True)] == one


@pytest.mark.parametrize("num_clips", [1, 2, 5, 13, 16, 17])
@pytest.mark.parametrize("devices", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_evaluation_covers_every_clip(
    make_clips: Callable[[int], EvaluationClips], num_clips: int, devices: int, batch_size: int
) -> None:
    clips = make_clips(num_clips)
    samplers = [EvaluationSampler(clips, batch_size, devices, rank) for rank in range(devices)]
    per_device = [take(sampler) for sampler in samplers]
    assert len({len(batches) for batches in per_device}) == 1  # or the devices would wait for each other
    assert all(1 <= len(batch) <= batch_size for batches in per_device for batch in batches)
    seen = sorted(number for batches in per_device for batch in batches for number in batch)
    assert set(seen) == set(range(num_clips))
    if batch_size > 1 and num_clips >= devices:
        assert len(seen) == num_clips


def test_sampler_resumes_inside_an_epoch(make_clips: Callable[[int], EvaluationClips]) -> None:
    sampler = TrainingSampler(make_clips(12), batch_size=4)
    whole = take(sampler, 3)
    state = {"epoch": 3, "first_batch": 1, "clips_per_batch": 4}
    sampler.load_state_dict(state)
    assert sampler.state_dict() == state
    sampler.set_epoch(3)
    assert [s.number.tolist() for s in sampler] == whole[1:]
    assert take(sampler, 3) == whole  # later passes start at the beginning
    sampler.load_state_dict(state)
    assert take(sampler, 4) == whole


def test_sampler_resumes_at_the_same_clip_on_other_devices(
    make_clips: Callable[[int], EvaluationClips],
) -> None:
    """6 batches of 4 clips were used, that is 24 clips: batch 3 of two devices with 4 clips each."""
    sampler = TrainingSampler(make_clips(40), batch_size=4, num_replicas=2, rank=1)
    sampler.load_state_dict({"epoch": 0, "first_batch": 6, "clips_per_batch": 4})
    assert next(iter(sampler)).number.tolist() == [28, 29, 30, 31]
