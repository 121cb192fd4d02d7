"""Scores of lists of notes: against a reference, or, without one, of the music that they are.

Everything here is a stateless formula over note lists; who hears them in audio is `metrics.transcription`.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.audio.notes import HeardNotes, NoteList

ONSET_TOLERANCE_SECONDS = 0.05
OFFSET_TOLERANCE_RATIO = 0.2
"""Of the reference note's length, and at least 50 ms: MIREX's note tracking."""
FEWEST_MATCHES = 3
"""Pairs that a correlation needs: two always correlate by 1 or -1."""
WIDEST_INTERVAL = 24


def note_f_score(reference: NoteList, estimate: NoteList, with_offsets: bool = False) -> float:
    """F-score of notes matched one to one: the same key, onsets within 50 ms (Bay, Ehmann and Downie 2009).

    Args:
        reference: The notes that should be there.
        estimate: The notes that were heard.
        with_offsets: Whether offsets must match too, within 20% of the reference note's length or 50 ms.

    Returns:
        0 to 1; 1 if neither has any, 0 if only one has.
    """
    num_reference, num_estimate = len(reference.pitch), len(estimate.pitch)
    if num_reference == 0 or num_estimate == 0:
        return float(num_reference == num_estimate)
    matched = len(matched_notes(reference, estimate, with_offsets))
    return 2.0 * matched / (num_reference + num_estimate)


def matched_notes(reference: NoteList, estimate: NoteList, with_offsets: bool = False) -> NDArray[np.int64]:
    """Indices (M, 2) into both lists of the largest possible set of matched pairs; see `note_f_score`."""
    import mir_eval  # it imports scipy

    if len(reference.pitch) == 0 or len(estimate.pitch) == 0:
        return np.zeros((0, 2), dtype=np.int64)
    pairs = mir_eval.transcription.match_notes(
        *_as_intervals(reference),
        *_as_intervals(estimate),
        onset_tolerance=ONSET_TOLERANCE_SECONDS,
        offset_ratio=OFFSET_TOLERANCE_RATIO if with_offsets else None,
    )
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _as_intervals(notes: NoteList) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mir_eval's form: (M, 2) onsets and offsets in seconds, and (M,) frequencies in Hz."""
    ends = np.maximum(notes.offset, notes.onset + 1e-3)  # it takes no note without length
    return np.stack([notes.onset, ends], axis=1), 440.0 * 2.0 ** ((np.asarray(notes.pitch) - 69) / 12)


def velocity_correlation(reference: NoteList, estimate: NoteList) -> float:
    """Pearson's correlation of the velocities of notes matched by key and onset.

    Returns:
        -1 to 1; NaN for fewer than 3 pairs, or where one side's velocities are all equal.
    """
    pairs = matched_notes(reference, estimate)
    if len(pairs) < FEWEST_MATCHES:
        return float("nan")
    sides = (np.asarray(reference.velocity)[pairs[:, 0]], np.asarray(estimate.velocity)[pairs[:, 1]])
    struck, heard = (side - side.mean() for side in sides)
    norm = float(np.sqrt(np.square(struck).sum() * np.square(heard).sum()))
    return float((struck * heard).sum()) / norm if norm > 0.0 else float("nan")


def struck_within(notes: NoteList, seconds: float) -> HeardNotes:
    """The notes that begin within a clip, with the ends of their sounds where these are known."""
    inside = _struck(notes, seconds)
    offset = getattr(notes, "sounding_offset", notes.offset)  # else where keys are released
    columns = (np.asarray(each)[inside] for each in (notes.pitch, notes.onset, offset, notes.velocity))
    return HeardNotes(*columns)


def notes_per_second(notes: NoteList, seconds: float) -> float:
    """Notes struck in a clip of this length, per second."""
    return int(_struck(notes, seconds).sum()) / seconds


def polyphony(notes: NoteList, seconds: float) -> float:
    """Mean number of notes that sound at once, over the time in which any does; 0 if none ever does."""
    counts, spans = _sounding(notes, seconds)
    sounding = float(spans[counts > 0].sum())
    return float((counts * spans).sum()) / sounding if sounding > 0.0 else 0.0


def silent_share(notes: NoteList, seconds: float) -> float:
    """Share, 0 to 1, of a clip's time in which no note sounds."""
    counts, spans = _sounding(notes, seconds)
    return float(spans[counts == 0].sum()) / seconds


def pitch_class_counts(notes: NoteList, seconds: float) -> NDArray[np.int64]:
    """(12,) how many notes are struck of each pitch class, from C."""
    return np.bincount(np.asarray(notes.pitch)[_struck(notes, seconds)] % 12, minlength=12)


def pitch_class_entropy(notes: NoteList, seconds: float) -> float:
    """Entropy in bits of the histogram of pitch classes: 0 for one class or no notes, 3.58 for all alike."""
    counts = pitch_class_counts(notes, seconds)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log2(shares)).sum())


def velocity_spread(notes: NoteList, seconds: float) -> float:
    """Standard deviation of the velocities of struck notes; 0 without notes."""
    velocity = np.asarray(notes.velocity)[_struck(notes, seconds)]
    return float(velocity.std()) if len(velocity) else 0.0


def interval_counts(notes: NoteList, seconds: float) -> NDArray[np.int64]:
    """(25,) semitones between each struck note and the next, up or down: 0 to 23, and 24 or more.

    The order is that of onsets, and of pitch where they are equal.
    """
    pitch = np.asarray(notes.pitch)[_struck(notes, seconds)]
    steps = np.minimum(np.abs(np.diff(pitch)), WIDEST_INTERVAL)
    return np.bincount(steps, minlength=WIDEST_INTERVAL + 1)


def histogram_distance(counts: Tensor, others: Tensor) -> Tensor:
    """Jensen-Shannon divergence in bits of the histograms of two sets of clips (Lin 1991).

    Args:
        counts: (N, 1, F) counts of each clip, added up over the clips.
        others: (N', 1, F).

    Returns:
        Scalar float64, 0 (equal) to 1 (nothing in common); if only one set has any counts 1, if none has 0.
    """
    sums = [each.double().flatten(0, 1).sum(0) for each in (counts, others)]  # (F,)
    if any(total.sum() == 0 for total in sums):
        return torch.tensor(float(not all(total.sum() == 0 for total in sums)), dtype=torch.float64)
    shares = [total / total.sum() for total in sums]
    middle = (shares[0] + shares[1]) / 2
    parts = [torch.xlogy(share, share / middle.clamp_min(1e-300)).sum() / 2 for share in shares]
    return (parts[0] + parts[1]) / float(np.log(2.0))


def _struck(notes: NoteList, seconds: float) -> NDArray[np.bool_]:
    """Which notes begin within the clip."""
    onset = np.asarray(notes.onset)
    return (onset >= 0.0) & (onset < seconds)


def _sounding(notes: NoteList, seconds: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Onsets and offsets cut a clip into spans: how many notes sound in each, and how long it is."""
    begin, end = np.clip(notes.onset, 0.0, seconds), np.clip(notes.offset, 0.0, seconds)
    edges = np.unique(np.concatenate([[0.0, seconds], begin, end]))
    counts = np.searchsorted(np.sort(begin), edges[:-1], "right") - np.searchsorted(
        np.sort(end), edges[:-1], "right"
    )
    return counts, np.diff(edges)
