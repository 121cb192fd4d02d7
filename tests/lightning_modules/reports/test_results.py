"""A tested run, read from disk."""

import json
from pathlib import Path

import pytest
from toy_results import CONFIG, score, write_tested_run

from lightning_modules.errors import ReportError
from lightning_modules.reports.findings import Finding
from lightning_modules.reports.results import read_results, run_label
from lightning_modules.reports.scores import Score

FINDING = {"step": 3, "problem": "silence", "message": "It is silent.", "advice": "Listen."}


def test_everything_about_a_run(tmp_path: Path):
    results = read_results(write_tested_run(tmp_path / "toy" / "one", health=[FINDING]))
    assert results.label == "toy/one"
    assert results.scores[0] == Score("log_mel_distance", "reconstructions", 4.2, 4.0, 4.4, "dB", "lower")
    assert results.scored == "24 clips of 16 s, test split"
    assert results.curves["val/loss"].values == [5.0, 3.0]
    assert results.findings == (Finding(3, "silence", "It is silent.", "Listen."),)
    assert results.config == CONFIG.format(size=32)
    assert len(results.listening.clips) == 2


def test_findings_of_training_and_of_the_test(tmp_path: Path):
    root = write_tested_run(tmp_path / "run", health=[FINDING])
    (root / "health.json").write_text(json.dumps([{**FINDING, "step": 9}]))
    findings = read_results(root).findings
    assert findings is not None
    assert [finding.step for finding in findings] == [3, 9]


def test_a_test_alone_is_enough(tmp_path: Path):
    root = write_tested_run(tmp_path / "run")
    for path in (root / "scores.json", root.parent / "config.yaml"):
        path.unlink()
    (root.parent / "metrics" / "version_0" / "metrics.csv").unlink()
    results = read_results(root)
    assert (results.scores, results.scored, results.curves, results.findings, results.config) == (
        (),
        "",
        {},
        None,
        "",
    )


def test_the_config_of_the_test_where_the_run_has_none(tmp_path: Path):
    root = write_tested_run(tmp_path / "run")
    (root.parent / "config.yaml").rename(root / "config.yaml")
    assert read_results(root).config == CONFIG.format(size=32)


def test_figures_that_are_no_numbers(tmp_path: Path):
    scores = (score("a", "samples", float("nan"), float("-inf"), float("inf")), score("b", "samples", None))
    results = read_results(write_tested_run(tmp_path / "run", scores=scores))
    assert [(s.value, s.low, s.high) for s in results.scores] == [(None, None, None)] * 2


@pytest.mark.parametrize(
    ("root", "label"),
    [("vae/one/test", "vae/one"), ("vae/one/test-2", "vae/one (test-2)"), ("some/folder", "some/folder")],
)
def test_labels(root: str, label: str):
    assert run_label(Path("/runs") / root) == label


@pytest.mark.parametrize("damage", ['{"scores": [3]}', '{"scores": [{"value": "x"}]}', "[]"])
def test_damaged_scores(tmp_path: Path, damage: str):
    root = write_tested_run(tmp_path / "run")
    (root / "scores.json").write_text(damage)
    with pytest.raises(ReportError, match=r"scores\.json is damaged"):
        read_results(root)
