"""Which token is drawn how often, by hand."""

import numpy as np
import pytest

from lightning_modules.numerics.nucleus import draw

SCORES = np.log([0.5, 0.2, 0.2, 0.1])
ALL = np.ones(4, dtype=bool)


@pytest.mark.parametrize(
    ("temperature", "top_p", "allowed", "shares"),
    [
        (1.0, 1.0, ALL, [0.5, 0.2, 0.2, 0.1]),
        (1.0, 0.7, ALL, [5 / 7, 2 / 7, 0, 0]),  # two reach it together
        (1.0, 0.71, ALL, [5 / 9, 2 / 9, 2 / 9, 0]),
        (1.0, 0.01, ALL, [1, 0, 0, 0]),
        (0.5, 1.0, ALL, [25 / 34, 4 / 34, 4 / 34, 1 / 34]),
        (0.0, 1.0, ALL, [1, 0, 0, 0]),
        (1.0, 1.0, np.array([False, True, False, True]), [0, 2 / 3, 0, 1 / 3]),
        (1.0, 0.5, np.array([False, False, False, True]), [0, 0, 0, 1]),
    ],
)
def test_shares_by_hand(temperature, top_p, allowed, shares) -> None:
    places = (np.arange(3400) + 0.5) / 3400
    drawn = [draw(SCORES, allowed, place, temperature, top_p) for place in places]
    assert np.bincount(drawn, minlength=4) / 3400 == pytest.approx(shares, abs=1e-3)


def test_the_last_place_is_a_token_that_is_allowed() -> None:
    assert draw(SCORES, np.array([True, False, True, False]), 1.0 - 2**-53, 1.0, 1.0) == 2
