"""Rotary positions with complex numbers of Python."""

import math


def turn(vector: list[float], position: int) -> list[float]:
    """Channel c and channel c + D / 2 as a complex number, times exp(i position 10000^(-2c / D))."""
    half = len(vector) // 2
    turned = [
        complex(vector[c], vector[c + half])
        * complex(
            math.cos(position * 10000 ** (-2 * c / len(vector))),
            math.sin(position * 10000 ** (-2 * c / len(vector))),
        )
        for c in range(half)
    ]
    return [each.real for each in turned] + [each.imag for each in turned]
