"""Findings of the health callback: `health.json` in the folder of a run or test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datamodules.files import whole_file
from lightning_modules.errors import ReportError
from lightning_modules.reports.plain_values import read_json, record

FILE_NAME = "health.json"


class Finding(NamedTuple):
    """Something that went wrong in training or test.

    Attributes:
        step: Global step.
        problem: Name, e.g. `silence`.
        message: The symptom, as a plain sentence.
        advice: What to try.
    """

    step: int
    problem: str
    message: str
    advice: str


def read_findings(path: Path) -> list[Finding]:
    """The findings in a file.

    Raises:
        ReportError: If it is missing or damaged.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise ReportError(f"{path} is damaged: it is no list", "remove it, or run the test again")
    return [record(Finding, row, path) for row in rows]


def append_findings(path: Path, findings: Sequence[Finding]) -> list[Finding]:
    """Add to a file, which is made if missing, as a whole or not at all; returns all that it holds then.

    Raises:
        ReportError: If it is damaged.
    """
    together = [*(read_findings(path) if path.is_file() else ()), *findings]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(json.dumps([finding._asdict() for finding in together], indent=1))
    return together
