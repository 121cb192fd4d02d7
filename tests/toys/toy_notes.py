"""Notes by hand, as a batch."""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.batch import PEDAL_FRAMES_PER_SECOND, NoteBatch


def note_batch(
    clips: Sequence[Sequence[tuple[int, float, float, int]]], sample_rate: int = 16_000, start_sample: int = 0
) -> NoteBatch:
    """Notes (pitch, onset, sounding offset, velocity) of clips, in seconds from the clip's start."""
    width = max(1, *(len(notes) for notes in clips))
    shape = (len(clips), width)
    table = np.zeros((4, *shape))
    table[0], table[3] = 60.0, 64.0
    mask = np.zeros(shape, dtype=bool)
    for index, notes in enumerate(clips):
        if notes:
            table[:, index, : len(notes)] = np.array(notes, dtype=float).T
        mask[index, : len(notes)] = True
    pitch, onset, offset, velocity = table
    samples = onset * sample_rate
    whole = np.floor(samples)
    return NoteBatch(
        pitch=torch.from_numpy(pitch).long(),
        onset_sample=torch.from_numpy(whole).long(),
        onset_fraction=torch.from_numpy(samples - whole).float(),
        offset=torch.from_numpy(offset).float(),
        sounding_offset=torch.from_numpy(offset).float(),
        velocity=torch.from_numpy(velocity).float(),
        pedals_at_onset=torch.zeros(*shape, 3),
        mask=torch.from_numpy(mask),
        pedals=torch.zeros(len(clips), 3, 4 * PEDAL_FRAMES_PER_SECOND),
        mean_velocity=torch.full(shape[:1], 64.0),
        start_sample=torch.full(shape[:1], start_sample),
        gain=torch.ones(shape[:1]),
    )
