"""What a run shows beyond scalars: sounds, pictures and tables, for whichever logger takes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from lightning.pytorch.utilities import rank_zero_warn

Cell = str | int | float | None | Path
"""Of a table; a path is that of a WAV or PNG file, to be heard or seen there."""


class MediaLogger(Protocol):
    """Takes files that lie in the run's folder, and tables. Steps are global steps."""

    def log_audio(self, name: str, files: Sequence[Path], step: int) -> None:
        """WAV files that belong together, each called by its stem."""

    def log_pictures(self, name: str, files: Sequence[Path], step: int) -> None:
        """PNG files of one size, each called by its stem."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], step: int) -> None:
        """Rows of cells, one for each column."""


@runtime_checkable
class Rewinds(Protocol):
    """A logger that takes back what a continued run logs again."""

    def rewind(self, step: int) -> None:
        """Take back the scalars of `step` and later."""


@contextmanager
def training_goes_on(where: Path | str) -> Iterator[None]:
    """Turn errors of the disk into a warning: what is shown of a run must not end it."""
    try:
        yield
    except OSError as error:
        rank_zero_warn(f"Cannot write {where} ({error.strerror or error}); training goes on", stacklevel=3)
