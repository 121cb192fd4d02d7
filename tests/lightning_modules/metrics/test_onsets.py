"""Onsets of sounds whose onsets are known."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.metrics.onsets import chord_onsets, detect_onsets, onset_f_score

RATE = 16_000
STRUCK = np.array([0.5, 1.0, 1.25, 2.0, 2.75, 3.5])


def strokes(onsets: np.ndarray, seconds: float = 4.0) -> np.ndarray:
    """A decaying tone at each time."""
    time = np.arange(round(seconds * RATE)) / RATE
    waveform = np.zeros_like(time)
    for index, onset in enumerate(onsets):
        since = np.clip(time - onset, 0, None)
        tone = np.sin(2 * np.pi * 220 * 2 ** (index * 5 / 12) * since) * np.exp(-6 * since)
        waveform += np.where(time >= onset, tone, 0.0)
    return (0.2 * waveform).astype(np.float32)


def test_onsets_are_heard_where_they_are():
    heard = detect_onsets(strokes(STRUCK), RATE)
    assert onset_f_score(STRUCK, heard) == 1.0


def test_f_score_by_hand():
    reference, estimate = np.array([1.0, 2.0, 3.0]), np.array([1.04, 2.06, 3.0, 5.0])
    precision, recall = 2 / 4, 2 / 3
    expected = 2 * precision * recall / (precision + recall)
    assert onset_f_score(reference, estimate) == pytest.approx(expected)
    assert onset_f_score(np.zeros(0), np.zeros(0)) == 1.0
    assert onset_f_score(reference, np.zeros(0)) == onset_f_score(np.zeros(0), estimate) == 0.0


@pytest.mark.parametrize("waveform", [np.zeros(RATE), np.full(RATE, np.nan), np.zeros(1)])
def test_nothing_is_heard_in_silence_and_in_nan(waveform):
    assert len(detect_onsets(waveform.astype(np.float32), RATE)) == 0


def test_a_chord_is_one_onset_and_what_began_before_is_none():
    onsets = np.array([-0.5, 1.0, 1.01, 1.02, 1.5, 4.0])
    np.testing.assert_allclose(chord_onsets(onsets, 4.0), [1.0, 1.5])


HEARS = """
import sys, time
from pathlib import Path
import numba, numpy
import librosa
from lightning_modules.metrics.onsets import detect_onsets
folder, number = Path(sys.argv[1]), int(sys.argv[2])
for place in range(number):  # numba counts what a process compiles
    numba.njit(lambda x: x)(place)
(folder / sys.argv[2]).touch()
while len(list(folder.iterdir())) < 2:
    time.sleep(0.001)
detect_onsets(numpy.random.default_rng(0).standard_normal(16_000).astype(numpy.float32), 16_000)
"""


@pytest.mark.slow
def test_two_processes_may_compile_librosa_at_once(tmp_path: Path):
    ready = tmp_path / "ready"
    ready.mkdir()
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    commands = [[sys.executable, "-c", HEARS, str(ready), number] for number in ("0", "3")]
    started = [subprocess.Popen(command, env=environment) for command in commands]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    assert subprocess.run(commands[0], env=environment).returncode == 0
