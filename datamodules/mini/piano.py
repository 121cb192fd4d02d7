"""An additive grand piano: one struck key at a time, as a sum of exponentially decaying sinusoids.

How it is fast. With z = exp(-decay + 2 pi i f / rate), sample t = j·BLOCK + k of a component is
Re(c z^(j·BLOCK) z^k), a product of something that depends on the block j and something that depends on k. The
sum over all components is therefore one matrix product (blocks, 2K) @ (2K, BLOCK), at the speed of BLAS.

How it is the same everywhere. BLAS libraries order and fuse their sums differently, so a float64 product
differs in its last bits from machine to machine. Here both matrices are rounded to integers of at most
`FACTOR_BITS` bits whose products and sums stay below 2^53: every intermediate value is an integer that
float64 holds exactly, there is nothing left to round, and any order and any fusion give the same result. The
rounding is relative to the whole note (about -150 dB), far under the 16-bit output. The matrices come from
`arithmetic`, which uses exactly rounded IEEE operations alone, as does everything after the product.

Rounding "to 12 digits" instead would only make differences rare: now and then a value lies on the edge.
"""

from typing import NamedTuple

import numpy as np

from datamodules.mini.arithmetic import Floats, cos_sin, exp, log, one_pole, ordered_sum, phasor_powers, power
from datamodules.mini.strings import (
    FIRST_KEY_WITHOUT_DAMPER,
    Components,
    brightness,
    components,
    hammer_cutoff,
)

BLOCK = 512
"""Samples per row of the matrix product."""

CHUNK = 24
"""Blocks per product; between chunks the components that have died away are dropped."""

FACTOR_BITS = 26
"""The amplitudes of a note sum to at most 1 and |z| to at most 1, so by Cauchy-Schwarz the absolute values of
all products sum to at most 2^26 · 2^26 = 2^52; rounding the 2K entries adds less than 2^35."""

INAUDIBLE_NATS = 10.5
"""A component, and a note, ends where it has fallen by this much: 91 dB."""

LONGEST_NOTE_SECONDS = 9.0


class Voice(NamedTuple):
    """Quantities that all notes of one key at one sample rate share.

    Attributes:
        key: MIDI number.
        components: The key's audible sinusoids, K of them, those heard longest first.
        lifetime: Seconds until the last of them cannot be heard.
        directions: (2 channels, 2 parts, K) cosine and sine of the start phase, times the channel's gain.
        within: (K, 2, BLOCK) integers: real and imaginary part of z^k, times 2^`FACTOR_BITS`.
        starts_real: (J, K) real part of z^(j·BLOCK).
        starts_imaginary: (J, K) imaginary part of z^(j·BLOCK).
        damper: Fall of the sound under the damper, from 1 to -91 dB.
        alive: Components still audible at the start of each chunk of `CHUNK` blocks.
    """

    key: int
    components: Components
    lifetime: float
    directions: Floats
    within: Floats
    starts_real: Floats
    starts_imaginary: Floats
    damper: Floats
    alive: list[int]


class Piano:
    """The instrument at one sample rate.

    It keeps what it has worked out about each key. Threads may share it: what two of them store for one key
    is the same.

    Args:
        sample_rate: In Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._voices: dict[int, Voice] = {}
        self._hammer_noise = _hammer_noise(sample_rate)

    def note(self, key: int, velocity: int, held_seconds: float, strike: int = 0) -> Floats:
        """One note, from the hammer's blow until it has died away.

        Args:
            key: MIDI number, 21 to 108.
            velocity: 1 to 127.
            held_seconds: Time from the blow until the damper falls; keys without damper ignore it.
            strike: Number of the blow: which stretch of hammer noise it gets.

        Returns:
            (2, T) float64; the strings of a note of velocity 100 start with an energy of 1/2.
        """
        voice = self._voice(key)
        held = LONGEST_NOTE_SECONDS if key >= FIRST_KEY_WITHOUT_DAMPER else held_seconds
        held_samples = round(held * self.sample_rate)
        num_samples = min(held_samples + len(voice.damper), round(voice.lifetime * self.sample_rate))
        sound = self._strings(voice, velocity, num_samples)
        self._add_hammer(sound, key, velocity, strike)
        self._damp(sound, held_samples, voice.damper)
        sound *= loudness(velocity)
        return sound

    def _voice(self, key: int) -> Voice:
        if key not in self._voices:
            self._voices[key] = _prepare(key, self.sample_rate)
        return self._voices[key]

    def _strings(self, voice: Voice, velocity: int, num_samples: int) -> Floats:
        """Strings and body of a note by exact matrix products, (2, T)."""
        num_blocks = -(-num_samples // BLOCK)
        levels = _levels(voice.components, hammer_cutoff(voice.key, velocity))
        total = max(ordered_sum(levels), ordered_sum(levels * voice.components.right_to_left))
        coefficients = voice.directions * (levels / total)
        sound = np.empty((2, num_blocks, BLOCK))
        for first in range(0, num_blocks, CHUNK):
            last, alive = min(first + CHUNK, num_blocks), voice.alive[first // CHUNK]
            starts = voice.starts_real[first:last, :alive], voice.starts_imaginary[first:last, :alive]
            rows = _block_rows(coefficients[..., :alive], *starts)
            columns = voice.within[:alive].reshape(2 * alive, BLOCK)
            sound[:, first:last] = (rows @ columns).reshape(2, last - first, BLOCK)
        sound *= total * 2.0 ** (-2 * FACTOR_BITS)
        return sound.reshape(2, -1)[:, :num_samples]

    def _add_hammer(self, sound: Floats, key: int, velocity: int, strike: int) -> None:
        """Let the strings start within the hammer's contact time, and add the noise of its blow."""
        contact = max(2, round(self.sample_rate * contact_seconds(key)))
        contact = min(contact, sound.shape[-1])
        position = (np.arange(contact) + 0.5) / contact
        sound[:, :contact] *= position * position * (3.0 - 2.0 * position)
        noise = self._hammer_noise[strike % len(self._hammer_noise)][:, : sound.shape[-1]]
        force = velocity / 127.0
        sound[:, : noise.shape[-1]] += noise * (HAMMER_NOISE_LEVEL * (0.25 + force * force))

    def _damp(self, sound: Floats, held_samples: int, damper: Floats) -> None:
        """Let the damper fall at `held_samples`, and end the note in silence, without a step."""
        tail = sound[:, held_samples:]
        tail *= damper[: tail.shape[-1]]
        fade = min(round(0.01 * self.sample_rate), sound.shape[-1])
        sound[:, -fade:] *= (np.arange(fade, 0, -1) - 0.5) / fade


HAMMER_NOISE_LEVEL = 0.035
"""Level of the noise of a fortissimo blow relative to the strings."""


def loudness(velocity: int) -> float:
    """Amplitude factor of a velocity: 1 at 100, -20 dB at 30, about +3 dB at 127."""
    return float(power(velocity / 100.0, 1.9))


def damper_seconds(key: int) -> float:
    """Time in which the damper lets the sound fall by a factor e: slow on the heavy bass strings."""
    return 0.03 + 0.07 * (108 - key) / 87.0


def contact_seconds(key: int) -> float:
    """Contact time of hammer and string: about 5 ms in the bass, 1 ms in the treble."""
    return 0.0008 + 0.0042 * (108 - key) / 87.0


def _prepare(key: int, sample_rate: int) -> Voice:
    """Everything about a key that does not depend on how it is struck."""
    parts, audible_seconds = _longest_first(key)
    lifetime = min(LONGEST_NOTE_SECONDS, float(audible_seconds[0]))
    turns, decay = parts.frequency / sample_rate, parts.decay / sample_rate
    within = np.stack(phasor_powers(turns, decay, BLOCK), axis=1)  # (BLOCK, 2, K)
    within = np.rint(np.ascontiguousarray(within.transpose(2, 1, 0)) * 2.0**FACTOR_BITS)
    num_blocks = -(-round(lifetime * sample_rate) // BLOCK)
    starts = phasor_powers(turns * BLOCK, decay * BLOCK, num_blocks)
    chunk_starts = (np.arange(0, num_blocks, CHUNK) * (BLOCK / sample_rate)).tolist()
    alive = [max(1, int(np.count_nonzero(audible_seconds > start))) for start in chunk_starts]
    damper_samples = round(damper_seconds(key) * INAUDIBLE_NATS * sample_rate)
    damper = exp(np.arange(damper_samples) * (-INAUDIBLE_NATS / damper_samples))
    return Voice(key, parts, lifetime, _directions(parts), within, *starts, damper, alive)


def _longest_first(key: int) -> tuple[Components, Floats]:
    """A key's components that are heard in a fortissimo, and for how many seconds, in falling order."""
    parts = components(key)
    level = _levels(parts, hammer_cutoff(key, 127))
    audible_seconds = (INAUDIBLE_NATS + log(level / np.max(level))) / parts.decay
    order = np.argsort(-audible_seconds, kind="stable")
    order = order[audible_seconds[order] > 0.0]
    return Components(*(column[order] for column in parts)), audible_seconds[order]


def _levels(parts: Components, cutoff_hz: float) -> Floats:
    """Start amplitudes of the components, (K,), under a hammer of the given cutoff."""
    return parts.level * np.where(parts.tilt > 0.0, brightness(cutoff_hz, parts.frequency), 1.0)


def _directions(parts: Components) -> Floats:
    """Start phases of both channels as points of the plane, (2 channels, 2 parts, K)."""
    left, right = cos_sin(parts.phase), cos_sin(parts.phase_right)
    return np.array((left, tuple(part * parts.right_to_left for part in right)))


def _block_rows(coefficients: Floats, starts_real: Floats, starts_imaginary: Floats) -> Floats:
    """Integer rows of the left matrix: (2 · blocks, 2K), real and imaginary parts interleaved."""
    real, imaginary = coefficients[:, None, 0], coefficients[:, None, 1]  # (2, 1, K)
    rows = np.empty((2, *starts_real.shape, 2))
    rows[..., 0] = real * starts_real - imaginary * starts_imaginary
    rows[..., 1] = -(real * starts_imaginary + imaginary * starts_real)
    rows *= 2.0**FACTOR_BITS
    return np.rint(rows, out=rows).reshape(2 * len(starts_real), -1)


def _hammer_noise(sample_rate: int) -> list[Floats]:
    """Sixteen short bursts of felt and key noise, each (2, T): band-limited, fading within some 10 ms."""
    random = np.random.RandomState(1709)
    num_samples = round(0.09 * sample_rate)
    white = random.random_sample((16, 2, num_samples)) - 0.5
    white[:, 1] = 0.6 * white[:, 0] + 0.8 * white[:, 1]  # the channels share a part of it
    low_pole = float(exp(-6.283 * 2000.0 / sample_rate))
    high_pole = float(exp(-6.283 * 180.0 / sample_rate))
    soft = one_pole(white, low_pole) * (1.0 - low_pole)
    band = soft - one_pole(soft, high_pole) * (1.0 - high_pole)
    time = np.arange(num_samples) / sample_rate
    envelope = exp(-time / 0.012) * np.minimum(time / 0.0012, 1.0)
    return list(band * 12.0 * envelope)
