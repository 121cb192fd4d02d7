"""Whether a piece is somebody else's, or goes round in circles.

A piece is a row of steps, each the interval from one note to the next and how much later that comes, in
classes of which each is twice as long as the one before. So a passage is the same in another key, and nearly
always when it is played a little faster or slower.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lightning_modules.audio.notes import NoteList

TIME_CLASSES = (0.03, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Bounds in seconds: the first class is notes struck together."""
FEWEST_NOTES = 4
"""In a window, or it says nothing."""

Step = tuple[int, int]


def steps_of(notes: NoteList) -> list[Step]:
    """(semitones up, class of time) between neighbours of notes, which are ordered by onset."""
    semitones = np.diff(np.asarray(notes.pitch))
    classes = np.searchsorted(TIME_CLASSES, np.diff(np.asarray(notes.onset)), side="right")
    return list(zip(semitones.tolist(), classes.tolist(), strict=True))


def longest_shared_run(piece: Sequence[Step], others: Sequence[Sequence[Step]]) -> int:
    """Steps of the longest passage of a piece that stands in another one."""
    shortest, longest = 0, len(piece)
    while shortest < longest:  # a passage that is shared shares its parts
        middle = (shortest + longest + 1) // 2
        known = {other[at : at + middle] for other in map(tuple, others) for at in range(len(other))}
        if any(tuple(piece[at : at + middle]) in known for at in range(len(piece) - middle + 1)):
            shortest = middle
        else:
            longest = middle - 1
    return shortest


def repeated_share(notes: NoteList, window_seconds: float = 4.0) -> float:
    """Share, 0 to 1, of windows that stand in the piece more than once, step for step.

    A window begins at each note, as long as one fits into the piece; those of fewer than `FEWEST_NOTES`
    notes are left out. 0 if there is none.
    """
    onset, steps = np.asarray(notes.onset), steps_of(notes)
    begins = [at for at in range(len(onset)) if onset[at] + window_seconds <= onset[-1]]
    ends = np.searchsorted(onset, onset[begins] + window_seconds, side="left")
    spans = [span for span in zip(begins, ends.tolist(), strict=True) if span[1] - span[0] >= FEWEST_NOTES]
    windows = [tuple(steps[begin : end - 1]) for begin, end in spans]
    counts = Counter(windows)
    return sum(counts[window] > 1 for window in windows) / len(windows) if windows else 0.0
