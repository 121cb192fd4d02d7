"""Elementary functions that give the same bits on every machine.

`numpy.sin`, `numpy.exp` and the C library's versions differ in the last bit from one processor or library
to the next (SIMD variants, fused multiply-add), which is enough to flip a 16-bit sample somewhere in eight
minutes of audio. IEEE 754 fixes the result of +, -, *, /, sqrt, comparison, rounding to an integer and
scaling by a power of two to the last bit. The functions below are built of those alone, as element-wise
numpy operations: each ufunc rounds its result before the next begins, so nothing can be fused or reordered.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TURN = 6.283185307179586
"""2 pi, in radians."""

_LN2_HIGH = 0.693145751953125
"""ln 2 to 16 bits, so that its product with a small integer is exact."""

_LN2_LOW = 1.4286068203094173e-06
"""ln 2 - `_LN2_HIGH`."""

_NEGLIGIBLE = 1e-9
_SQRT_HALF = 0.7071067811865476


def _horner(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    """Evaluate the polynomial sum_i coefficients[i] x^i."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value *= x
        value += coefficient
    return value


def _inverse_factorials(first: int, step: int, count: int, alternating: bool) -> tuple[float, ...]:
    """1 / first!, ±1 / (first + step)!, … as floats: the Taylor coefficients of exp, sin and cos."""
    terms = []
    for index in range(count):
        factorial = 1
        for factor in range(2, first + index * step + 1):
            factorial *= factor
        sign = -1.0 if alternating and index % 2 else 1.0
        terms.append(sign / factorial)
    return tuple(terms)


_EXP = _inverse_factorials(0, 1, 15, alternating=False)
_SIN = _inverse_factorials(1, 2, 10, alternating=True)
_COS = _inverse_factorials(0, 2, 10, alternating=True)
_ATANH = tuple(2.0 / (2 * index + 1) for index in range(12))


def exp(x: ArrayLike) -> Floats:
    """e^x for |x| < 700, to about one unit in the last place."""
    values = np.asarray(x, dtype=np.float64)
    doublings = np.rint(values / (_LN2_HIGH + _LN2_LOW))
    rest = (values - doublings * _LN2_HIGH) - doublings * _LN2_LOW
    return np.ldexp(_horner(rest, _EXP), doublings.astype(np.int32))


def log(x: ArrayLike) -> Floats:
    """Natural logarithm of x > 0, to about two units in the last place."""
    mantissa, exponent = np.frexp(np.asarray(x, dtype=np.float64))  # mantissa in [1/2, 1)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    power = np.where(small, exponent - 1, exponent).astype(np.float64)
    ratio: Floats = (mantissa - 1.0) / (mantissa + 1.0)
    return ratio * _horner(ratio * ratio, _ATANH) + power * _LN2_LOW + power * _LN2_HIGH


def power(base: ArrayLike, exponent: ArrayLike) -> Floats:
    """base^exponent for base > 0."""
    return exp(np.asarray(exponent, dtype=np.float64) * log(base))


def amplitude(decibels: ArrayLike) -> Floats:
    """Amplitude factor of a level in dB: 10^(decibels / 20)."""
    return exp(np.asarray(decibels, dtype=np.float64) * 0.11512925464970229)


def cos_sin(turns: ArrayLike) -> tuple[Floats, Floats]:
    """Cosine and sine of an angle given in turns (1 = 360 degrees)."""
    angle = np.asarray(turns, dtype=np.float64)
    angle = angle - np.rint(angle)
    quarter = np.rint(angle * 4.0)
    rest = (angle - quarter * 0.25) * TURN  # |rest| <= pi / 4
    square = rest * rest
    cosine, sine = _horner(square, _COS), rest * _horner(square, _SIN)
    odd = np.mod(quarter, 2.0) == 1.0
    real, imaginary = np.where(odd, -sine, cosine), np.where(odd, cosine, sine)
    half = np.where((quarter >= 2.0) | (quarter < -0.5), -1.0, 1.0)  # quarters -1, -2 and 2 turn the sign
    return real * half, imaginary * half


def ordered_sum(values: Floats) -> float:
    """Sum from first to last: `numpy.sum` may regroup, and differently on another processor."""
    total = 0.0
    for value in values.tolist():
        total += value
    return total


def phasor_powers(turns: Floats, decay: Floats, count: int) -> tuple[Floats, Floats]:
    """Powers 0 … count - 1 of z = exp(-decay + 2 pi i turns), by repeated doubling.

    Args:
        turns: (K,) angle of each phasor, in turns.
        decay: (K,) decay per step, in nats.
        count: Number of powers N.

    Returns:
        Real and imaginary parts, each (N, K).
    """
    real, imaginary = np.empty((2, count, len(turns)))
    real[0], imaginary[0] = 1.0, 0.0
    filled = 1
    while filled < count:
        cosine, sine = cos_sin(turns * filled)
        shrink = exp(np.maximum(-decay * filled, -700.0))
        step_real, step_imaginary = shrink * cosine, shrink * sine
        size = min(filled, count - filled)
        old_real, old_imaginary = real[:size], imaginary[:size]
        real[filled : filled + size] = old_real * step_real - old_imaginary * step_imaginary
        imaginary[filled : filled + size] = old_real * step_imaginary + old_imaginary * step_real
        filled += size
    return real, imaginary


def one_pole(signal: Floats, pole: float) -> Floats:
    """The recursion y[t] = x[t] + pole · y[t-1] along the last axis, for 0 < pole < 1.

    1 / (1 - p/z) = (1 + p/z)(1 + p²/z²)(1 + p⁴/z⁴)…: a few whole-array steps instead of one per sample.
    """
    output = signal.copy()
    lag, factor = 1, pole
    while factor > _NEGLIGIBLE and lag < signal.shape[-1]:
        output[..., lag:] += factor * output[..., :-lag].copy()
        lag, factor = lag * 2, factor * factor
    return output


def circular_one_pole(signal: Floats, pole: float) -> Floats:
    """`one_pole` for a loop: the end of the last axis is followed by its beginning."""
    output = signal
    lag, factor = 1, pole
    while factor > _NEGLIGIBLE:
        output = output + factor * np.roll(output, lag, axis=-1)
        lag, factor = lag * 2, factor * factor
    return output
