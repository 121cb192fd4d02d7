"""The notes of clips, as padded arrays for a batch."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.batch import PEDAL_FRAMES_PER_SECOND, NoteBatch
from datamodules.release.notes import Played

RING_SECONDS = 6.0
"""How long after its damper has fallen a note is still part of clips: the highest strings have no damper."""

LONGEST_SECONDS = 90.0
"""After that every string is silent: under a pedal that stays down, notes must not pile up without end."""


class ClipNotes:
    """Finds the notes of clips, fast: performances hold thousands, clips a few.

    Args:
        played: What was played, by row of the performance.
        sample_rate: Of the clips, in Hz.
    """

    def __init__(self, played: Mapping[int, Played], sample_rate: int) -> None:
        self.played = played
        self.sample_rate = sample_rate
        ends = {row: each.notes.sounding_offset for row, each in played.items()}
        self._latest = {row: np.maximum.accumulate(end) for row, end in ends.items()}
        self._mean = {row: mean_velocity(each) for row, each in played.items()}

    def batch(
        self,
        row: NDArray[np.int64],
        start: NDArray[np.int64],
        gain: NDArray[np.float32],
        clip_samples: int,
    ) -> NoteBatch:
        """The notes of clips.

        Args:
            row: (B,) rows of their performances.
            start: (B,) first samples.
            gain: (B,) factors applied to their waveforms.
            clip_samples: Length of each.
        """
        clips = list(zip(row.tolist(), start.tolist(), strict=True))
        found = [self._inside(each, first, clip_samples) for each, first in clips]
        width = max(1, max(len(each) for each in found))
        table = np.zeros((5, len(clips), width))
        table[0] = 60.0
        table[4] = 64.0
        onset_sample = np.zeros((len(clips), width), dtype=np.int64)
        at_onset = np.zeros((len(clips), width, 3), dtype=np.float32)
        mask = np.zeros((len(clips), width), dtype=bool)
        num_frames = -(-clip_samples * PEDAL_FRAMES_PER_SECOND // self.sample_rate)
        pedals = np.zeros((len(clips), 3, num_frames), dtype=np.float32)
        for index, ((each, first), chosen) in enumerate(zip(clips, found, strict=True)):
            played, seconds = self.played[each], first / self.sample_rate
            notes, count = played.notes, len(chosen)
            onset = notes.onset[chosen] * self.sample_rate
            whole = np.floor(onset)
            onset_sample[index, :count] = whole.astype(np.int64) - first
            table[:, index, :count] = (
                notes.pitch[chosen],
                onset - whole,
                notes.offset[chosen] - seconds,
                notes.sounding_offset[chosen] - seconds,
                notes.velocity[chosen],
            )
            at_onset[index, :count] = played.pedals_at_onset[chosen] / 127.0
            mask[index, :count] = True
            time = seconds + np.arange(num_frames) / PEDAL_FRAMES_PER_SECOND
            pedals[index] = np.stack([pedal.at(time) for pedal in played.pedals]) / 127.0
        pitch, fraction, offset, sounding, velocity = torch.from_numpy(table.astype(np.float32))
        return NoteBatch(
            pitch=pitch.long(),
            onset_sample=torch.from_numpy(onset_sample),
            onset_fraction=fraction,
            offset=offset,
            sounding_offset=sounding,
            velocity=velocity,
            pedals_at_onset=torch.from_numpy(at_onset),
            mask=torch.from_numpy(mask),
            pedals=torch.from_numpy(pedals),
            mean_velocity=torch.tensor([self._mean[each] for each, _ in clips], dtype=torch.float32),
            start_sample=torch.from_numpy(start.astype(np.int64)),
            gain=torch.from_numpy(gain.astype(np.float32)),
        )

    def _inside(self, row: int, start: int, clip_samples: int) -> NDArray[np.int64]:
        """Which notes of a performance may be heard in a clip."""
        onset = self.played[row].notes.onset
        first, last = start / self.sample_rate, (start + clip_samples) / self.sample_rate
        # notes are in the order of their onsets; none before `begin` sounds as late as the clip
        begin = np.searchsorted(self._latest[row], first - RING_SECONDS, side="right")
        end = np.searchsorted(onset, last, side="left")
        candidates = np.arange(begin, max(begin, end))
        heard = self.played[row].notes.sounding_offset[candidates] > first - RING_SECONDS
        return candidates[heard & (onset[candidates] > first - LONGEST_SECONDS)]


def mean_velocity(played: Played) -> float:
    """Mean velocity of a performance's notes; 64, the middle, if it has none."""
    velocity = played.notes.velocity
    return float(velocity.mean()) if len(velocity) else 64.0
