"""From a performance to the recording of it: the piano, the room around it, the noise of the microphones.

Everything here is element-wise IEEE arithmetic in a fixed order; see `arithmetic` and `piano` for why that
makes the samples the same on every machine.
"""

import numpy as np
from numpy.typing import NDArray

from datamodules.mini.arithmetic import Floats, amplitude, circular_one_pole
from datamodules.mini.performance import Performance, sounding
from datamodules.mini.piano import Piano

RING_OUT_SECONDS = 2.6
NOISE_FLOOR_DBFS = -78.0
NOISE_LOOP_SAMPLES = 1 << 18
"""The noise repeats after some 6 s, seamlessly: far too faint to be noticed, and cheap."""

REVERB_SECONDS = 1.1
"""Time in which the room's reverberation falls by 60 dB, at low frequencies."""

REVERB_LEVEL = 0.16
"""Reverberation relative to the direct sound: a small hall, microphones close to the instrument."""

_DELAY_MILLISECONDS = (31.7, 37.3, 41.9, 47.1, 53.9, 59.3, 67.1, 73.7)


def record(performance: Performance, piano: Piano, peak_dbfs: float, seed: int) -> NDArray[np.int16]:
    """Render a performance.

    Args:
        performance: What is played.
        piano: What it is played on; its sample rate is the recording's.
        peak_dbfs: Level of the largest sample, in dB relative to full scale.
        seed: Of the noise floor.

    Returns:
        (T, 2) int16, `RING_OUT_SECONDS` longer than the performance.
    """
    num_samples = round((performance.duration + RING_OUT_SECONDS) * piano.sample_rate)
    sound = _mix(performance, piano, num_samples)
    sound += reverberation(sound, piano.sample_rate) * REVERB_LEVEL
    _end_softly(sound, piano.sample_rate)
    sound *= float(amplitude(peak_dbfs)) / float(np.max(np.abs(sound)))
    sound += noise_floor(num_samples, seed)
    return np.rint(sound * 32767.0).clip(-32768, 32767).astype(np.int16).T.copy()


def _mix(performance: Performance, piano: Piano, num_samples: int) -> Floats:
    sound = np.zeros((2, num_samples))
    for strike, note in enumerate(sounding(performance)):
        start = round(note.onset_seconds * piano.sample_rate)
        samples = piano.note(note.pitch, note.velocity, note.held_seconds, strike)
        target = sound[:, start : start + samples.shape[-1]]
        target += samples[:, : target.shape[-1]]
    return sound


def _end_softly(sound: Floats, sample_rate: int) -> None:
    """Fade the last half second, where a long bass note may still ring."""
    fade = sample_rate // 2
    sound[:, -fade:] *= np.arange(fade, 0, -1) / fade


def reverberation(sound: Floats, sample_rate: int) -> Floats:
    """The room's answer to a stereo sound: eight delay lines that feed each other, the treble fading first.

    A feedback delay network with a Hadamard matrix; Jot & Chaigne, "Digital delay networks for designing
    artificial reverberators", AES 90th convention, 1991. It runs block by block, a block being as long as
    the shortest delay, so that each step is one array operation.

    Args:
        sound: (2, T).
        sample_rate: In Hz.

    Returns:
        (2, T).
    """
    delays = [round(delay * sample_rate / 1000.0) for delay in _DELAY_MILLISECONDS]
    gains = amplitude(np.array(delays) * (-60.0 / (REVERB_SECONDS * sample_rate)))
    gains *= 0.3535533905932738  # 1 / sqrt(8): the Hadamard matrix then keeps the energy
    num_samples, history, step = sound.shape[-1], max(delays) + 1, min(delays)
    lines = np.zeros((8, history + step))  # what each line has received lately, the newest last
    past = np.empty((8, step + 1))
    wet = np.empty_like(sound)
    for start in range(0, num_samples, step):
        size = min(step, num_samples - start)
        for line, delay in enumerate(delays):
            past[line] = lines[line, history - delay - 1 : history - delay + step]
        wet[:, start : start + size] = (past[0:2, 1:] - past[2:4, 1:] + past[4:6, 1:] - past[6:8, 1:])[
            :, :size
        ]
        block = 0.62 * past[:, 1:] + 0.38 * past[:, :-1]
        block *= gains[:, None]
        block = _hadamard(block)
        block[0::2, :size] += sound[0, start : start + size]
        block[1::2, :size] += sound[1, start : start + size]
        lines[:, history:] = block
        lines[:, :history] = lines[:, step:].copy()
    return wet


def _hadamard(signals: Floats) -> Floats:
    """Product with the 8 x 8 Hadamard matrix (unscaled), in three rounds of sums and differences."""
    for half in (1, 2, 4):
        result = np.empty_like(signals)
        pairs, target = (array.reshape(4 // half, 2, half, -1) for array in (signals, result))
        np.add(pairs[:, 0], pairs[:, 1], out=target[:, 0])
        np.subtract(pairs[:, 0], pairs[:, 1], out=target[:, 1])
        signals = result
    return signals


def noise_floor(num_samples: int, seed: int) -> Floats:
    """Noise of room and microphones: falling towards high frequencies, partly common to both channels.

    Args:
        num_samples: Length T.
        seed: Of the noise.

    Returns:
        (2, T), root mean square at about `NOISE_FLOOR_DBFS`, without DC.
    """
    random = np.random.RandomState(seed)
    white = random.random_sample((2, NOISE_LOOP_SAMPLES)) - 0.5
    white[1] = 0.6 * white[0] + 0.8 * white[1]
    rumble, warm = circular_one_pole(white, 0.985), circular_one_pole(white, 0.8)
    loop = 0.06 * (rumble - np.roll(rumble, 48, axis=-1)) + 0.28 * warm + 0.25 * white
    loop *= 4.0 * float(amplitude(NOISE_FLOOR_DBFS))
    return np.tile(loop, -(-num_samples // NOISE_LOOP_SAMPLES))[:, :num_samples]
