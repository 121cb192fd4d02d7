"""Checks of option values, each with an error that names the option, the value and the remedy."""

import math
from collections.abc import Collection
from typing import TypeVar

from datamodules.errors import OptionError

_T = TypeVar("_T")
MOST = 10**9
"""Of clips, samples and tokens."""
MOST_PROCESSES = 1024
LARGEST_SEED = 2**63 - 1


def at_least(name: str, value: int, minimum: int, unit: str, maximum: int = MOST) -> int:
    """Return `value` if it is a whole number of at least `minimum`, and at most `maximum`.

    Raises:
        OptionError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{name}={value!r} is not a whole number", f"give {name} in {unit}, as an integer")
    if value < minimum:
        raise OptionError(f"{name}={value} is too small", f"give at least {minimum} {unit}")
    if value > maximum:
        raise OptionError(f"{name}={value!s:.20} is too large", f"give at most {maximum:,} {unit}")
    return value


def positive(name: str, value: float, maximum: float, unit: str) -> float:
    """Return `value` if it is above 0 and at most `maximum`.

    Raises:
        OptionError: If it is not.
    """
    if not (math.isfinite(value) and 0 < value <= maximum):
        raise OptionError(
            f"{name}={value} is out of range", f"{name} is in {unit}: above 0, and at most {maximum:g}"
        )
    return value


def whole_samples(name: str, seconds: float, sample_rate: int) -> int:
    """Convert a duration of at most an hour to samples, to the nearest.

    Raises:
        OptionError: If that is no sample, or more than an hour.
    """
    samples = round(positive(name, seconds, 3600, "seconds") * sample_rate)
    if samples < 1:
        raise OptionError(f"{name}={seconds} is less than one sample", f"{name} is in seconds, not in hours")
    return samples


def one_of(name: str, value: _T, allowed: Collection[_T]) -> _T:
    """Return `value` if it is allowed.

    Raises:
        OptionError: If it is not.
    """
    if value not in allowed:
        raise OptionError(f"{name}={value!r} is not supported", f"choose from {', '.join(map(str, allowed))}")
    return value


def gain_range(name: str, value: tuple[float, float]) -> tuple[float, float]:
    """Return `value` if it is a range of gains in dB.

    Raises:
        OptionError: If the lower bound is above the upper one, or a bound is beyond 60 dB.
    """
    low, high = value
    if not -60 <= low <= high <= 60:
        raise OptionError(
            f"{name}={tuple(value)} is no range of gains",
            "give the lowest and the highest gain in dB, between -60 and 60, for instance [-6, 0]",
        )
    return low, high
