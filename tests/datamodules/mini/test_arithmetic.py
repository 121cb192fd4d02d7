import math

import numpy as np
import pytest
from scipy.signal import lfilter

from datamodules.mini import arithmetic


def test_exp_and_log_agree_with_the_library_to_the_last_digits() -> None:
    x = np.linspace(-600.0, 600.0, 20_001)
    np.testing.assert_allclose(arithmetic.exp(x), np.exp(x), rtol=4e-16)
    y = np.exp(np.linspace(-50.0, 50.0, 20_001))
    np.testing.assert_allclose(arithmetic.log(y), np.log(y), rtol=1e-15, atol=3e-16)


def test_power_and_amplitude_at_known_values() -> None:
    assert float(arithmetic.power(2.0, 10)) == pytest.approx(1024.0, rel=1e-15)
    assert float(arithmetic.amplitude(-20.0)) == pytest.approx(0.1, rel=1e-15)
    assert float(arithmetic.amplitude(6.0)) == pytest.approx(10 ** (6 / 20), rel=1e-15)


def test_cos_sin_in_every_quadrant_and_on_its_edges() -> None:
    turns = np.concatenate([np.linspace(-3.0, 3.0, 10_001), np.arange(-16, 17) / 8])
    cosine, sine = arithmetic.cos_sin(turns)
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * turns), atol=4e-15)
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * turns), atol=4e-15)
    assert arithmetic.cos_sin([0.25])[0] == 0.0  # exact, where the library leaves 6e-17


def test_phasor_powers_are_powers_of_one_number() -> None:
    turns, decay = np.array([0.01, 0.37]), np.array([1e-4, 2e-2])
    real, imaginary = arithmetic.phasor_powers(turns, decay, 777)
    z = np.exp(-decay + 2j * math.pi * turns)
    np.testing.assert_allclose(real + 1j * imaginary, z ** np.arange(777)[:, None], atol=2e-14)


def test_one_pole_is_the_recursion() -> None:
    signal = np.random.default_rng(0).normal(size=(2, 3000))
    np.testing.assert_allclose(arithmetic.one_pole(signal, 0.97), lfilter([1], [1, -0.97], signal), atol=1e-6)


def test_circular_one_pole_continues_from_the_end() -> None:
    signal = np.random.default_rng(0).normal(size=3000)
    thrice = lfilter([1], [1, -0.97], np.tile(signal, 3))
    np.testing.assert_allclose(arithmetic.circular_one_pole(signal, 0.97), thrice[-3000:], atol=1e-6)


def test_ordered_sum_adds_from_first_to_last() -> None:
    values = np.array([1e16, *[1.0] * 62, -1e16])
    assert arithmetic.ordered_sum(values) == 0.0  # each 1 is lost one by one
    assert np.sum(values) != 0.0  # numpy adds several partial sums, in which they survive
