"""Sounds, pictures and tables in the run's own folder, where any program reads them."""

import csv
from collections.abc import Sequence
from pathlib import Path

from lightning_modules.loggers.csv_logger import write_rows
from lightning_modules.loggers.media import Cell, training_goes_on

FOLDER_NAME = "tables"


class FolderMedia:
    """Keeps each table as `tables/<name>.csv`, with a column for the step: a `MediaLogger`.

    Args:
        folder: Where `tables` is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER_NAME

    def log_audio(self, name: str, files: Sequence[Path], step: int) -> None:
        """Nothing: the files lie in the run's folder."""

    def log_pictures(self, name: str, files: Sequence[Path], step: int) -> None:
        """Nothing: the files lie in the run's folder."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], step: int) -> None:
        """Append rows; what lay behind the checkpoint that a run was continued from is taken out."""
        file = self.folder / f"{name.replace('/', '_')}.csv"
        with training_goes_on(file):
            self.folder.mkdir(parents=True, exist_ok=True)
            kept = []
            if file.is_file():
                with file.open(newline="", encoding="utf-8") as stream:
                    kept = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]
            fresh = [{"step": str(step), **dict(zip(columns, map(str, row), strict=True))} for row in rows]
            write_rows(file, list(dict.fromkeys(["step", *columns])), [*kept, *fresh])
