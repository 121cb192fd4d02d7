"""Scores of what a listener hears that hears what it is told."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from toy_experiment import ToyDataModule, ToyModule

from datamodules.batch import Batch
from lightning_modules.audio.notes import HeardNotes
from lightning_modules.callbacks.evaluation import Evaluation
from lightning_modules.callbacks.note_comparison import EvenlySpread, NoteComparison

RATE = 1000
PLAYED = HeardNotes.from_rows(
    [(0.1, 60, 0.4, 40), (0.3, 64, 0.5, 60), (0.5, 67, 0.9, 80), (0.7, 72, 0.9, 100)]
)


class Listener:
    """Clips of a constant: 0.1 is what was played, 0.2 is half of it, others have no notes."""

    progress = None

    def __init__(self) -> None:
        self.num_heard = 0

    def __call__(self, waveform: torch.Tensor, sample_rate: int) -> list[HeardNotes]:
        self.num_heard += len(waveform)
        halves = HeardNotes(*(column[:2] for column in PLAYED))
        heard = {0.1: PLAYED, 0.2: halves}
        return [heard.get(round(clip.mean().item(), 3), HeardNotes.from_rows([])) for clip in waveform]


class Known:
    """Notes of all performances but the first; one struck before the clip, which does not count."""

    def notes(self, performance: int, start_sample: int, num_samples: int) -> HeardNotes | None:
        rows = [
            *zip(PLAYED.onset, PLAYED.pitch, PLAYED.offset, PLAYED.velocity, strict=True),
            (-0.5, 50, 0.2, 9),
        ]
        return HeardNotes.from_rows(rows) if performance else None


def clips(*levels: float) -> torch.Tensor:
    return torch.tensor(levels).view(-1, 1, 1).expand(-1, 2, RATE)


def batch(*levels: float, performance: int = 1) -> Batch:
    rows = torch.full((len(levels),), performance)
    return Batch(clips(*levels), rows, torch.zeros_like(rows))


def test_pairs_are_scored_against_the_notes_played():
    compared = NoteComparison(RATE, Known(), Listener(), 320.0, 2)
    compared.update_pairs(clips(0.2, 0.5), batch(0.1, 0.1))
    compared.update_pairs(clips(0.1), batch(0.1, performance=0))  # nobody knows its notes
    scores = {(score.name, score.of): score for score in compared.scores(torch.device("cpu"))}
    assert scores["note_f_score", "floor"].value == 1.0
    assert scores["note_offset_f_score", "floor"].value == 1.0
    assert scores["velocity_correlation", "floor"].value == pytest.approx(1.0)
    assert scores["note_f_score", "reconstructions"].value == pytest.approx((2 * 2 / (4 + 2) + 0) / 2)
    # two and no pairs: no correlation
    assert ("velocity_correlation", "reconstructions") not in scores
    assert scores["note_f_score", "reconstructions"].better == "higher"


def test_samples_without_notes_score_as_having_none():
    compared = NoteComparison(RATE, None, Listener(), 320.0, 2)
    compared.update_samples(clips(0.5, 0.6, 0.7, 0.8), clips(0.1, 0.1, 0.2, 0.2))
    compared.update_pairs(clips(0.1), batch(0.1))  # no notes are known at all
    scores = {(score.name, score.of): score.value for score in compared.scores(torch.device("cpu"))}
    assert scores["notes_per_second", "samples"] == scores["polyphony", "samples"] == 0.0
    assert scores["silent_share", "samples"] == 1.0
    assert scores["pitch_class_distance", "samples"] == scores["interval_distance", "samples"] == 1.0
    assert scores["notes_per_second", "floor"] == pytest.approx(3.0)
    assert scores["silent_share", "floor"] == pytest.approx((0.2 + 0.6) / 2, abs=1e-6)
    assert scores["pitch_class_distance", "floor"] < 1.0
    assert not [key for key in scores if key[0] == "note_f_score"]


def test_equal_sets_are_at_no_distance():
    compared = NoteComparison(RATE, None, Listener(), 320.0, 2)
    compared.update_samples(clips(0.1, 0.2), clips(0.2, 0.1))
    scores = {(score.name, score.of): score.value for score in compared.scores(torch.device("cpu"))}
    assert scores["interval_distance", "samples"] == pytest.approx(0.0, abs=1e-9)


def test_no_more_is_listened_to_than_the_budget_allows():
    listener = Listener()
    # of 64 s, each of 2 sets gets 2 segments of 8 clips of 1 s
    compared = NoteComparison(RATE, Known(), listener, 64.0, 2)
    for _ in range(50):
        compared.update_pairs(clips(0.1, 0.2), batch(0.1, 0.1))
    compared.scores(torch.device("cpu"))
    assert 16 <= listener.num_heard <= 32


@pytest.mark.parametrize("length", [1, 5, 8, 9, 100, 1000])
def test_what_is_kept_is_spread_evenly(length):
    kept = EvenlySpread[int](8)
    for item in range(length):
        if kept.wants_next():
            kept.items.append(item)
    assert min(length, 4) <= len(kept.items) <= 8
    assert kept.items[0] == 0
    assert len(set(np.diff(kept.items))) <= 1
    assert length - kept.items[-1] <= max(length / 4, 1)


class PlayedData(ToyDataModule):
    def notes(self, performance: int, start_sample: int, num_samples: int) -> HeardNotes:
        return PLAYED


def run_test(folder, **options) -> Evaluation:
    callback = Evaluation(**options)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        callbacks=[callback],
        enable_progress_bar=False,
    )
    trainer.test(ToyModule(8000, 4000), PlayedData(clip_samples=8000, num_clips=4), verbose=False)
    return callback


def test_the_table_of_lightning_test_has_the_scores(tmp_path, monkeypatch):
    class Hears(Listener):
        def __init__(self, cache_dir, device) -> None:
            super().__init__()

        def __call__(self, waveform, sample_rate):
            return [PLAYED] * len(waveform)

    monkeypatch.setattr("lightning_modules.callbacks.evaluation.NoteListener", Hears)
    found = {(score.name, score.of): score.value for score in run_test(tmp_path).scores}
    assert found["note_f_score", "floor"] == found["note_f_score", "reconstructions"] == 1.0
    assert found["pitch_class_distance", "samples"] == 0.0


def test_without_the_package_one_line_says_so(tmp_path, caplog):
    with caplog.at_level("INFO"):
        callback = run_test(tmp_path)
    lines = [record.message for record in caplog.records if "No scores of notes" in record.message]
    assert len(lines) == 1
    assert "transkun" in lines[0] and "[transcription]" in lines[0]
    assert callback.scores
    assert not [score for score in callback.scores if score.name.startswith("note")]


def test_a_budget_of_nothing_is_silent(tmp_path, caplog):
    with caplog.at_level("INFO"):
        run_test(tmp_path, listening_seconds=0.0)
    assert "No scores of notes" not in caplog.text
