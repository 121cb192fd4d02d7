"""One tested run as it lies on disk: sound, scores, curves, health findings, configuration."""

import math
import re
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from datamodules.files import read_limited
from lightning_modules.errors import ReportError
from lightning_modules.reports.curves import Curve, read_curves
from lightning_modules.reports.findings import FILE_NAME, Finding, judge_samples, read_findings
from lightning_modules.reports.listening_set import ListeningSet, read_listening_set
from lightning_modules.reports.plain_values import read_json, record
from lightning_modules.reports.scores import JSON_NAME, Score
from lightning_modules.runs.config import LARGEST_BYTES
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
        findings: Of the health callback, and of the scores of samples; None if neither was at work.
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
    scores, scored = _read_scores(root / JSON_NAME)
    listening = read_listening_set(root)
    return RunResults(
        label=run_label(root),
        root=root,
        listening=listening,
        scores=scores,
        scored=scored,
        curves=read_curves(run),
        findings=_findings(dict.fromkeys([run, root]), judge_samples(scores, listening.step)),
        config=_config(run, root),
    )


def run_folder(root: Path) -> Path:
    """The run that the test folder `root` belongs to; `root` itself if it is none of a run."""
    return root.parent if re.fullmatch(r"(test|validate|compose)(-\d+)?", root.name) else root


def run_label(root: Path) -> str:
    """`<experiment>/<run id>`, followed by the test's folder if it is not the first."""
    run = run_folder(root)
    label = f"{run.parent.name}/{run.name}"
    return label if root.name in ("test", run.name) else f"{label} ({root.name})"


@dataclass(frozen=True)
class _Scored:
    """What the scores say that they were computed on."""

    num_clips: int | None
    clip_seconds: float | None
    split: str | None

    def __str__(self) -> str:
        if self.num_clips is None:
            return ""
        length = f" of {self.clip_seconds:g} s" if self.clip_seconds is not None else ""
        return f"{self.num_clips} clips{length}" + (f", {self.split} split" if self.split else "")


def _read_scores(path: Path) -> tuple[tuple[Score, ...], str]:
    """The scores, and what they were computed on; none if there is no file."""
    content = read_json(path) if path.is_file() else {}
    rows = content.get("scores", []) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ReportError(f"{path} is damaged: it is no table of scores", "run `lightning test` again")
    defaults = {field.name: None if field.default is MISSING else field.default for field in fields(Score)}
    scores = [
        record(Score, {name: _number_or_none(row.get(name, defaults[name])) for name in defaults}, path)
        for row in rows
    ]
    about = record(_Scored, {field.name: content.get(field.name) for field in fields(_Scored)}, path)
    return tuple(scores), str(about)


def _number_or_none(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    """JSON has no NaN or infinity that browsers read, and a table shows neither."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _findings(folders: dict[Path, None], of_samples: list[Finding]) -> tuple[Finding, ...] | None:
    files = [folder / FILE_NAME for folder in folders if (folder / FILE_NAME).is_file()]
    found = [*(finding for path in files for finding in read_findings(path)), *of_samples]
    return tuple(found) if files or found else None


def _config(run: Path, root: Path) -> str:
    for folder in (run, root):
        if (folder / CONFIG_NAME).is_file():
            return _text(latest_config(folder))
    return ""


def _text(path: Path) -> str:
    try:
        return read_limited(path, LARGEST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        reason = error.strerror or error
        raise ReportError(f"{path} cannot be read ({reason})", "take the file from a copy") from error
