"""From a transcriber's probabilities to notes: peaks of onsets, and where sounds end."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.audio.notes import HeardNotes
from lightning_modules.networks.transcriber import LOWEST_PITCH, NUM_KEYS, NoteLogits, Transcriber

Floats = NDArray[np.float32]
SHORTEST_FRAMES = 2
"""A note sounds for so long at least: around its onset, the key's earlier sound may still be ending."""


class _Open(NamedTuple):
    """A note that has not ended yet: frame of its peak, onset in frames, and velocity."""

    frame: int
    onset: float
    velocity: int


class NotePicker:
    """Picks notes out of probabilities that come block by block; the blocks' lengths make no difference.

    A note begins where the probability of an onset has a peak above the threshold, to part of a frame by the
    parabola through it. It ends where the probability that it sounds falls below its threshold, or where its
    key is struck again.

    Args:
        transcriber: Whose probabilities they are; its thresholds and its frames' distance hold.
    """

    def __init__(self, transcriber: Transcriber) -> None:
        self.frame_seconds = transcriber.hop_samples / transcriber.sample_rate
        self.onset_threshold = transcriber.onset_threshold.item()
        self.sounding_threshold = transcriber.sounding_threshold.item()
        self._frame = -1  # of the first of the held columns
        self._held: tuple[Floats, ...] = tuple(
            np.zeros((NUM_KEYS, 1), np.float32) for _ in NoteLogits._fields
        )
        self._open: dict[int, _Open] = {}
        self._rows: list[tuple[float, int, float, int]] = []

    def add(self, logits: NoteLogits) -> None:
        """Go on with the next frames: (1, K, N) each."""
        new = [part[0].sigmoid().cpu().numpy() for part in logits]
        self._take([np.concatenate(pair, axis=1) for pair in zip(self._held, new, strict=True)])

    def notes(self) -> HeardNotes:
        """All notes, those still sounding ending with the last frame; nothing can be added afterwards."""
        end = self._frame + self._held[0].shape[1]
        self._take([np.pad(part, ((0, 0), (0, 1))) for part in self._held])
        for key in list(self._open):
            self._close(key, end)
        return HeardNotes.from_rows(self._rows)

    def _take(self, parts: list[Floats]) -> None:
        """Pick in all columns but the first and the last, which are neighbours only."""
        onset, sounding, velocity = parts
        middle, left, right = onset[:, 1:-1], onset[:, :-2], onset[:, 2:]
        peaks = (middle > self.onset_threshold) & (middle > left) & (middle >= right)
        silent = sounding[:, 1:-1] < self.sounding_threshold
        for key in np.flatnonzero(peaks.any(1) | np.isin(np.arange(NUM_KEYS), list(self._open))).tolist():
            shapes = np.stack([left[key], middle[key], right[key]])
            self._pick(
                key, np.flatnonzero(peaks[key]), np.flatnonzero(silent[key]), shapes, velocity[key, 1:-1]
            )
        self._frame += middle.shape[1]
        self._held = tuple(part[:, -2:] for part in parts)

    def _pick(
        self, key: int, peaks: NDArray[np.int64], silent: NDArray[np.int64], shapes: Floats, velocity: Floats
    ) -> None:
        """One key's notes; peaks and silent frames count from the block's first."""
        first = self._frame + 1
        for peak in [*peaks.tolist(), None]:
            if (note := self._open.get(key)) is not None:
                over = silent[silent + first >= note.frame + SHORTEST_FRAMES]
                if len(over) and (peak is None or over[0] < peak):
                    self._close(key, first + int(over[0]))
                elif peak is not None:
                    self._close(key, first + peak)
            if peak is not None:
                before, top, after = shapes[:, peak].tolist()
                shift = 0.5 * (after - before) / (2.0 * top - before - after + 1e-9)
                force = min(max(round(float(velocity[peak]) * 127.0), 1), 127)
                self._open[key] = _Open(first + peak, first + peak + shift, force)

    def _close(self, key: int, frame: int) -> None:
        note = self._open.pop(key)
        offset = max(frame, note.onset + 1.0)
        onset = max(note.onset, 0.0)
        seconds = self.frame_seconds
        self._rows.append((onset * seconds, key + LOWEST_PITCH, offset * seconds, note.velocity))


def pick_notes(transcriber: Transcriber, logits: NoteLogits) -> HeardNotes:
    """The notes of one clip: (1, K, N) each."""
    picker = NotePicker(transcriber)
    picker.add(logits)
    return picker.notes()
