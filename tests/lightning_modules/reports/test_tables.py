"""Scores of several runs, and what differs between them."""

from dataclasses import replace
from pathlib import Path

from toy_results import score, write_tested_run

from lightning_modules.reports.results import read_results
from lightning_modules.reports.tables import config_differences, headlines, readable, score_rows


def results(tmp_path: Path, *tables: tuple):
    return [
        read_results(write_tested_run(tmp_path / str(number), scores=table))
        for number, table in enumerate(tables)
    ]


def marks(row) -> str:
    return "".join("B" if cell.is_best else "~" if cell.is_tied else "." for cell in row.cells)


def test_the_best_is_better_beyond_the_intervals(tmp_path: Path):
    runs = results(
        tmp_path,
        (score("d", "samples", 3.0, 2.5, 3.5), score("s", "samples", 1.0, 0.5, 1.5, better="higher")),
        (score("d", "samples", 2.0, 1.5, 2.6), score("s", "samples", 7.0, 6.0, 8.0, better="higher")),
        (score("d", "samples", 4.0, 3.6, 4.4), score("s", "samples", None, better="higher")),
    )
    distance, higher = score_rows(runs)
    assert (distance.name, marks(distance), marks(higher)) == ("D", "~~.", ".B.")


def test_what_is_not_known_or_hardly_trained_is_best_of_nothing(tmp_path: Path):
    tables = ((score("d", "samples", 1.0, 0.9, 1.1),), (score("d", "samples", 2.0, 1.9, 2.1),))
    first, second = results(tmp_path, *tables)
    assert marks(score_rows([first, second])[0]) == "B."
    begun = replace(first, listening=replace(first.listening, step=4))
    assert marks(score_rows([begun, second])[0]) == ".."
    without = results(tmp_path / "other", (score("d", "samples", 1.0),), (score("d", "samples", 2.0),))
    assert marks(score_rows(without)[0]) == ".."


def test_no_best_without_a_direction_a_rival_or_another_run(tmp_path: Path):
    runs = results(
        tmp_path,
        (score("x", "samples", 1.0, better="none"), score("lonely", "samples", 1.0)),
        (score("x", "samples", 2.0, better="none"),),
    )
    assert [marks(row) for row in score_rows(runs)] == ["..", ".."]
    assert [marks(row) for row in score_rows(runs[:1])] == [".", "."]


def test_the_same_figure_twice_is_close(tmp_path: Path):
    table = (score("x", "samples", 1.0, 0.5, 1.5),)
    assert marks(score_rows(results(tmp_path, table, table))[0]) == "~~"


def test_rows_of_what_was_scored_with_their_floor(tmp_path: Path):
    table = (score("d", "samples", 3.0), score("d", "floor", 0.5), score("d", "reconstructions", 1.0))
    rows = score_rows(results(tmp_path, table))
    assert [(row.of, row.cells[0].score.value, row.floor.value) for row in rows] == [
        ("reconstructions", 1.0, 0.5),
        ("samples", 3.0, 0.5),
    ]


def test_only_options_that_differ():
    one = (
        "a: 1\nmodel: {size: 32, name: x}\ncallbacks: [{class_path: m.First}, {class_path: m.Second, n: 1}]\n"
    )
    two = "a: 1\nmodel: {size: 16, name: x}\ncallbacks: [{class_path: m.Second, n: 2}]\nextra: [1, 2]\n"
    assert config_differences([one, two]) == [
        ("model.size", ("32", "16")),
        ("callbacks.First.class_path", ("m.First", "–")),
        ("callbacks.Second.n", ("1", "2")),
        ("extra", ("–", "[1, 2]")),
    ]
    assert config_differences([one]) == []


def test_a_config_that_cannot_be_read_is_shown_as_it_is():
    assert config_differences(["a: 1", "{"])[-1] == ("(unreadable)", ("–", "{"))


def test_names_for_people():
    names = {
        "si_sdr": "SI-SDR",
        "log_mel_distance": "Log-mel distance",
        "log_mel_distance_5_to_10_khz": "Log-mel distance, 5 to 10 kHz",
        "multi_scale_spectral_distance": "Multi-scale spectral distance",
        "frechet_log_mel_statistics": "Fréchet distance, log-mel statistics",
        "mmd_crepe": "Kernel distance (MMD), CREPE",
        "onset_f_score_midi": "Onset F-score MIDI",
        "diversity": "Diversity",
    }
    assert {name: readable(name) for name in names} == names


def test_headlines_are_of_the_whole_band(tmp_path: Path):
    names = ["log_mel_distance", "log_mel_distance_0_to_2_khz", "log_mel_distance_2_to_5_khz"]
    names += ["chroma_similarity", "diversity", "note_f_score", "si_sdr"]
    runs = results(tmp_path, [score(name, "reconstructions", 1.0) for name in names])
    shown = [row.key for row in headlines(score_rows(runs))]
    assert shown == ["log_mel_distance", "si_sdr", "note_f_score", "chroma_similarity"]
