"""The file of the health callback's findings."""

import json
from pathlib import Path

import pytest

from lightning_modules.errors import ReportError
from lightning_modules.reports.findings import Finding, append_findings, read_findings

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
