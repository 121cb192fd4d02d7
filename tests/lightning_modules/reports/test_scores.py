"""The files and the table of scores."""

import csv
import io
import json
import math

from rich.console import Console

from lightning_modules.reports.scores import Score, scores_table, write_scores

SCORES = [
    Score("log_mel_distance", "reconstructions", 4.25, 4.0, 4.5, "dB", "lower"),
    Score("frechet", "samples", 12345.6, unit="dB²", better="lower"),
    Score("frechet", "floor", math.nan, 0.5, math.inf, "dB²", "lower"),
]


def test_json_and_csv_hold_the_same_rows(tmp_path):
    write_scores(tmp_path, {"model": "a.B", "step": 3}, SCORES)
    content = json.loads((tmp_path / "scores.json").read_text())
    assert (content["format"], content["model"], content["step"]) == (1, "a.B", 3)
    assert content["scores"][0] == {
        "name": "log_mel_distance",
        "of": "reconstructions",
        "value": 4.25,
        "low": 4.0,
        "high": 4.5,
        "unit": "dB",
        "better": "lower",
    }
    assert content["scores"][1]["low"] is None
    assert (content["scores"][2]["value"], content["scores"][2]["high"]) == (None, None)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(content["scores"][0])
    for row, expected in zip(rows, content["scores"], strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in expected.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "scores.json"]


def test_the_table_has_a_row_for_each_name_and_a_column_for_each_subject():
    console = Console(width=80, file=io.StringIO())
    console.print(scores_table("VAE, step 3", SCORES, {"test/elbo": 43900.0}))
    text = console.file.getvalue()
    assert "VAE, step 3" in text.splitlines()[0]
    row = next(line for line in text.splitlines() if "log_mel_distance" in line)
    assert row.split() == ["log_mel_distance", "dB", "↓", "4.25", "±", "0.25"]
    assert "12,346" in next(line for line in text.splitlines() if "frechet" in line)
    assert "43,900" in next(line for line in text.splitlines() if line.startswith("elbo"))


def test_a_whole_table_fits_80_columns_a_line_for_each_score():
    def row(name: str, *values: tuple[float, float], unit: str = "") -> list[Score]:
        subjects = ("reconstructions", "samples", "floor")
        return [
            Score(name, of, value, value - half, value + half, unit, "lower")
            for of, (value, half) in zip(subjects, values, strict=False)
        ]

    scores = [
        *row("frechet_log_mel_statistics", (6140.0, 21.0), (12345.0, 1234.0), (51.3, 6.41), unit="dB²"),
        *row("mmd_log_mel_statistics", (0.831, 0.012), (0.679, 0.013), (-0.0166, 0.0421)),
        *row("multi_scale_spectral_distance", (2.3, 3.3e-05), (13.2, 2.1e-07)),
    ]
    console = Console(width=80, file=io.StringIO())
    console.print(scores_table("A, step 12", scores, {"test/log_likelihood_nats_per_second": -43900.0}))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1 + 2 + 3 + 1 + 1, "title, head, scores, a blank, what the model logged"
    assert "…" not in console.file.getvalue() and max(map(len, lines)) <= 80
    assert lines[1].split() == ["score", "reconstructions", "samples", "floor"]
    assert lines[4].split()[-3:] == ["-0.0166", "±", "0.042"]


def test_a_name_that_is_too_long_is_broken_and_no_figure():
    score = Score("mmd_log_mel_statistics", "floor", 0.00915, -0.00685, 0.02515, "", "lower")
    others = [Score("a", of, 0.994, 0.9852, 1.0028) for of in ("reconstructions", "samples")]
    console = Console(width=80, file=io.StringIO())
    console.print(scores_table("A", [*others, score], {"test/elbo_of_training_clips_nats_per_second": 3.0}))
    text = console.file.getvalue()
    assert "…" not in text and "0.00915 ± 0.016" in text and "reconstructions" in text
