"""The better direction of a score, known by its name; no other place says it."""

from typing import Literal

Direction = Literal["min", "max"]

_NEITHER = ("critic", "generator", "nearest_training_distance")
"""Losses of networks that play against each other; a distance that is bad when small and when large."""
_LOWER = ("loss", "distance", "frechet", "mmd", "negative_log_likelihood", "spectral")
_HIGHER = (
    "si_sdr",
    "elbo",
    "log_likelihood",
    "iwae",
    "f_score",
    "correlation",
    "similarity",
    "active_units",
)


def better_direction(name: str) -> Direction | None:
    """Whether a smaller (`min`) or a larger (`max`) value of a logged scalar is better; None if neither.

    A new score is known if its name says what it is: a `…_distance`, an `…_f_score`. Scalars that only show
    how a run goes (a KL term, a learning rate, the critic's scores) have no better or worse.

    Args:
        name: As logged, e.g. `val/log_mel_distance` or `test/samples/mmd_crepe`.
    """
    stage, _, score = name.partition("/")
    if stage not in ("train", "val", "test"):
        return None
    return score_direction(score.rpartition("/")[2] if stage == "test" else score)


def score_direction(score: str) -> Direction | None:
    """The same for a name without its stage, e.g. `log_mel_distance`."""
    if score.startswith(_NEITHER):
        return None
    if any(part in score for part in _LOWER):
        return "min"
    return "max" if any(part in score for part in _HIGHER) else None
