import math

import numpy as np
import pytest

from datamodules.mini import strings
from datamodules.mini.piano import Piano

RATE = 44_100


@pytest.fixture(scope="module")
def piano() -> Piano:
    return Piano(RATE)


def spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and amplitude spectrum of the left channel, interpolated by zero padding."""
    padded = 8 * len(sound[0])
    return np.fft.rfftfreq(padded, 1 / RATE), np.abs(
        np.fft.rfft(sound[0] * np.hanning(len(sound[0])), padded)
    )


def envelope(sound: np.ndarray, frequency: float) -> np.ndarray:
    """Amplitude around one frequency, by demodulation and a 50 ms average."""
    carrier = np.exp(-2j * np.pi * frequency * np.arange(len(sound)) / RATE)
    window = np.hanning(RATE // 20)
    return np.abs(np.convolve(sound * carrier, window / window.sum(), "same"))


def centroid(sound: np.ndarray) -> float:
    frequency, level = spectrum(sound)
    return float((frequency * level**2).sum() / (level**2).sum())


@pytest.mark.parametrize("key", [36, 60, 76])
def test_partials_lie_where_a_stiff_string_has_them(piano: Piano, key: int) -> None:
    """f_n = n f_0 sqrt(1 + B n²), with B as published, f_0 within the octave stretch of 440 Hz."""
    frequency, level = spectrum(piano.note(key, 100, 2.0)[:, :RATE])
    stiffness = math.exp(0.0926 * key - 13.64) + math.exp(-0.0847 * key - 5.82)
    first = strings.fundamental(key)
    assert abs(1200 * math.log2(first / (440 * 2 ** ((key - 69) / 12)))) < 12
    for n in range(1, 9):
        expected = n * first * math.sqrt(1 + stiffness * n * n)
        near = np.abs(frequency - expected) < 0.4 * first
        peak = frequency[near][np.argmax(level[near])]
        assert peak == pytest.approx(expected, abs=0.6 + 0.0003 * expected), f"partial {n}"


def test_octaves_are_stretched() -> None:
    assert strings.fundamental(69) == pytest.approx(440.0, rel=1e-12)
    assert strings.fundamental(108) == pytest.approx(4186.01 * 2 ** (19 / 1200), rel=1e-4)
    assert strings.fundamental(21) < 27.5 < strings.fundamental(21) * 2 ** (12 / 1200)


@pytest.mark.parametrize(("key", "velocity"), [(28, 60), (60, 100), (100, 30)])
def test_a_note_is_the_sum_of_its_components(piano: Piano, key: int, velocity: int) -> None:
    """The exact matrix products give Σ level · e^(-decay t) · cos(2 pi f t + phase), evaluated directly here.

    Between the hammer's noise (90 ms) and the fall of the damper nothing else sounds.
    """
    parts = strings.components(key)
    cutoff = strings.hammer_cutoff(key, velocity)
    level = parts.level * np.where(parts.tilt > 0, 1 / (1 + (parts.frequency / cutoff) ** 2), 1)
    level *= (velocity / 100) ** 1.9
    time = np.arange(4000, 4500)[:, None] / RATE
    decayed = level * np.exp(-parts.decay * time)
    left = (decayed * np.cos(2 * np.pi * (parts.frequency * time + parts.phase))).sum(1)
    right = decayed * parts.right_to_left * np.cos(2 * np.pi * (parts.frequency * time + parts.phase_right))
    sound = piano.note(key, velocity, 1.0)[:, 4000:4500]
    # components more than 91 dB below the strongest are left out
    np.testing.assert_allclose(sound, [left, right.sum(1)], atol=2e-5 * level.max())


def test_two_stage_decay(piano: Piano) -> None:
    """C4 falls at first at the published prompt rate, later several times slower, and beats while it does."""
    first = strings.fundamental(60)
    level = np.log(envelope(piano.note(60, 100, 7.0)[0], first))
    early = (level[RATE // 10] - level[RATE // 2]) / 0.4
    late = (level[3 * RATE] - level[6 * RATE]) / 3.0
    prompt = 0.53 * math.exp(39 * 0.0335)
    assert early == pytest.approx(prompt, rel=0.35)
    assert late < 0.5 * prompt


def test_decay_is_faster_in_the_treble_and_for_high_partials(piano: Piano) -> None:
    def fall(key: int, frequency: float) -> float:
        level = envelope(piano.note(key, 100, 2.0)[0], frequency)
        return float(20 * np.log10(level[RATE // 10] / level[RATE // 2]))

    falls = [fall(key, strings.fundamental(key)) for key in (40, 64, 88)]
    assert falls[0] < falls[1] < falls[2]
    partials = strings.partial_frequencies(48)
    assert fall(48, partials[0]) < fall(48, partials[14])


def test_a_harder_blow_is_louder_and_brighter(piano: Piano) -> None:
    soft, medium, hard = (piano.note(60, velocity, 1.0)[:, : RATE // 2] for velocity in (30, 70, 110))
    assert centroid(soft) * 1.2 < centroid(medium) and centroid(medium) * 1.2 < centroid(hard)
    level = [20 * math.log10(np.sqrt((sound**2).mean())) for sound in (soft, medium, hard)]
    assert level[1] - level[0] > 10 and level[2] - level[1] > 5


def test_the_damper_stops_the_note_and_the_top_keys_have_none(piano: Piano) -> None:
    def level(sound: np.ndarray, seconds: float) -> float:
        start = round(seconds * RATE)
        return float(np.sqrt((sound[:, start : start + 2000] ** 2).mean())) if start < sound.shape[1] else 0.0

    damped, held = piano.note(60, 80, 0.5), piano.note(60, 80, 3.0)
    assert level(damped, 0.4) == level(held, 0.4)
    assert level(damped, 1.0) < 1e-2 * level(held, 1.0)
    top = strings.FIRST_KEY_WITHOUT_DAMPER
    np.testing.assert_array_equal(piano.note(top, 80, 0.1), piano.note(top, 80, 2.0))
    assert piano.note(top - 1, 80, 0.1).shape[1] < piano.note(top - 1, 80, 2.0).shape[1]


@pytest.mark.parametrize("key", [24, 48, 72, 96])
def test_no_click_at_either_end(piano: Piano, key: int) -> None:
    sound = piano.note(key, 110, 0.8)
    peak = np.abs(sound).max()
    assert np.abs(sound[:, :4]).max() < 0.02 * peak
    assert np.abs(sound[:, -4:]).max() < 1e-5 * peak
    released = round(0.8 * RATE)
    slope = np.abs(np.diff(sound, axis=-1))
    assert (
        slope[:, released - 50 : released + 50].max() < 2.0 * slope[:, released - 2000 : released - 50].max()
    )


def test_bass_lies_left_treble_right(piano: Piano) -> None:
    def balance(key: int) -> float:
        left, right = (piano.note(key, 90, 1.0) ** 2).sum(1)
        return float(10 * np.log10(right / left))

    assert np.mean([balance(key) for key in (30, 33, 36)]) < -0.5
    assert np.mean([balance(key) for key in (90, 93, 96)]) > 0.5


def test_both_sample_rates_give_the_same_sound() -> None:
    """The same partials with the same levels: the spectra of 44.1 and 48 kHz agree."""
    levels = []
    for rate in (44_100, 48_000):
        sound = Piano(rate).note(64, 80, 1.5)[0, :rate]
        levels.append(np.abs(np.fft.rfft(sound * np.hanning(rate)))[:8000] / rate)
    strong = levels[0] > 1e-3 * levels[0].max()
    np.testing.assert_allclose(levels[0][strong], levels[1][strong], rtol=0.05, atol=2e-3 * levels[0].max())
