"""Which clips are drawn, and that they are what the cache holds."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.cache.pcm import CacheEntry, CacheSpec, PcmCache, pcm_path
from datamodules.clips.datasets import Augmentation, ClipSelection, EvaluationClips, TrainingClips, uniform

CLIP = 10


@pytest.fixture
def make_cache(tmp_path: Path) -> Callable[..., PcmCache]:
    """A function that makes a cache in which sample s of channel c of performance p is 1000 p + 300 c + s."""

    def make(lengths: list[int], channels: int = 1) -> PcmCache:
        spec = CacheSpec("v3.0.0", 16_000, channels, "catalogue")
        for p, length in enumerate(lengths):
            samples = 1000 * p + np.arange(length)[:, None] + 300 * np.arange(channels)
            pcm_path(tmp_path, f"{p}").write_bytes(samples.astype("<i2").tobytes())
        entries = [CacheEntry(length, 0, "", 44_100, 0) for length in lengths]
        return PcmCache(tmp_path, spec, [f"{p}" for p in range(len(lengths))], entries)

    return make


def training(cache: PcmCache, rows: list[int], **options: object) -> TrainingClips:
    defaults = {"num_clips": 64, "batch_size": 8, "seed": 0, "augmentation": Augmentation()}
    return TrainingClips(cache, rows, CLIP, **{**defaults, **options})  # type: ignore[arg-type]


def numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def splitmix64(state: int, steps: int) -> int:
    """Output number `steps` (from 1) of the generator, by its recurrence, in unbounded integers."""
    mask = 2**64 - 1
    for _ in range(steps):
        state = state + 0x9E3779B97F4A7C15 & mask
    value = state
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def test_uniform_is_splitmix64() -> None:
    import hashlib

    assert splitmix64(1234567, 1) == 6457827717110365317  # the generator's published test vector
    state = int.from_bytes(hashlib.blake2b(b"7:3:1", digest_size=8).digest(), "little")
    expected = [(splitmix64(state, n + 1) >> 11) / 2**53 for n in (0, 1, 50)]
    assert uniform(7, 3, numbers(0, 1, 50), stream=1).tolist() == expected


def test_uniform_is_uniform_and_independent_of_its_arguments() -> None:
    index = np.arange(100_000)
    draws = [
        uniform(0, 0, index, 0),
        uniform(1, 0, index, 0),
        uniform(0, 1, index, 0),
        uniform(0, 0, index, 1),
    ]
    for draw in draws:
        counts, _ = np.histogram(draw, bins=50, range=(0, 1))
        assert ((counts - 2000) ** 2 / 2000).sum() < 100  # chi-square with 49 degrees of freedom
    correlation = np.corrcoef([*draws, np.roll(draws[0], 1)])
    assert np.abs(correlation - np.eye(5)).max() < 0.015


@pytest.mark.parametrize("channels", [1, 2])
def test_a_clip_holds_the_samples_it_names(make_cache: Callable, channels: int) -> None:
    clips = training(make_cache([30, 50, 12], channels), [0, 2])
    batch = clips[ClipSelection(5, np.arange(40))]
    assert batch.pcm.shape == (40, channels, CLIP)
    assert set(batch.performance.tolist()) == {0, 2}
    first = 1000 * batch.performance + batch.start_sample
    expected = first[:, None, None] + 300 * torch.arange(channels)[:, None] + torch.arange(CLIP)
    assert torch.equal(batch.pcm.long(), expected)
    assert torch.equal(batch.gain, torch.ones(40))


def test_every_position_is_equally_likely(make_cache: Callable) -> None:
    """21 + 3 + 1 valid positions: performances count by their positions, and both ends are reached."""
    clips = training(make_cache([30, 12, 10]), [0, 1, 2])
    plan = clips.plan(ClipSelection(0, np.arange(25_000)))
    places, counts = np.unique(np.stack([plan.row, plan.start]), axis=1, return_counts=True)
    expected = [(0, s) for s in range(21)] + [(1, s) for s in range(3)] + [(2, 0)]
    assert list(zip(*places.tolist(), strict=True)) == expected
    assert ((counts - 1000) ** 2 / 1000).sum() < 60  # chi-square with 24 degrees of freedom


def test_clips_depend_on_seed_epoch_and_number_only(make_cache: Callable) -> None:
    cache = make_cache([30, 50])
    clips = training(cache, [0, 1], augmentation=Augmentation((-6, 6), flip_polarity=True))
    batch = clips[ClipSelection(3, np.arange(16))]
    shuffled = clips[ClipSelection(3, numbers(9, 2, 11))]
    for whole, part in zip(batch[:4], shuffled[:4], strict=True):
        assert torch.equal(whole[[9, 2, 11]], part)
    copy = pickle.loads(pickle.dumps(clips))
    assert all(
        torch.equal(a, b) for a, b in zip(batch[:4], copy[ClipSelection(3, np.arange(16))][:4], strict=True)
    )
    other_epoch = clips[ClipSelection(4, np.arange(16))]
    other_seed = training(cache, [0, 1], seed=1)[ClipSelection(3, np.arange(16))]
    assert not torch.equal(batch.start_sample, other_epoch.start_sample)
    assert not torch.equal(batch.start_sample, other_seed.start_sample)


def test_augmentation_leaves_positions_alone(make_cache: Callable) -> None:
    cache, selection = make_cache([30, 50]), ClipSelection(0, np.arange(16))
    plain = training(cache, [0, 1])[selection]
    loud = training(cache, [0, 1], augmentation=Augmentation((6, 6)))[selection]
    assert torch.equal(plain.pcm, loud.pcm)
    torch.testing.assert_close(loud.gain, torch.full((16,), 10**0.3))


def test_gain_is_uniform_in_decibels_and_polarity_is_even() -> None:
    gain = Augmentation((-12.0, -2.0), flip_polarity=True).gains(0, 0, np.arange(20_000))
    assert gain.dtype == np.float32
    decibels = 20 * np.log10(np.abs(gain))
    assert decibels.min() == pytest.approx(-12, abs=0.01) and decibels.max() == pytest.approx(-2, abs=0.01)
    assert decibels.mean() == pytest.approx(-7, abs=0.1)
    assert decibels.std() == pytest.approx(10 / 12**0.5, abs=0.05)
    assert (gain < 0).mean() == pytest.approx(0.5, abs=0.02)


def test_evaluation_clips_are_adjacent(make_cache: Callable) -> None:
    clips = EvaluationClips(make_cache([35, 99, 9, 20]), [0, 2, 3], CLIP, batch_size=2)
    batches = [clips[i] for i in range(len(clips))]
    assert [len(b.pcm) for b in batches] == [2, 2, 1]
    places = [
        (p, s) for b in batches for p, s in zip(b.performance.tolist(), b.start_sample.tolist(), strict=True)
    ]
    assert places == [(0, 0), (0, 10), (0, 20), (3, 0), (3, 10)]
    assert batches[1].pcm[1, 0].tolist() == list(range(3000, 3010))


def test_batches_in_use_are_never_overwritten(make_cache: Callable) -> None:
    clips = training(make_cache([30, 50]), [0, 1])
    kept = [clips[i] for i in range(4)]
    slices = [clips[i].pcm[0] for i in range(4)]  # a view keeps the whole batch alive
    for i in range(4):
        clips[i + 4]
        assert torch.equal(kept[i].pcm, clips[i].pcm)
        assert torch.equal(slices[i], clips[i].pcm[0])


def test_buffers_are_used_again(make_cache: Callable) -> None:
    clips = training(make_cache([30, 50]), [0, 1])
    assert len({clips[i % 8].pcm.data_ptr() for i in range(20)}) == 1
