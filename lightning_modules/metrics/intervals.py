"""Confidence intervals of scores by bootstrap over clips, and the score of two halves of real clips."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

CONFIDENCE = 0.95
SetDistance = Callable[[Tensor, Tensor], Tensor]
"""(N, E, F) and (N', E', F) vectors of clips -> scalar."""


class Interval(NamedTuple):
    """A score and its confidence interval: where it would lie had other clips been drawn.

    Attributes:
        value: The score.
        low: Lower end of the 95% interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def bootstrap_mean(values: Tensor, replicates: int = 1000, seed: int = 0) -> Interval:
    """Mean of clips' values (N,), with its percentile bootstrap interval (Efron 1979)."""
    values = values.cpu().double()
    drawn = torch.randint(len(values), (replicates, len(values)), generator=_generator(seed))
    return _interval(values.mean(), values[drawn].mean(1))


def bootstrap_distance(
    distance: SetDistance,
    clips: Tensor,
    others: Tensor,
    paired: bool = False,
    replicates: int = 50,
    seed: int = 0,
) -> Interval:
    """Distance of two sets of clips, with the interval of a bootstrap that draws whole clips.

    A resampled set has fewer different clips, which alone raises distances: the replicates are shifted so
    that their median lies on the value.

    Args:
        distance: Of two sets.
        clips: (N, E, F).
        others: (N', E', F).
        paired: Whether clip n of one set belongs to clip n of the other, and they are drawn together.
        replicates: How many times to draw.
        seed: Of the draws.
    """
    generator = _generator(seed)
    value = distance(clips, others)
    drawn = []
    for _ in range(replicates):
        rows = torch.randint(len(clips), (len(clips),), generator=generator)
        other_rows = rows if paired else torch.randint(len(others), (len(others),), generator=generator)
        drawn.append(distance(clips[rows], others[other_rows]).cpu().double())
    replicated = torch.stack(drawn)
    return _interval(value.cpu(), replicated - replicated.median() + value.cpu().double())


def split_half_floor(distance: SetDistance, clips: Tensor, splits: int = 20, seed: int = 0) -> Interval:
    """Distance between two random halves of real clips (N, E, F), N >= 2: median and spread over splits.

    It is what a perfect model would get with half as many clips; a Fréchet distance of N clips may lie below.
    """
    generator = _generator(seed)
    half = len(clips) // 2
    drawn = []
    for _ in range(splits):
        order = torch.randperm(len(clips), generator=generator)
        drawn.append(distance(clips[order[:half]], clips[order[half:]]).cpu().double())
    replicated = torch.stack(drawn)
    return _interval(replicated.median(), replicated)


def _interval(value: Tensor, replicated: Tensor) -> Interval:
    tail = (1.0 - CONFIDENCE) / 2.0
    ends = torch.tensor([tail, 1.0 - tail], dtype=torch.float64)
    low, high = torch.quantile(replicated.double(), ends).tolist()
    return Interval(value.item(), low, high)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
