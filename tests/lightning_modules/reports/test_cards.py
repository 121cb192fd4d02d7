"""Which sounds stand beside each other, and which are judged against each other."""

from dataclasses import replace
from pathlib import Path

import pytest
from toy_results import write_tested_run

from lightning_modules.reports.cards import clock, make_listening
from lightning_modules.reports.results import read_results


def tracks(card) -> list[str]:
    return [track.label for track in card.tracks]


def systems(trial) -> list[str]:
    return [stimulus.system for stimulus in trial.stimuli]


def test_one_run(tmp_path: Path):
    listening = make_listening([read_results(write_tested_run(tmp_path / "toy" / "one"))])
    assert [card.title for card in listening.clips] == ["Prelude", "Fugue"]
    assert [tracks(card) for card in listening.clips] == [["Original", "Reconstruction"]] * 2
    assert listening.clips[0].place == "0:00 to 0:01"
    assert (listening.clips[0].roll is None, listening.clips[1].roll is None) == (False, True)
    assert tracks(listening.samples[0]) == ["Sample 1"]
    assert [(trial.kind, sorted(systems(trial))) for trial in listening.trials] == [
        ("reconstructions", ["original", "reconstruction"]),
        ("reconstructions", ["original", "reconstruction"]),
        ("samples", ["original", "sample"]),
    ]
    original, reconstruction = listening.trials[0].stimuli
    assert original.level_db - reconstruction.level_db == pytest.approx(6.02, abs=0.01)


def test_the_same_clips_of_several_runs_come_together(tmp_path: Path):
    """Whatever their order, and though one run has fewer."""
    one = read_results(write_tested_run(tmp_path / "toy" / "one", num_clips=3, titles=("a", "b", "c")))
    two = read_results(write_tested_run(tmp_path / "toy" / "two", num_clips=2, titles=("a", "b")))
    turned = replace(two, listening=replace(two.listening, clips=two.listening.clips[::-1]))
    listening = make_listening([one, turned])
    assert [(card.title, tracks(card)) for card in listening.clips] == [
        ("a", ["Original", "toy/one", "toy/two"]),
        ("b", ["Original", "toy/one", "toy/two"]),
        ("c", ["Original", "toy/one"]),
    ]
    assert [track.run for track in listening.clips[0].tracks] == [None, 0, 1]
    assert [card.title for card in listening.samples] == ["toy/one", "toy/two"]
    assert systems(listening.trials[-1]) == ["toy/one", "toy/two", "original"]


def test_another_place_is_another_clip(tmp_path: Path):
    one = read_results(write_tested_run(tmp_path / "toy" / "one", num_clips=1))
    two = read_results(write_tested_run(tmp_path / "toy" / "two", num_clips=1))
    moved = replace(two.listening.clips[0], start_seconds=16.0)
    listening = make_listening([one, replace(two, listening=replace(two.listening, clips=(moved,)))])
    assert [card.place for card in listening.clips] == ["0:00 to 0:01", "0:16 to 0:17"]


def test_the_original_is_the_one_of_the_highest_rate(tmp_path: Path):
    one = read_results(write_tested_run(tmp_path / "toy" / "one", num_clips=1))
    two = read_results(write_tested_run(tmp_path / "toy" / "two", num_clips=1))
    fast = replace(two, listening=replace(two.listening, sample_rate=16_000))
    (card,) = make_listening([one, fast]).clips
    assert [track.seconds for track in card.tracks] == [
        0.5,
        1.0,
        0.5,
    ]  # 8000 samples at 16 kHz, 8 kHz, 16 kHz


def test_a_model_that_only_samples_is_judged_against_real_clips(tmp_path: Path):
    root = write_tested_run(tmp_path / "toy" / "one", reconstructs=False, num_samples=3)
    listening = make_listening([read_results(root)])
    assert [tracks(card) for card in listening.clips] == [["Original"], ["Original"]]
    trials = [[stimulus.track for stimulus in trial.stimuli] for trial in listening.trials]
    assert trials == [["s0-run0", "c0-original"], ["s1-run0", "c1-original"], ["s2-run0", "c0-original"]]


def test_nothing_to_listen_to(tmp_path: Path):
    root = write_tested_run(tmp_path / "toy" / "one", num_clips=0, num_samples=0)
    listening = make_listening([read_results(root)])
    assert (listening.clips, listening.samples, listening.trials) == ((), (), ())


def test_clock():
    assert [clock(seconds) for seconds in (0.0, 15.9, 75.2, 3600.0)] == ["0:00", "0:15", "1:15", "60:00"]
