"""Sounds, pictures and tables in Weights & Biases."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import WandbLogger

from lightning_modules.loggers.media import Cell

if TYPE_CHECKING:
    import wandb


class WandbMedia:
    """What Lightning's W&B logger does with the files of a run: a `MediaLogger`.

    Args:
        logger: The run's own, or one of a person's.
    """

    def __init__(self, logger: WandbLogger) -> None:
        self._logger = logger

    def log_audio(self, name: str, files: Sequence[Path], step: int) -> None:  # noqa: D102
        captions = [file.stem for file in files]
        self._logger.log_audio(name, [str(file) for file in files], step=step, caption=captions)

    def log_pictures(self, name: str, files: Sequence[Path], step: int) -> None:  # noqa: D102
        captions = [file.stem for file in files]
        self._logger.log_image(name, [str(file) for file in files], step=step, caption=captions)

    def log_table(  # noqa: D102
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], step: int
    ) -> None:
        data: list[list[Any]] = [[_shown(cell) for cell in row] for row in rows]
        self._logger.log_table(name, list(columns), data, step=step)


def _shown(cell: Cell) -> "str | float | wandb.Audio | wandb.Image | None":
    if not isinstance(cell, Path):
        return cell
    import wandb

    return wandb.Audio(str(cell)) if cell.suffix == ".wav" else wandb.Image(str(cell))
