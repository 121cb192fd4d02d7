"""The instrument as numbers: tuning, partials, levels and decay rates of every key of the mini piano.

Pure formulas, no audio; `piano` turns them into sound. Keys are MIDI numbers, 21 (A0) to 108 (C8).
"""

import math
from typing import NamedTuple

import numpy as np

from datamodules.mini.arithmetic import Floats, amplitude, cos_sin, exp, ordered_sum, power

MAX_PARTIALS = 64
HIGHEST_PARTIAL_HZ = 16000.0
"""Partials above are left out, so that a note is the same sound at 44.1 and 48 kHz."""

FIRST_KEY_WITHOUT_DAMPER = 90
"""F#6; the strings from here up ring until they die away by themselves, as on a concert grand."""

BODY_LEVEL = 0.05
"""Level of the body's modes relative to the strings of one key."""

STRIKING_POINT = 0.122
"""Where the hammer meets the string, as a fraction of its length: partials near 1/0.122 = 8.2 are weak."""


class Components(NamedTuple):
    """The exponentially decaying sinusoids that one key is made of, each field (K,).

    Attributes:
        frequency: In Hz.
        decay: Amplitude decay rate, in nats per second.
        level: Amplitude before the hammer's brightness is applied.
        tilt: 1 where the hammer's brightness shapes the component (strings), 0 where not (body).
        phase: Phase of the cosine at the note's start, left channel, in turns.
        phase_right: The same for the right channel.
        right_to_left: Level of the right channel relative to the left one, as a factor.
    """

    frequency: Floats
    decay: Floats
    level: Floats
    tilt: Floats
    phase: Floats
    phase_right: Floats
    right_to_left: Floats


def fundamental(key: int) -> float:
    """Frequency of a key's first partial (before stiffness) in Hz, with the octaves stretched.

    The stretch follows the shape of Railsback's curve: about -11 cents at A0, +19 cents at C8.
    """
    distance = (key - 69) / 39
    cents = (19.0 if distance > 0.0 else 6.0) * (distance * distance * distance)
    return float(440.0 * exp(((key - 69) / 12 + cents / 1200) * 0.6931471805599453))


def inharmonicity(key: int) -> float:
    """Stiffness coefficient B in f_n = n f_0 sqrt(1 + B n²).

    Sum of a bass and a treble exponential; Rigaud, David & Daudet, "A parametric model and estimation
    techniques for the inharmonicity and tuning of the piano", JASA 133(5), 2013.
    """
    return float(exp(0.0926 * key - 13.64) + exp(-0.0847 * key - 5.82))


def partial_frequencies(key: int) -> Floats:
    """Frequencies of a key's partials in Hz, (P,), at most `MAX_PARTIALS` and `HIGHEST_PARTIAL_HZ`."""
    n = np.arange(1, MAX_PARTIALS + 1, dtype=np.float64)
    frequencies = n * fundamental(key) * np.sqrt(1.0 + inharmonicity(key) * n * n)
    return frequencies[frequencies < HIGHEST_PARTIAL_HZ]


def prompt_decay(key: int, frequency: Floats) -> Floats:
    """Decay rate of the prompt sound (strings in phase, driving the bridge), in nats per second.

    The first partial falls 60 dB in 13 s at A0, 3.6 s at C4, 0.6 s at C8; internal losses add with frequency.
    """
    slowest = 0.53 * exp((key - 21) * 0.0335)
    excess: Floats = np.maximum(frequency - fundamental(key), 0.0) / 1000.0
    return slowest + 0.65 * excess + 0.20 * excess * excess


def brightness(cutoff_hz: float, frequency: Floats) -> Floats:
    """Low-pass of the hammer felt at `frequency` in Hz: 12 dB per octave above the cutoff."""
    ratio = frequency / cutoff_hz
    return 1.0 / (1.0 + ratio * ratio)


def hammer_cutoff(key: int, velocity: int) -> float:
    """Cutoff of the hammer's low-pass in Hz: a hard blow compresses the felt, which shortens the contact."""
    force = velocity / 127.0
    register = 300.0 + 0.75 * fundamental(key)
    return register * (0.45 + 2.8 * force * force)


def _partial_levels(frequency: Floats, ripple: Floats) -> Floats:
    """Amplitudes of the partials for an infinitely hard hammer: striking point, soundboard, irregularity."""
    n = np.arange(1, len(frequency) + 1, dtype=np.float64)
    striking = 0.12 + np.abs(cos_sin(n * (STRIKING_POINT / 2.0))[1])
    low = (frequency / 75.0) * (frequency / 75.0)  # the soundboard radiates little below its first mode …
    high = (frequency / 3500.0) * (frequency / 3500.0)  # … and is too heavy to follow the highest partials
    radiation = low / ((1.0 + low) * (1.0 + high))
    return striking * radiation * power(n, -0.45) * amplitude(7.0 * (ripple - 0.5))


def _string_components(key: int, random: np.random.RandomState) -> Components:
    """Two-stage decay with beating: per partial one prompt sinusoid and up to two slow, detuned ones.

    Strings of one key start in phase and drive the bridge together (prompt sound) until they drift apart and
    push against each other (aftersound): Weinreich, "Coupled piano strings", JASA 62(6), 1977.
    """
    frequency = partial_frequencies(key)
    count = len(frequency)
    draw = random.random_sample((10, count))
    level = _partial_levels(frequency, draw[0])
    decay = prompt_decay(key, frequency)
    detuning = (0.08 + 0.30 * draw[1:4]) * (1.0 + frequency / 2500.0)  # Hz
    stages = (  # frequency, decay, level of the prompt sound and of two aftersounds
        (frequency, decay, level),
        (frequency + detuning[0], decay * (0.20 + 0.10 * draw[4]), level * (0.12 + 0.26 * draw[5])),
        (frequency - detuning[1], decay * (0.24 + 0.12 * draw[6]), level * (0.08 + 0.18 * draw[7])),
    )
    pan = (key - 64) / 44.0 * 2.2  # dB: bass strings lie to the left of a microphone pair at the keyboard
    parts = []
    for stage, (hertz, rate, size) in enumerate(stages):
        kept = slice(0, count if stage < 2 else MAX_PARTIALS // 3)
        phase, spread, balance = random.random_sample((3, count))
        parts.append(
            Components(
                frequency=hertz[kept],
                decay=rate[kept],
                level=size[kept],
                tilt=np.ones(count)[kept],
                # near the zero crossing of a sine, as a string at rest that is struck
                phase=(-0.25 + 0.16 * (phase - 0.5))[kept],
                phase_right=(-0.25 + 0.16 * (phase - 0.5) + 0.56 * (spread - 0.5))[kept],
                right_to_left=amplitude(pan + 5.0 * (balance - 0.5))[kept],
            )
        )
    return _concatenate(parts)


def _body_components(key: int, random: np.random.RandomState) -> Components:
    """The thump of key bed and soundboard under every note: a few quickly decaying modes below 500 Hz."""
    count = 10
    draw = random.random_sample((5, count))
    frequency = 62.0 + 46.0 * np.arange(count) + 30.0 * draw[0]
    phase = draw[1]
    return Components(
        frequency=frequency,
        decay=24.0 + 26.0 * draw[2] + 0.05 * frequency,
        level=BODY_LEVEL * (0.5 + draw[3]) / (1.0 + frequency / 200.0),
        tilt=np.zeros(count),
        phase=phase,
        phase_right=phase + 0.3 * (draw[4] - 0.5),
        right_to_left=np.ones(count),
    )


def _concatenate(parts: list[Components]) -> Components:
    return Components(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def components(key: int) -> Components:
    """All sinusoids of one key; the levels of its strings have an energy of 1."""
    random = np.random.RandomState(7919 + key)  # its bit stream is frozen by numpy's policy
    strings = _string_components(key, random)
    energy = ordered_sum(strings.level * strings.level)
    strings = strings._replace(level=strings.level / math.sqrt(energy))
    return _concatenate([strings, _body_components(key, random)])
