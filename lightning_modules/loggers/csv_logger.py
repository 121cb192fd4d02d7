"""Scalars of a run as CSV, which a kill cannot spoil and a continued run does not repeat.

These files are also how other loggers know what a run had logged before it was continued.
"""

import contextlib
import csv
import math
import os
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from datamodules.files import whole_file
from lightning_modules.runs.folder import free_path
from lightning_modules.runs.metrics import METRICS_NAME, read_rows

SUPERSEDED_NAME = "superseded-1.csv"


class RunCSVLogger(CSVLogger):
    """Writes `metrics/version_0/metrics.csv` below a run's folder; a continued run gets the next version.

    Together the versions hold each step's scalars once: what lay behind the checkpoint that a run was
    continued from is moved out of the earlier versions. A scalar that is logged again for the same step, with
    the same value, is written once.

    Args:
        root: The run's folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, name="metrics")
        self._step: int | None = None
        self._seen: dict[str, str] = {}

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer, made on first use."""
        if self._experiment is None:
            os.makedirs(self.root_dir, exist_ok=True)
            self._experiment = _WholeFileWriter(log_dir=self.log_dir)
        return cast(ExperimentWriter, self._experiment)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record the scalars of a step that were not recorded yet."""
        if fresh := self._fresh(metrics, step):
            super().log_metrics(fresh, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace | None = None) -> None:
        """Nothing: the run's config.yaml has them."""

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Move the scalars of `step` and later, of this run's earlier versions, to `superseded-1.csv`."""
        for file in sorted(Path(self.root_dir).glob(f"version_*/{METRICS_NAME}")):
            names, rows = read_rows(file)
            kept = [row for row in rows if int(row["step"]) < step]
            if len(kept) < len(rows):
                late = [row for row in rows if int(row["step"]) >= step]
                write_rows(free_path(file.with_name(SUPERSEDED_NAME)), names, late)
                write_rows(file, names, kept)

    def _fresh(self, metrics: Mapping[str, Any], step: int | None) -> dict[str, Any]:
        """Those of `metrics` that were not logged for this step yet; `epoch` comes along with any other."""
        if step is None or step != self._step:
            self._step, self._seen = step, {}
        texts = {name: repr(value) for name, value in metrics.items()}  # NaN is not equal to itself
        fresh = {name for name, text in texts.items() if name != "epoch" and self._seen.get(name) != text}
        self._seen.update(texts)
        return {
            name: value for name, value in metrics.items() if name in fresh or (fresh and name == "epoch")
        }


@dataclass
class Past:
    """Summary of the values logged under one name before a run was continued.

    Attributes:
        last_step: Where it was logged last.
        lowest: Its smallest value; infinity if none was finite.
        highest: Its largest value; minus infinity if none was finite.
    """

    last_step: int = -1
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, step: int, value: float) -> None:
        """Take one more value into account."""
        self.last_step = max(self.last_step, step)
        if math.isfinite(value):
            self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)


def logged_before(root: Path) -> dict[str, Past]:
    """Summaries of all that a run has logged, by name; also of what it went back behind to a checkpoint.

    To be asked before the run is continued, which adds to the files.

    Args:
        root: The run's folder.
    """
    found: dict[str, Past] = {}
    for file in root.glob("metrics/version_*/*.csv"):
        for row in read_rows(file)[1]:
            for name, text in row.items():
                if text and name != "step":
                    with contextlib.suppress(ValueError):  # no number
                        found.setdefault(name, Past()).add(int(row["step"]), float(text))
    return found


class _WholeFileWriter(ExperimentWriter):
    """Replaces the file by a whole new one when a column appears; waits when the disk refuses."""

    def save(self) -> None:
        """Append what was logged; if that fails, keep it for the next time."""
        path = Path(self.metrics_file_path)
        size = path.stat().st_size if path.exists() else 0
        try:
            super().save()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(path, size)  # no half of a line
            rank_zero_warn(f"Cannot write {path} ({error.strerror or error}); trying again", stacklevel=2)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        write_rows(path, fieldnames, read_rows(path)[1])


def write_rows(file: Path, names: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a metrics file, in whole or not at all."""
    with whole_file(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
