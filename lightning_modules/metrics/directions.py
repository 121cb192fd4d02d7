"""Which way a logged figure is better."""

from typing import Literal

Direction = Literal["min", "max"]

_LOWER = ("loss", "distance", "frechet", "negative_log_likelihood", "spectral")
_HIGHER = ("si_sdr", "elbo", "log_likelihood", "iwae", "f_score", "correlation", "active_units")


def better_direction(name: str) -> Direction | None:
    """Whether a smaller (`min`) or a larger (`max`) value of a logged figure is better; None if neither.

    What only shows how a run goes (a KL term, a learning rate, the critic's scores, the losses of two
    networks that play against each other) has no better or worse.

    Args:
        name: As logged, e.g. `val/log_mel_distance`.
    """
    stage, _, figure = name.partition("/")
    if stage not in ("train", "val", "test") or figure.startswith(("critic", "generator")):
        return None
    for parts, direction in ((_LOWER, "min"), (_HIGHER, "max")):
        if any(part in figure for part in parts):
            return direction  # type: ignore[return-value]
    return None
