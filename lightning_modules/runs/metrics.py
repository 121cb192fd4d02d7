"""The figures that a run logged, as its CSV files have them."""

import csv
from pathlib import Path

from datamodules.files import read_limited
from lightning_modules.errors import RunError

METRICS_NAME = "metrics.csv"
METRICS_PATTERN = f"metrics/version_*/{METRICS_NAME}"
LARGEST_BYTES = 2**29
LARGEST_STEP = 10**12


def read_rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Column names and rows of a metrics file; a last line that was cut off by a kill is left out.

    Returns:
        The names, and rows whose `step` is a whole number.

    Raises:
        RunError: If the file cannot be read, or is damaged.
    """
    try:
        text = read_limited(file, LARGEST_BYTES).decode("utf-8")
        reader = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
        rows = [row for row in reader if None not in row.values() and None not in row and row.get("step")]
        if any(not 0 <= int(row["step"]) <= LARGEST_STEP for row in rows):
            raise ValueError(f"a step is not between 0 and {LARGEST_STEP}")
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(
            f"{file} cannot be read, or is damaged ({error})",
            "move it out of the run's folder; the figures in it are then not shown any more",
        ) from error
    return list(reader.fieldnames or []), rows
