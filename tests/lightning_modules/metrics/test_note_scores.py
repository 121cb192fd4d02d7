"""Note scores against values worked out by hand, and against mir_eval's own."""

import math

import mir_eval
import numpy as np
import pytest
import torch

from lightning_modules.audio.notes import HeardNotes
from lightning_modules.metrics.intervals import bootstrap_distance
from lightning_modules.metrics.note_scores import (
    histogram_distance,
    interval_counts,
    note_f_score,
    notes_per_second,
    pitch_class_counts,
    pitch_class_entropy,
    polyphony,
    silent_share,
    velocity_correlation,
    velocity_spread,
)

NONE = HeardNotes.from_rows([])
PLAYED = HeardNotes.from_rows(
    [(0.0, 60, 1.0, 40), (0.5, 64, 1.0, 60), (1.0, 67, 3.0, 80), (2.0, 72, 4.0, 100)]
)


def moved(notes: HeardNotes, seconds: float = 0.0, pitch: int = 0, longer: float = 0.0) -> HeardNotes:
    onset = notes.onset + seconds
    return notes._replace(onset=onset, pitch=notes.pitch + pitch, offset=notes.offset + seconds + longer)


def random_notes(seed: int, number: int = 60) -> HeardNotes:
    generator = np.random.default_rng(seed)
    onset = generator.uniform(0, 10, number)
    rows = zip(
        onset,
        generator.integers(50, 60, number),
        onset + generator.uniform(0.1, 2, number),
        generator.integers(1, 128, number),
        strict=True,
    )
    return HeardNotes.from_rows([tuple(row) for row in rows])


def test_f_score_by_hand():
    # 2 of 4 are found, 1 of 3 answers is wrong: precision 2/3, recall 2/4
    heard = HeardNotes.from_rows([(0.04, 60, 1.0, 40), (0.5, 65, 1.0, 60), (2.0, 72, 2.5, 100)])
    precision, recall = 2 / 3, 2 / 4
    assert note_f_score(PLAYED, heard) == pytest.approx(2 * precision * recall / (precision + recall))
    # the last one ends 1.5 s early, more than 20% of its 2 s
    assert note_f_score(PLAYED, heard, with_offsets=True) == pytest.approx(
        2 * (1 / 3) * (1 / 4) / (1 / 3 + 1 / 4)
    )


def test_a_semitone_or_60_ms_off_is_another_note():
    assert note_f_score(PLAYED, PLAYED) == 1.0
    assert note_f_score(PLAYED, moved(PLAYED, pitch=1)) == 0.0
    assert note_f_score(PLAYED, moved(PLAYED, seconds=0.04)) == 1.0
    assert note_f_score(PLAYED, moved(PLAYED, seconds=0.06)) == 0.0
    assert note_f_score(PLAYED, moved(PLAYED, longer=0.15), with_offsets=True) == 0.75


def test_nothing_heard():
    assert note_f_score(NONE, NONE) == 1.0
    assert note_f_score(PLAYED, NONE) == note_f_score(NONE, PLAYED) == 0.0
    assert math.isnan(velocity_correlation(PLAYED, NONE))


@pytest.mark.parametrize("with_offsets", [False, True])
def test_f_score_is_mir_evals(with_offsets):
    reference = random_notes(0)
    other = random_notes(1)
    heard = HeardNotes(*(np.concatenate([a[:40], b[:20]]) for a, b in zip(reference, other, strict=True)))
    intervals = [np.stack([notes.onset, notes.offset], 1) for notes in (reference, heard)]
    hertz = [mir_eval.util.midi_to_hz(notes.pitch) for notes in (reference, heard)]
    ratio = 0.2 if with_offsets else None
    expected = mir_eval.transcription.precision_recall_f1_overlap(
        intervals[0], hertz[0], intervals[1], hertz[1], offset_ratio=ratio
    )[2]
    assert 0.5 < expected < 1.0
    assert note_f_score(reference, heard, with_offsets) == pytest.approx(expected)


def test_velocity_correlation_by_hand():
    assert velocity_correlation(PLAYED, PLAYED._replace(velocity=PLAYED.velocity // 2 + 3)) == pytest.approx(
        1.0
    )
    assert velocity_correlation(PLAYED, PLAYED._replace(velocity=128 - PLAYED.velocity)) == pytest.approx(
        -1.0
    )
    heard = PLAYED._replace(velocity=np.array([50, 40, 90, 70]))
    # deviations -30 -10 10 30 and -12.5 -22.5 27.5 7.5
    products = 375 + 225 + 275 + 225
    assert velocity_correlation(PLAYED, heard) == pytest.approx(products / math.sqrt(2000 * 1475))
    # of notes that were found alone
    missed = heard._replace(pitch=np.array([60, 64, 67, 73]))
    left = np.corrcoef([40, 60, 80], [50, 40, 90])[0, 1]
    assert velocity_correlation(PLAYED, missed) == pytest.approx(left)
    assert math.isnan(velocity_correlation(PLAYED, PLAYED._replace(velocity=np.full(4, 64))))


def test_what_kind_of_music_by_hand():
    # sounding: 1 for 0.5 s, 2 for 0.5 s, 1 for 1 s, 2 for 1 s, 1 for 1 s, none for 4 s
    assert notes_per_second(PLAYED, 8.0) == 0.5
    assert polyphony(PLAYED, 8.0) == pytest.approx((0.5 + 1.0 + 1.0 + 2.0 + 1.0) / 4.0)
    assert silent_share(PLAYED, 8.0) == pytest.approx(0.5)
    assert pitch_class_counts(PLAYED, 8.0).tolist() == [2, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    assert interval_counts(PLAYED, 8.0)[[3, 4, 5]].tolist() == [1, 1, 1]
    wide = HeardNotes.from_rows([(0.0, 30, 1.0, 1), (1.0, 90, 2.0, 1), (1.0, 90, 2.0, 1)])
    assert interval_counts(wide, 8.0)[[0, 24]].tolist() == [1, 1]


def test_what_was_struck_before_sounds_but_is_not_struck():
    earlier = HeardNotes.from_rows([(-1.0, 60, 1.0, 64), (9.0, 60, 10.0, 64)])
    assert notes_per_second(earlier, 8.0) == 0.0
    assert pitch_class_counts(earlier, 8.0).sum() == 0
    assert polyphony(earlier, 8.0) == 1.0
    assert silent_share(earlier, 8.0) == pytest.approx(7 / 8)


def test_a_clip_without_notes():
    assert notes_per_second(NONE, 8.0) == polyphony(NONE, 8.0) == 0.0
    assert silent_share(NONE, 8.0) == 1.0
    assert pitch_class_counts(NONE, 8.0).sum() == interval_counts(NONE, 8.0).sum() == 0


def counts(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)[:, None]


def test_histogram_distance_by_hand():
    half, one = counts([1, 1], [0, 0]), counts([3, 0])
    middle = [0.75, 0.25]
    expected = (
        0.5 * math.log2(0.5 / middle[0]) + 0.5 * math.log2(0.5 / middle[1]) + math.log2(1 / middle[0])
    ) / 2
    assert histogram_distance(half, one).item() == pytest.approx(expected)
    assert histogram_distance(one, half).item() == pytest.approx(expected)
    assert histogram_distance(half, counts([5, 5])).item() == pytest.approx(0.0, abs=1e-12)
    assert histogram_distance(one, counts([0, 2])).item() == pytest.approx(1.0)


def test_histograms_of_nothing():
    nothing, some = counts([0, 0]), counts([1, 2])
    assert histogram_distance(nothing, some) == histogram_distance(some, nothing) == 1.0
    assert histogram_distance(nothing, nothing) == 0.0


def test_histogram_distance_has_an_interval():
    draws = [
        torch.from_numpy(np.random.default_rng(s).multinomial(20, [0.2, 0.3, 0.5], 30))[:, None]
        for s in (0, 1)
    ]
    found = bootstrap_distance(histogram_distance, *draws)
    assert found.low <= found.value <= found.high
    assert found.value < 0.01


def test_entropy_and_spread_by_hand():
    notes = HeardNotes.from_rows(
        [(0.0, 60, 1.0, 40), (0.5, 72, 1.0, 60), (1.0, 64, 2.0, 80), (1.5, 67, 2.0, 100)]
    )
    assert pitch_class_entropy(notes, 2.0) == pytest.approx(1.5)  # a half and two quarters
    assert velocity_spread(notes, 2.0) == pytest.approx(500**0.5)
    assert velocity_spread(notes, 1.0) == pytest.approx(10.0)  # the first two alone
    none = HeardNotes.from_rows([])
    assert pitch_class_entropy(none, 1.0) == velocity_spread(none, 1.0) == 0.0
