"""The table that `lightning test` leaves: one row per score, as JSON, CSV and on the console."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datamodules.files import whole_file

if TYPE_CHECKING:
    from rich.table import Table

FORMAT = 1
JSON_NAME = "scores.json"
CSV_NAME = "scores.csv"
Subject = Literal["reconstructions", "samples", "floor"]
Better = Literal["lower", "higher", "none"]
SUBJECTS: tuple[Subject, ...] = ("reconstructions", "samples", "floor")


@dataclass(frozen=True)
class Score:
    """One score of a test.

    Attributes:
        name: What is measured, e.g. `log_mel_distance`.
        of: What is judged; `floor` is real audio in the place of the model's.
        value: None in what was read, if it is no number.
        low: Lower end of its 95% interval; None if there is none.
        high: Upper end.
        unit: E.g. `dB`; empty for none.
        better: Which way is better.
    """

    name: str
    of: Subject
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    better: Better = "none"


def write_scores(folder: Path, about: dict[str, Any], scores: Sequence[Score]) -> None:
    """Write `scores.json` and `scores.csv`, each as a whole or not at all.

    Args:
        folder: Where to.
        about: What the JSON says beside the scores: model, checkpoint, data and so on.
        scores: The rows; what is not finite is written as null, which JSON has, unlike NaN.
    """
    rows = [{key: _plain(value) for key, value in asdict(score).items()} for score in scores]
    content = {"format": FORMAT, **about, "scores": rows}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(Score.__dataclass_fields__))
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(folder / CSV_NAME) as part:
        part.write_text(text.getvalue(), encoding="utf-8")
    with whole_file(folder / JSON_NAME) as part:
        body = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        part.write_text(body + "\n", encoding="utf-8")


def scores_table(title: str, scores: Sequence[Score], logged: dict[str, float]) -> "Table":
    """The scores as a table for the console: a row for each name, a column for each subject.

    Arrows say which way is better; after ± comes half the width of the 95% interval.

    Args:
        title: Its heading.
        scores: The scores.
        logged: Scalars that the model itself logged, by name: rows at the end, without the stage.
    """
    from rich import box
    from rich.table import Table

    subjects: list[str] = [each for each in SUBJECTS if any(score.of == each for score in scores)]
    # one blank between columns, so that three subjects and the longest name fit into 80
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("score", overflow="fold")
    for subject in subjects or ["value"]:
        table.add_column(subject, justify="right", no_wrap=True)
    by_name: dict[str, dict[str, Score]] = {}
    for score in scores:
        by_name.setdefault(score.name, {})[score.of] = score
    for name, row in by_name.items():
        first = next(iter(row.values()))
        label = " ".join(part for part in (name, first.unit, _ARROWS[first.better]) if part)
        table.add_row(label, *(_cell(row[subject]) if subject in row else "" for subject in subjects))
    table.add_section()
    for name, value in logged.items():
        table.add_row(name.removeprefix("test/"), _number(value))
    return table


_ARROWS = {"lower": "↓", "higher": "↑", "none": ""}


def _cell(score: Score) -> str:
    """The value, and half the width of its interval."""
    if score.low is None or score.high is None:
        return _number(score.value)
    half = (score.high - score.low) / 2.0
    return f"{_number(score.value)} ± {half:,.0f}" if half >= 10 else f"{_number(score.value)} ± {half:.2g}"


def _number(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
