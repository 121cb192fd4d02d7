"""A run in TensorBoard: scalars, best values, options, sounds, pictures and tables."""

import io
import struct
import wave
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from lightning_modules.errors import InstallationError
from lightning_modules.loggers.csv_logger import Past, logged_before
from lightning_modules.loggers.media import Cell, training_goes_on
from lightning_modules.loggers.wandb_logger import Monitor
from lightning_modules.metrics.directions import better_direction
from lightning_modules.runs.folder import Run

FOLDER_NAME = "tensorboard"
BEST = "best"
_PNG_SIZE = slice(16, 24)
"""Width and height, big-endian, in the header of a PNG file."""


class RunTensorBoardLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger, bound to a run.

    Beside each scalar that has a best value, `best/<name>` holds it, whenever it gets better. The resolved
    options, and what the callbacks add to them, are in the tab of the hyper-parameters. A continued run goes
    on in the same folder; what lay behind its checkpoint is hidden.

    Args:
        save_dir: Where it is kept; `tensorboard` in the run's folder if None.

    Raises:
        InstallationError: If TensorBoard is not installed.
    """

    def __init__(self, save_dir: str | Path | None = None) -> None:
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise InstallationError(
                "TensorBoard is not installed", 'install it: pip install -e ".[tensorboard]"'
            ) from error
        self.chosen_dir = save_dir
        self.monitor = Monitor(None, "min")
        self._config: dict[str, Any] = {}
        self._is_described = False
        self._is_broken = False
        self._past: dict[str, Past] = {}
        super().__init__(save_dir or FOLDER_NAME, name="", version="", default_hp_metric=False)

    def bind(self, run: Run, config: dict[str, Any], monitor: Monitor) -> None:
        """Say which run this is.

        Args:
            run: Its folder holds what is written, unless a folder was named.
            config: Resolved options.
            monitor: Score that the best checkpoint is chosen by.
        """
        self._root_dir = str(self.chosen_dir or run.root / FOLDER_NAME)
        self._config = {**config}
        self.monitor = monitor
        if run.resumed and run.verb == "fit":
            self._past = logged_before(run.root)

    @property
    def where(self) -> str:
        """The command that shows it."""
        return f"tensorboard --logdir {self.log_dir.rstrip('/')}"

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, metrics: object = None, step: int | None = None
    ) -> None:
        """Add to the options of the run."""
        self._config |= vars(params) if isinstance(params, Namespace) else params

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record scalars, and those that are better than all before as `best/<name>` too."""
        with self._writing():
            if not self._is_described:
                self._describe()
            for name, value in {**metrics, **self._better(metrics, step or 0)}.items():
                self.experiment.add_scalar(name, value, step)

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Hide the scalars of `step` and later, which are about to be logged again."""
        if step > 0:
            self._kwargs["purge_step"] = step

    @rank_zero_only
    def save(self) -> None:
        """Write what is waiting; the options are in the run's config.yaml already."""
        if self._experiment is not None:
            with self._writing():
                self._experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file."""
        with self._writing():
            super().finalize(status)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Begin a new file if the last was ended by an error: the disk takes files again."""
        if self._is_broken:
            self._is_broken, self._experiment = False, None
            self._kwargs.pop("purge_step", None)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn errors of the disk into a warning."""
        with training_goes_on(self.log_dir):
            try:
                yield
            except OSError:
                self._is_broken = True
                raise

    def _better(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        found = {}
        for name, value in metrics.items():
            direction = self.monitor.mode if name == self.monitor.name else better_direction(name)
            if direction is None:
                continue
            past = self._past.setdefault(name, Past())
            best = past.lowest if direction == "min" else past.highest
            past.add(step, float(value))
            if best != (past.lowest if direction == "min" else past.highest):
                found[f"{BEST}/{name}"] = float(value)
        return found

    def _describe(self) -> None:
        """Write the options for the tab of the hyper-parameters, with the best score to sort by."""
        from torch.utils.tensorboard.summary import hparams

        self._is_described = True
        options = dict(_flattened(self._config))
        scores = {f"{BEST}/{self.monitor.name}": 0.0} if self.monitor.name else {}
        for summary in hparams(options, scores):
            self.experiment.file_writer.add_summary(summary)


class TensorBoardMedia:
    """What TensorBoard shows of the files of a run: a `MediaLogger`.

    Args:
        logger: The run's own, or one of a person's.
    """

    def __init__(self, logger: TensorBoardLogger) -> None:
        self._logger = logger
        self._folder = logger.log_dir

    def log_audio(self, name: str, files: Sequence[Path], step: int) -> None:  # noqa: D102
        from tensorboard.compat.proto.summary_pb2 import Summary

        for file in files:
            content = file.read_bytes()
            with wave.open(io.BytesIO(content)) as header:
                rate, channels, frames = header.getframerate(), header.getnchannels(), header.getnframes()
            audio = Summary.Audio(
                sample_rate=rate,
                num_channels=channels,
                length_frames=frames,
                encoded_audio_string=content,
                content_type="audio/wav",
            )
            self._add(Summary.Value(tag=f"{name}/{file.stem}", audio=audio), step)

    def log_pictures(self, name: str, files: Sequence[Path], step: int) -> None:  # noqa: D102
        from tensorboard.compat.proto.summary_pb2 import Summary

        for file in files:
            content = file.read_bytes()
            width, height = struct.unpack(">II", content[_PNG_SIZE])
            image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=content)
            self._add(Summary.Value(tag=f"{name}/{file.stem}", image=image), step)

    def log_table(  # noqa: D102
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], step: int
    ) -> None:
        lines: list[Sequence[str]] = [
            columns,
            ["---"] * len(columns),
            *([_text(cell) for cell in row] for row in rows),
        ]
        with training_goes_on(self._folder):
            self._logger.experiment.add_text(
                name, "\n".join(f"| {' | '.join(line)} |" for line in lines), step
            )

    def _add(self, value: Any, step: int) -> None:  # noqa: ANN401 (made at run time)
        from tensorboard.compat.proto.summary_pb2 import Summary

        with training_goes_on(self._folder):
            self._logger.experiment.file_writer.add_summary(Summary(value=[value]), step)


def _flattened(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """Names as paths; TensorBoard knows switches, numbers and text."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value if isinstance(value, bool | int | float) else str(value)


def _text(cell: Cell) -> str:
    """For a cell of Markdown; files are named."""
    text = cell.name if isinstance(cell, Path) else str(cell)
    return text.replace("|", "\\|").replace("\n", " ")
