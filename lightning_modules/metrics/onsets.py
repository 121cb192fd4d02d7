"""Onsets of notes heard in audio, and their F-score."""

import importlib.util
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from datamodules.files import locked_in_turn

TOLERANCE_SECONDS = 0.05
HOP_SECONDS = 0.01
SAME_CHORD_SECONDS = 0.03
"""Keys of a chord fall within this time of each other; a detector hears them as one onset."""


def detect_onsets(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Times at which librosa hears notes begin, by spectral flux.

    Args:
        waveform: (T,).
        sample_rate: In Hz.

    Returns:
        Increasing times in seconds; none in silence.
    """
    if not np.isfinite(waveform).all() or np.abs(waveform).max(initial=0.0) < 1e-4:
        return np.zeros(0)
    hop = max(round(HOP_SECONDS * sample_rate), 1)
    # seconds to import, and needed at test only
    onsets = import_librosa().onset.onset_detect(y=waveform, sr=sample_rate, hop_length=hop, units="time")
    return np.asarray(onsets, dtype=np.float64)


@cache
def import_librosa() -> ModuleType:
    """Import librosa with all that it compiles, one process of this machine at a time.

    Its first import after an installation compiles for half a minute, and keeps the result for all that come
    later. Two processes that do so at once leave parts that do not fit each other, since numba names them by
    the order in which each process compiled: a call then ends the process by a segmentation fault, also of
    every later one (numba 0.68).
    """
    found = importlib.util.find_spec("librosa")
    origin = found.origin if found is not None else None
    with locked_in_turn(Path(origin)) if origin is not None else nullcontext():
        import librosa
        import librosa.onset
        import librosa.util.utils
    return librosa


def onset_f_score(reference: NDArray[np.float64], estimate: NDArray[np.float64]) -> float:
    """F-score of onsets matched one to one within 50 ms (mir_eval; MIREX onset detection).

    Args:
        reference: Increasing times in seconds.
        estimate: Increasing times in seconds.

    Returns:
        0 to 1; 1 if neither has any, 0 if only one has.
    """
    import mir_eval  # it imports scipy

    if len(reference) == 0 or len(estimate) == 0:
        return float(len(reference) == len(estimate))
    score, _, _ = mir_eval.onset.f_measure(reference, estimate, window=TOLERANCE_SECONDS)
    return float(score)


def chord_onsets(onsets: NDArray[np.float64], duration: float) -> NDArray[np.float64]:
    """Onsets of played notes as a listener counts them: within the clip, and a chord as one.

    Args:
        onsets: In seconds from the clip's start; negative ones were struck before it.
        duration: Of the clip in seconds.
    """
    inside = np.sort(onsets[(onsets >= 0.0) & (onsets < duration)])
    kept: list[float] = []
    for onset in inside:
        if not kept or onset - kept[-1] > SAME_CHORD_SECONDS:
            kept.append(float(onset))
    return np.array(kept, dtype=np.float64)
