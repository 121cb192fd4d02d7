"""Pictures of notes.

Figures are made without pyplot, as those of sound.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_modules.audio.notes import HeardNotes, NoteList
from lightning_modules.reports.figures import in_own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_SECONDS = 60.0
MOST_ROWS = 12
LOWEST_PITCH, HIGHEST_PITCH = 21, 108
NOTE_HEIGHT = 0.85  # semitones
PEDAL_HEIGHT = 2.0
ROW_INCHES = (11.0, 2.0)
DOTS_PER_INCH = 100


@in_own_style
def piano_roll_figure(
    notes: NoteList, seconds: float, pedal: NDArray[np.float64] | None = None, title: str = ""
) -> "Figure":
    """Notes over time, a minute a row: pitch upwards, velocity by colour, the sustain pedal as a strip below.

    Args:
        notes: Times in seconds.
        seconds: Length of the picture; rows are longer than a minute where there would be more than
            `MOST_ROWS`.
        pedal: (P, 2) seconds at which the pedal goes down and comes up.
        title: Above the first row.

    Returns:
        A figure that no pyplot state holds; `figure.savefig(path)` writes it.

    Raises:
        ValueError: If `seconds` is not above 0.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    if not seconds > 0.0:
        raise ValueError(f"seconds={seconds}: give more than 0")
    length = max(min(seconds, ROW_SECONDS), seconds / MOST_ROWS)
    rows = max(1, math.ceil(seconds / length - 1e-9))
    width, height = ROW_INCHES
    figure = Figure(figsize=(width, height * rows + 0.5), dpi=DOTS_PER_INCH, layout="constrained")
    presses = np.zeros((0, 2)) if pedal is None else pedal
    strip = rectangles(presses[:, 0], presses[:, 1], np.full(len(presses), LOWEST_PITCH - 3.0), PEDAL_HEIGHT)
    bars = rectangles(notes.onset, notes.offset, notes.pitch, NOTE_HEIGHT)
    grid = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for index, axes in enumerate(grid):
        axes.add_collection(PolyCollection(list(strip), facecolors="0.75", linewidths=0))
        drawn = PolyCollection(list(bars), cmap="viridis_r", linewidths=0)
        drawn.set_array(np.asarray(notes.velocity, dtype=np.float64))
        drawn.set_clim(1, 127)
        axes.add_collection(drawn)
        axes.set_xlim(index * length, (index + 1) * length)
        axes.set_ylim(LOWEST_PITCH - 5, HIGHEST_PITCH + 1)
        octaves = range(24, HIGHEST_PITCH, 12)
        axes.set_yticks(list(octaves), [f"C{pitch // 12 - 1}" for pitch in octaves], fontsize=8)
        axes.grid(axis="y", linewidth=0.3)
    grid[0].set_title(title, loc="left", fontsize=10)
    grid[-1].set_xlabel("time (s)")
    figure.colorbar(drawn, ax=list(grid), label="velocity", pad=0.01, fraction=0.03)
    return figure


class PianoRoll:
    """Collects what is played, in the order of its times, for a picture of it: a `NoteSink`.

    A key struck again before its release is released there.
    """

    def __init__(self) -> None:
        self._notes: list[tuple[float, int, float, int]] = []  # onset, pitch, offset, velocity
        self._latest: dict[int, int] = {}  # pitch -> index of its latest note
        self._presses: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self._notes)

    def note(self, onset: float, offset: float, pitch: int, velocity: int) -> None:
        """Add a note; times in seconds."""
        if pitch in self._latest:
            index = self._latest[pitch]
            begin, _, end, loudness = self._notes[index]
            self._notes[index] = (begin, pitch, min(end, onset), loudness)
        self._latest[pitch] = len(self._notes)
        self._notes.append((onset, pitch, offset, velocity))

    def pedal(self, time: float, is_down: bool) -> None:
        """Move the sustain pedal at a time in seconds."""
        if self._presses and math.isinf(self._presses[-1][1]):  # it is down
            self._presses[-1] = (self._presses[-1][0], time)
        if is_down:
            self._presses.append((time, math.inf))

    def figure(self, seconds: float, title: str = "") -> "Figure":
        """As `piano_roll_figure` draws it; a pedal that stays down is down until `seconds`."""
        presses = np.array(self._presses, dtype=np.float64).reshape(-1, 2)
        notes = HeardNotes.from_rows(self._notes)
        return piano_roll_figure(notes, seconds, presses.clip(max=seconds), title)


def rectangles(
    begin: NDArray[np.float64], end: NDArray[np.float64], middle: NDArray[np.float64], height: float
) -> NDArray[np.float64]:
    """(N, 4, 2) corners of bars from `begin` to `end`."""
    low, high = middle - height / 2, middle + height / 2
    corners = [(begin, low), (end, low), (end, high), (begin, high)]
    return np.array([np.stack(each, axis=-1) for each in corners], dtype=np.float64).transpose(1, 0, 2)
