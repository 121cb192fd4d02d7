"""Simple models of tokens, by hand."""

import math

import numpy as np
import pytest

from lightning_modules.metrics.token_models import compressed_nats, ngram_nats


def test_even_odds():
    assert ngram_nats([[0, 0]], [[0, 1, 2]], -1, 8) == pytest.approx(3 * math.log(8))


def test_order_0_by_hand():
    """Counts 2 and 1 of two kinds among five tokens: (count + 2 / 5) / (3 + 2)."""
    nats = ngram_nats([[3, 3, 4]], [[3, 0]], 0, 5)
    assert nats == pytest.approx(-math.log(2.4 / 5) - math.log(0.4 / 5))


def test_order_1_by_hand():
    """After 3: 4 once, 3 once (two kinds, two counts); the order below is as above with four counts."""
    training = [[3, 3, 4, 3]]
    order_0 = {3: (3 + 2 * 0.2) / 6, 4: (1 + 2 * 0.2) / 6, 0: 2 * 0.2 / 6}
    expected = order_0[3]  # the first token has nothing before it
    expected *= (1 + 2 * order_0[4]) / 4  # 4 after 3
    expected *= (0 + 1 * order_0[0]) / 2  # 0 after 4, after which only 3 was met
    expected *= order_0[3]  # after 0, which was never met
    assert ngram_nats(training, [[3, 4, 0, 3]], 1, 5) == pytest.approx(-math.log(expected))


@pytest.mark.parametrize("order", [-1, 0, 1, 2])
def test_chances_add_up_to_one(order: int):
    training = np.random.default_rng(0).integers(0, 6, (3, 40)).tolist()
    total = sum(
        math.exp(ngram_nats(training, [[1, 2, each]], order, 6) * -1)
        / math.exp(-ngram_nats(training, [[1, 2]], order, 6))
        for each in range(6)
    )
    assert total == pytest.approx(1.0)


def test_what_is_known_compresses_to_almost_nothing():
    random = np.random.default_rng(0)
    piece, other = (random.integers(0, 400, 2000).tolist() for _ in range(2))
    known, unknown = compressed_nats([piece], [piece]), compressed_nats([piece], [other])
    assert known < 0.05 * unknown
    assert unknown > 0.9 * 2000 * math.log(400)  # noise cannot be made smaller than it is
