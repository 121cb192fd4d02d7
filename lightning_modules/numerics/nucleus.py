"""Nucleus sampling: a token drawn from the likeliest ones (Holtzman et al. 2020, arXiv 1904.09751)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

TEMPERATURE = 1.0
TOP_P = 0.95
"""What music is drawn with unless one says otherwise; experiments/README.md has what other values gave."""


def draw(
    logits: ArrayLike, allowed: NDArray[np.bool_], place: float, temperature: float, top_p: float
) -> int:
    """Draw a token.

    Args:
        logits: (V,) log probabilities, up to a constant.
        allowed: (V,) bool, at least one.
        place: In [0, 1): which token, by the cumulative probability of those that may be drawn.
        temperature: Below 1 is more typical, above 1 more varied; 0 takes the likeliest token.
        top_p: The likeliest tokens that together have this probability may be drawn; at least one.
    """
    scores = np.where(allowed, np.asarray(logits, np.float64), -np.inf)
    if temperature == 0.0:
        return int(scores.argmax())
    chance = np.exp((scores - scores.max()) / temperature)
    order = np.argsort(-chance, kind="stable")
    chance = chance[order] / chance.sum()
    total = chance.cumsum()
    count = max(1, int(np.searchsorted(total, top_p, side="left")) + 1)
    total = total[: min(count, int(allowed.sum()))]
    return int(order[min(int(np.searchsorted(total, place * total[-1], side="right")), len(total) - 1)])
