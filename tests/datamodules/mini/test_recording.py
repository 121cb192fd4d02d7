import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from datamodules.mini.performance import TICKS_PER_SECOND, Performance, PlayedNote
from datamodules.mini.piano import Piano
from datamodules.mini.recording import RING_OUT_SECONDS, noise_floor, record, reverberation

RATES = (44_100, 48_000)


def scattered() -> Performance:
    """Single notes, half a second apart, at odd ticks."""
    keys = (72, 79, 84, 76, 91, 67)
    notes = [
        PlayedNote(501 + 487 * index, 801 + 487 * index, key, 60 + 10 * index)
        for index, key in enumerate(keys)
    ]
    return Performance(notes, [])


def decibels(signal: np.ndarray) -> float:
    return float(10 * np.log10((signal**2).mean()))


@pytest.mark.parametrize("rate", RATES)
def test_midi_onsets_are_audio_onsets_within_a_millisecond(rate: int) -> None:
    performance = scattered()
    sound = record(performance, Piano(rate), peak_dbfs=-3.0, seed=0).astype(float) / 32768
    # what is new against the millisecond-scale prediction of the ringing sound before: the treble of the blow
    step = np.abs(np.diff(sound[:, 0], n=2))
    for note in performance.notes:
        onset = round(note.onset_tick / TICKS_PER_SECOND * rate)
        before = step[onset - rate // 50 : onset - 2].max()
        found = (
            onset - rate // 100 + int(np.argmax(step[onset - rate // 100 : onset + rate // 50] > 3 * before))
        )
        assert abs(found - onset) <= rate / 1000, note


@pytest.mark.parametrize("peak_dbfs", [-1.0, -9.0])
def test_peak_shape_and_length(peak_dbfs: float) -> None:
    performance = scattered()
    pcm = record(performance, Piano(44_100), peak_dbfs, seed=0)
    assert pcm.dtype == np.int16
    assert pcm.shape == (round((performance.duration + RING_OUT_SECONDS) * 44_100), 2)
    assert 20 * np.log10(np.abs(pcm.astype(float)).max() / 32767) == pytest.approx(peak_dbfs, abs=0.02)


def test_noise_floor() -> None:
    noise = noise_floor(600_000, seed=3)
    assert decibels(noise) == pytest.approx(-78.0, abs=1.0)
    assert np.abs(noise.mean(axis=1)).max() < 1e-6
    assert 0.3 < np.corrcoef(noise)[0, 1] < 0.9
    power = np.abs(np.fft.rfft(noise[0])) ** 2
    frequency = np.fft.rfftfreq(noise.shape[1], 1 / 44_100)

    def band(low: float) -> float:
        return float(power[(frequency > low) & (frequency < 2 * low)].mean())

    assert band(200) > 3 * band(1000) > 6 * band(8000)  # falling towards high frequencies, as in a room


def test_the_room_answers_later_and_fades_away() -> None:
    rate = 44_100
    click = np.zeros((2, 2 * rate))
    click[:, 0] = 1.0
    wet = reverberation(click, rate)
    assert not wet[:, : round(0.0316 * rate)].any()  # nothing before the shortest delay of 31.7 ms
    early, late = wet[:, rate // 10 : rate // 3], wet[:, rate : rate + rate // 4]
    fall = decibels(early) - decibels(late)
    assert 40 < fall / (1.125 - 0.2165) < 120  # dB per second: 60 dB in 1.1 s, faster in the treble
    assert abs(np.corrcoef(wet)[0, 1]) < 0.3


_DIGEST = """
import hashlib
import numpy as np
from datamodules.mini.piano import Piano
from datamodules.mini.recording import noise_floor, reverberation
piano = Piano(44_100)
notes = [piano.note(key, 40 + key // 2, 0.5) for key in (28, 48, 64, 84, 95)]
signals = [*notes, reverberation(notes[0], 44_100), noise_floor(1000, seed=2)]
print(hashlib.sha256(b"".join(np.ascontiguousarray(signal).tobytes() for signal in signals)).hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_processor() -> None:
    """Other BLAS kernels and numpy without its SIMD variants give the same float64 bits, before any rounding.

    Without the exact products, or with numpy's own exponential, they do not.
    """
    from numpy._core import _multiarray_umath as umath

    plain = {
        **os.environ,
        "OPENBLAS_CORETYPE": "Prescott",
        "OPENBLAS_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": " ".join(umath.__cpu_dispatch__),
    }
    digests = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _DIGEST],
            env=env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for env in (dict(os.environ), plain)
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == hashlib.sha256().digest_size * 2
