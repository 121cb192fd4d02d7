"""The notes of clips in batches: against the performance's own list, and exact."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules import MaestroDataModule
from datamodules.batch import NoteBatch
from datamodules.clips.notes import RING_SECONDS, ClipNotes, mean_velocity
from datamodules.errors import OptionError
from datamodules.release.notes import Notes, PedalCurve, Played

RATE = 16_000


def played(onset: list[float], sounding: list[float]) -> Played:
    """Notes of rising pitch and velocity; the sustain pedal goes down at 1 s and halfway up at 2 s."""
    count = len(onset)
    notes = Notes(
        np.arange(60, 60 + count),
        np.array(onset),
        np.array(onset) + 0.1,
        np.arange(40, 40 + count),
        np.array(sounding),
    )
    empty = PedalCurve(np.zeros(0), np.zeros(0, dtype=np.int64))
    sustain = PedalCurve(np.array([1.0, 2.0]), np.array([127, 60]))
    at_onset = np.stack([sustain.at(notes.onset), *2 * [np.zeros(count, dtype=np.int64)]], -1)
    return Played(notes, (sustain, empty, empty), at_onset, (0,))


def clip_notes(clips: ClipNotes, start: int, num_samples: int) -> NoteBatch:
    return clips.batch(np.array([0]), np.array([start]), np.ones(1, dtype=np.float32), num_samples)


def test_times_count_from_the_clip_and_silent_notes_are_left_out():
    clips = ClipNotes({0: played([0.5, 1.25, 3.0, 20.0], [0.7, 9.0, 3.5, 21.0])}, RATE)
    notes = clip_notes(clips, 10 * RATE, RATE)
    # of the first note nothing is left after 9.3 s, the third has 3.5 + 6 s, the last is yet to come
    assert notes.pitch[0].tolist() == [61]
    assert notes.onset_sample[0].tolist() == [round((1.25 - 10) * RATE)]
    assert notes.sounding_offset[0].tolist() == [-1.0]
    assert notes.offset[0, 0].item() == pytest.approx(1.35 - 10)
    assert notes.velocity[0].tolist() == [41.0]
    assert notes.mean_velocity.tolist() == [41.5]
    assert notes.start_sample.tolist() == [10 * RATE]
    assert notes.pedals_at_onset[0].tolist() == [[1.0, 0.0, 0.0]]
    assert RING_SECONDS == 6.0


def test_pedals_are_curves_at_100_hz():
    clips = ClipNotes({0: played([0.5], [0.7])}, RATE)
    pedals = clip_notes(clips, RATE // 2, 2 * RATE).pedals
    assert pedals.shape == (1, 3, 200)
    expected = torch.tensor([0.0] * 50 + [1.0] * 100 + [60 / 127] * 50)
    torch.testing.assert_close(pedals[0, 0], expected)
    assert not pedals[0, 1:].any()


def test_onsets_are_exact_at_any_start_and_rate():
    """The same note, seen from anywhere, lies at one place, to a thousandth of a sample after an hour."""
    onset = 3600.123456789
    for rate in (16_000, 44_100, 48_000):
        clips = ClipNotes({0: played([onset], [onset + 100.0])}, rate)
        for start in (3600 * rate, 3601 * rate + 17, 3660 * rate + 12_345):
            notes = clip_notes(clips, start, rate)
            place = start + notes.onset_sample.item() + notes.onset_fraction.double().item()
            assert place == pytest.approx(onset * rate, abs=1e-3)
            assert 0.0 <= notes.onset_fraction.item() < 1.0


def test_clips_of_one_batch_are_padded():
    clips = ClipNotes({0: played([0.5, 0.6], [0.7, 0.8]), 3: played([0.1], [0.3])}, RATE)
    gain = np.array([0.5, -1.0, 2.0], dtype=np.float32)
    notes = clips.batch(np.array([3, 0, 0]), np.array([0, 0, 60 * RATE]), gain, RATE)
    assert notes.mask.tolist() == [[True, False], [True, True], [False, False]]
    assert notes.gain.tolist() == [0.5, -1.0, 2.0]
    assert {tuple(each.shape[:1]) for each in notes} == {(3,)}
    assert mean_velocity(played([], [])) == 64.0


def test_a_part_of_a_batch_is_what_the_loader_gives_for_it():
    clips = ClipNotes({0: played([0.5, 1.25, 3.0], [0.7, 9.0, 3.5])}, RATE)
    whole = clips.batch(np.array([0, 0]), np.array([0, 100]), np.ones(2, dtype=np.float32), 4 * RATE)
    part = whole.part(slice(1, 2), RATE, 3 * RATE, RATE)
    direct = clip_notes(clips, RATE + 100, 2 * RATE)
    count = int(direct.mask.sum())
    for name in ("pitch", "onset_sample", "onset_fraction", "sounding_offset", "velocity", "mask"):
        torch.testing.assert_close(getattr(part, name)[:, :count], getattr(direct, name)[:, :count])
    assert part.pedals.shape == direct.pedals.shape
    torch.testing.assert_close(part.start_sample, direct.start_sample)


def test_as_many_notes_sound_as_a_search_through_all_finds():
    random = np.random.default_rng(0)
    onset = np.sort(random.uniform(0, 300, 2000))
    sounding = onset + random.exponential(1.0, 2000)
    clips = ClipNotes({0: played(onset.tolist(), sounding.tolist())}, RATE)
    for start in random.integers(0, 300 * RATE, 50).tolist():
        found = clip_notes(clips, start, 8000)
        heard = (onset < (start + 8000) / RATE) & (sounding > start / RATE - RING_SECONDS)
        assert found.pitch[found.mask].tolist() == (60 + np.flatnonzero(heard)).tolist()


# --- from a data module ---


@pytest.fixture
def data(tmp_path: Path, tiny_release: Path) -> MaestroDataModule:
    """Prepared, of the tiny release, with MIDI beside one of the recordings for training only."""
    import mido

    file = mido.MidiFile()
    on, off = (mido.Message("note_on", note=60, velocity=v, time=240) for v in (80, 0))
    file.tracks.append(mido.MidiTrack([on, off]))
    file.save(sorted(tiny_release.rglob("*.wav"))[0].with_suffix(".midi"))
    module = MaestroDataModule(
        "v3.0.0",
        tiny_release,
        tmp_path / "cache",
        clip_samples=4000,
        eval_clip_seconds=0.5,
        batch_size=4,
        progress=False,
        gain_db=(-6.0, 6.0),
    )
    module.prepare_data()
    return module


def test_batches_carry_notes_only_where_the_model_reads_them(data: MaestroDataModule):
    data.setup("fit")
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.notes is None
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=SimpleNamespace(reads_notes=True), world_size=1, global_rank=0, accelerator=None
    )
    with pytest.warns(UserWarning, match=r"\d of the \d recordings of the split 'train' have no MIDI"):
        loader = data.train_dataloader()
    batch = data.on_after_batch_transfer(next(iter(loader)), 0)
    assert batch.notes is not None
    assert {data.performances[row].midi for row in batch.performance.tolist()} == {data.performances[0].midi}
    assert torch.equal(batch.notes.start_sample, batch.start_sample)
    assert batch.notes.gain.std() > 0
    with pytest.raises(OptionError, match=r"none of the \d recordings of the split 'test' has a MIDI file"):
        data.test_dataloader()


def test_the_option_asks_without_a_trainer(data: MaestroDataModule):
    data.with_notes = True
    data.setup()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert next(iter(data.train_dataloader())).notes is not None
