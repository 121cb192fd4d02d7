"""Targets of notes placed by hand, and losses against formulas written out."""

import math

import numpy as np
import pytest
import torch

from datamodules.batch import NoteBatch
from lightning_modules.losses.transcription import NoteMapping, note_targets, transcription_losses
from lightning_modules.networks.note_picker import pick_notes
from lightning_modules.networks.transcriber import NUM_KEYS, NoteLogits, Transcriber

RATE, HOP = 16_000, 256


def notes(*clips: list[tuple[float, int, float, int]]) -> NoteBatch:
    """Onset in frames, pitch, end of the sound in frames, velocity of each clip's notes."""
    width = max(len(clip) for clip in clips)
    rows = np.zeros((len(clips), width, 4))
    mask = np.zeros((len(clips), width), dtype=bool)
    for index, clip in enumerate(clips):
        if clip:
            rows[index, : len(clip)] = clip
            mask[index, : len(clip)] = True
    onset, pitch, offset, velocity = torch.from_numpy(rows).unbind(-1)
    samples = onset * HOP
    seconds = (offset * HOP / RATE).float()
    return NoteBatch(
        pitch=pitch.long(),
        onset_sample=samples.floor().long(),
        onset_fraction=(samples - samples.floor()).float(),
        offset=seconds - 0.1,
        sounding_offset=seconds,
        velocity=velocity.float(),
        pedals_at_onset=torch.zeros(len(clips), width, 3),
        mask=torch.from_numpy(mask),
        pedals=torch.zeros(len(clips), 3, 1),
        mean_velocity=torch.full((len(clips),), 64.0),
        start_sample=torch.zeros(len(clips), dtype=torch.int64),
        gain=torch.ones(len(clips)),
    )


def test_targets_by_hand():
    played = notes([(3.25, 21, 7.0, 127), (0.0, 108, 99.0, 64)], [(-5.0, 60, 2.5, 50), (2.0, 110, 5.0, 99)])
    targets = note_targets(played, 10, HOP, RATE)
    expected = [0, 0, 0.375, 0.875, 0.625, 0.125, 0, 0, 0, 0]
    torch.testing.assert_close(targets.onset[0, 0], torch.tensor(expected))
    assert targets.sounding[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert targets.velocity[0, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert targets.onset[0, 87].tolist() == [1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0]
    assert targets.sounding[0, 87].tolist() == [1] * 10
    # struck before: it sounds, but does not begin
    assert targets.sounding[1, 39].tolist() == [1, 1, 1] + [0] * 7
    assert targets.onset[1].sum() == 0.0  # and nothing of what lies outside the keyboard
    assert targets.sounding.sum() == 3 + 10 + 3


def test_a_key_struck_again_sounds_on():
    targets = note_targets(notes([(2.0, 60, 5.0, 50), (5.0, 60, 8.0, 90)]), 10, HOP, RATE)
    assert targets.sounding[0, 39].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
    assert targets.onset[0, 39, [2, 5]].tolist() == [1.0, 1.0]
    assert targets.velocity[0, 39, [2, 5]].mul(127).tolist() == pytest.approx([50.0, 90.0])


def test_no_notes():
    targets = note_targets(notes([]), 10, HOP, RATE)
    assert all(part.sum() == 0 for part in targets)
    losses = transcription_losses(NoteLogits(*torch.zeros(3, 1, NUM_KEYS, 10)), targets)
    assert losses.onset == losses.sounding == pytest.approx(NUM_KEYS * math.log(2))
    assert losses.velocity == 0.0


def test_losses_by_hand():
    generator = torch.Generator().manual_seed(0)
    logits = NoteLogits(*torch.randn(3, 2, NUM_KEYS, 12, generator=generator))
    targets = note_targets(notes([(3.25, 60, 7.0, 80)], [(6.0, 70, 9.0, 30)]), 12, HOP, RATE)
    losses = transcription_losses(logits, targets, onset_weight=3.0)
    onset, sounding, velocity = (part.sigmoid().double() for part in logits)

    def entropy(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return -(target * probability.log() + (1 - target) * (1 - probability).log())

    weighted = (1 + 2 * targets.onset) * entropy(onset, targets.onset)
    assert losses.onset.item() == pytest.approx(weighted.sum(1).mean().item(), rel=1e-5)
    assert losses.sounding.item() == pytest.approx(
        entropy(sounding, targets.sounding).sum(1).mean().item(), rel=1e-5
    )
    mean = (targets.onset * entropy(velocity, targets.velocity)).sum() / targets.onset.sum()
    assert losses.velocity.item() == pytest.approx(mean.item(), rel=1e-5)


def test_the_mapping_is_the_weighted_sum():
    generator = torch.Generator().manual_seed(0)
    logits = NoteLogits(*torch.randn(3, 1, NUM_KEYS, 12, generator=generator))
    played = notes([(3.25, 60, 7.0, 80)])
    losses = transcription_losses(logits, note_targets(played, 12, HOP, RATE), onset_weight=5.0)
    expected = losses.onset + 0.5 * losses.sounding + 2.0 * losses.velocity
    mapping = NoteMapping(onset_weight=5.0, sounding_weight=0.5, velocity_weight=2.0)
    torch.testing.assert_close(mapping(logits, played, HOP, RATE), expected)


def said(played: NoteBatch, num_frames: int) -> NoteLogits:
    """What a perfect transcriber says."""
    return NoteLogits(
        *(part.clamp(1e-4, 1 - 1e-4).logit() for part in note_targets(played, num_frames, HOP, RATE))
    )


def test_wrong_late_and_too_loud_notes_each_raise_the_loss():
    right = notes([(10.0, 60, 20.0, 64)])
    targets = note_targets(right, 40, HOP, RATE)
    least = transcription_losses(said(right, 40), targets)
    for wrong in ((10.0, 61, 20.0, 64), (13.0, 60, 23.0, 64)):
        losses = transcription_losses(said(notes([wrong]), 40), targets)
        assert losses.onset > least.onset + 1.0
        assert losses.sounding > least.sounding + 1.0
    loud = transcription_losses(said(notes([(10.0, 60, 20.0, 110)]), 40), targets)
    assert loud.velocity > least.velocity + 0.1
    assert (loud.onset, loud.sounding) == (least.onset, least.sounding)


def test_what_a_perfect_transcriber_says_is_picked_as_the_notes_played():
    rows = [(10.0, 60, 20.0, 64), (10.5, 64, 30.0, 100), (20.0, 60, 40.0, 30), (77.3, 21, 90.0, 127)]
    found = pick_notes(Transcriber(RATE, width=2, dilations=(1,)), said(notes(rows), 100))
    order = sorted(rows)
    np.testing.assert_array_equal(found.pitch, [row[1] for row in order])
    np.testing.assert_allclose(found.onset * RATE / HOP, [row[0] for row in order], atol=0.1)
    np.testing.assert_array_equal(found.velocity, [row[3] for row in order])
    np.testing.assert_allclose(found.offset * RATE / HOP, [row[2] for row in order])
