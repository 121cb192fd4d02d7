"""One tested run as it lies on disk: sound, scores, curves, health findings, configuration."""

import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lightning_modules.errors import ReportError
from lightning_modules.reports.curves import Curve, read_curves
from lightning_modules.reports.findings import FILE_NAME, Finding, read_findings
from lightning_modules.reports.listening_set import ListeningSet, read_json, read_listening_set
from lightning_modules.reports.scores import JSON_NAME, Score
from lightning_modules.runs.folder import CONFIG_NAME, latest_config


@dataclass(frozen=True)
class RunResults:
    """All that a report shows of a run.

    Attributes:
        label: Name of the run: `<experiment>/<run id>`.
        root: Folder of the test.
        listening: What there is to listen to.
        scores: Of the test; empty if it wrote none.
        scored: What the scores were computed on, for instance "24 clips of 16 s"; may be empty.
        curves: Logged name -> curve over training.
        findings: Of the health callback; None if it was not at work.
        config: Resolved options as YAML; empty if unknown.
    """

    label: str
    root: Path
    listening: ListeningSet
    scores: tuple[Score, ...]
    scored: str
    curves: dict[str, Curve]
    findings: tuple[Finding, ...] | None
    config: str


def read_results(root: Path) -> RunResults:
    """Read the folder that a test wrote, and the run around it.

    Args:
        root: Folder of the test, for instance `runs/vae/<run id>/test`.

    Raises:
        ReportError: If it holds nothing to listen to, or a file is damaged.
    """
    root = root.absolute()
    run = run_folder(root)
    scores = read_json(root / JSON_NAME) if (root / JSON_NAME).is_file() else {}
    return RunResults(
        label=run_label(root),
        root=root,
        listening=read_listening_set(root),
        scores=_scores(root / JSON_NAME, scores),
        scored=_scored(scores),
        curves=read_curves(run),
        findings=_findings(dict.fromkeys([run, root])),
        config=_config(run, root),
    )


def run_folder(root: Path) -> Path:
    """The run that the test folder `root` belongs to; `root` itself if it is none of a run."""
    return root.parent if re.fullmatch(r"(test|validate)(-\d+)?", root.name) else root


def run_label(root: Path) -> str:
    """`<experiment>/<run id>`, followed by the test's folder if it is not the first."""
    run = run_folder(root)
    label = f"{run.parent.name}/{run.name}"
    return label if root.name in ("test", run.name) else f"{label} ({root.name})"


def _scores(path: Path, content: Any) -> tuple[Score, ...]:  # noqa: ANN401 (any JSON)
    names = [field.name for field in fields(Score)]
    try:
        rows = [{name: row.get(name) for name in names} for row in content.get("scores", ())]
        return tuple(Score(**{**row, **_numbers(row)}) for row in rows)
    except (AttributeError, TypeError, ValueError) as error:
        raise ReportError(f"{path} is damaged ({error})", "run `lightning test` again") from error


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN or infinity that browsers read, and a table shows neither."""
    return {name: _finite(row[name]) for name in ("value", "low", "high")}


def _finite(value: Any) -> float | None:  # noqa: ANN401 (any JSON)
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _scored(content: dict[str, Any]) -> str:
    clips, seconds, split = (content.get(name) for name in ("num_clips", "clip_seconds", "split"))
    if clips is None:
        return ""
    length = f" of {seconds:g} s" if seconds is not None else ""
    return f"{clips} clips{length}" + (f", {split} split" if split else "")


def _findings(folders: dict[Path, None]) -> tuple[Finding, ...] | None:
    files = [folder / FILE_NAME for folder in folders if (folder / FILE_NAME).is_file()]
    return tuple(finding for path in files for finding in read_findings(path)) if files else None


def _config(run: Path, root: Path) -> str:
    for folder in (run, root):
        if (folder / CONFIG_NAME).is_file():
            return latest_config(folder).read_text(encoding="utf-8")
    return ""
