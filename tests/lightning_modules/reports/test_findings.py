"""The file of the health callback's findings."""

import json
from pathlib import Path

import pytest

from lightning_modules.errors import ReportError
from lightning_modules.reports.findings import Finding, append_findings, judge_samples, read_findings
from lightning_modules.reports.scores import Score

SILENCE = Finding(3, "silence", "The samples are silent.", "Lower the learning rate.")
CLIPPING = Finding(9, "clipping", "The samples clip.", "Clip gradients.")


def test_findings_are_appended_and_read_back(tmp_path: Path):
    path = tmp_path / "new" / "health.json"
    assert append_findings(path, [SILENCE]) == [SILENCE]
    assert append_findings(path, []) == [SILENCE]
    assert append_findings(path, [CLIPPING]) == read_findings(path) == [SILENCE, CLIPPING]
    assert json.loads(path.read_text())[1] == CLIPPING._asdict()
    assert [each.name for each in path.parent.iterdir()] == ["health.json"]


@pytest.mark.parametrize("content", ['[{"step": 3}]', "[3]", "7"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str):
    path = tmp_path / "health.json"
    path.write_text(content)
    with pytest.raises(ReportError, match=r"health\.json is damaged"):
        append_findings(path, [SILENCE])
    assert path.read_text() == content


def test_a_file_that_is_no_json_is_named(tmp_path: Path):
    path = tmp_path / "health.json"
    path.write_text("[{")
    with pytest.raises(ReportError, match=r"health\.json is not JSON"):
        read_findings(path)


def pair(name: str, made: float | None, real: float, half: float = 0.0) -> list[Score]:
    """A score of samples and of real clips, with intervals of `half` around the values."""
    low, high = (None, None) if made is None else (made - half, made + half)
    return [Score(name, "samples", made, low, high), Score(name, "floor", real, real - half, real + half)]


def test_noise_in_the_place_of_samples_is_found():
    (finding,) = judge_samples(pair("frechet_log_mel_statistics", 14_090.0, 400.0, 50.0), 1200)
    assert (finding.step, finding.problem) == (1200, "unlike_recordings")
    assert "is 1.41e+04 from real clips, which are 400 from each other" in finding.message
    (finding,) = judge_samples([*pair("notes_per_second", 0.0, 5.7), *pair("frechet_a", 9e9, 1.0)], 7)
    assert finding.problem == "no_notes" and "0 notes per second in the samples, and 5.7" in finding.message


def test_samples_near_recordings_are_let_pass():
    scores = [
        *pair("frechet_log_mel_statistics", 4_400.0, 400.0, 50.0),  # 4,350 is less than ten times 450
        *pair("notes_per_second", 3.0, 5.7),
        *pair("diversity", 0.01, 1.0),
    ]
    assert judge_samples(scores, 1200) == []
    alone = [Score("frechet_a", "samples", 1e6), Score("notes_per_second", "samples", 0.0)]
    assert judge_samples(alone, 1) == [], "nothing is known of real clips"
    assert judge_samples(pair("notes_per_second", None, 5.0), 1) == []
