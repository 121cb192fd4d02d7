"""The strings of the piano, by their formulas."""

import numpy as np
import pytest

from datamodules.mini import strings


def test_partials_of_a_stiff_string() -> None:
    """f_n = n f_0 sqrt(1 + B n^2), Fletcher 1964, up to a common factor."""
    for key in (21, 60, 96):
        partials = np.asarray(strings.partial_frequencies(key))
        n = np.arange(1, len(partials) + 1)
        expected = n * np.sqrt(1 + strings.inharmonicity(key) * n**2)
        np.testing.assert_allclose(partials / partials[0], expected / expected[0], rtol=1e-9)
        assert partials.max() < 24_000


def test_higher_keys_are_stiffer_in_the_treble_and_die_sooner() -> None:
    assert strings.inharmonicity(100) > strings.inharmonicity(60) > 0
    rates = [
        np.asarray(strings.prompt_decay(key, np.array([strings.fundamental(key)])))[0] for key in (40, 90)
    ]
    assert rates[0] != rates[1] and min(rates) > 0


def test_harder_blows_reach_higher() -> None:
    cutoffs = [strings.hammer_cutoff(60, velocity) for velocity in (20, 60, 120)]
    assert cutoffs == sorted(cutoffs) and cutoffs[0] < cutoffs[-1]
    frequency = np.array([100.0, 5000.0])
    soft, hard = (np.asarray(strings.brightness(cutoff, frequency)) for cutoff in (cutoffs[0], cutoffs[-1]))
    assert soft[1] / soft[0] < hard[1] / hard[0]


def test_components_are_the_same_at_every_call() -> None:
    for first, second in zip(strings.components(60), strings.components(60), strict=True):
        np.testing.assert_array_equal(first, second)
    assert strings.fundamental(69) == pytest.approx(440.0)
