"""Write down what a run was started with."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import STEP_OUTPUT

from datamodules.files import write_atomically
from lightning_modules.errors import RunError
from lightning_modules.runs.code_version import code_version
from lightning_modules.runs.folder import CONFIG_NAME, next_config_path
from lightning_modules.runs.resume import CONFIG_KEY


class RecordRun(pl.Callback):
    """Keeps the resolved options beside the results and tells the loggers which data and code was used.

    It comes first among the callbacks: its `setup` makes every process of a multi-device run write into the
    folder that the first process chose.

    Args:
        root: Folder that this stage of the run writes into.
        config: Resolved options as YAML.
    """

    def __init__(self, root: Path, config: str) -> None:
        self.root = root
        self.config = config
        self._name: str | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Agree on the folder, then write the config into it."""
        # Every process chose a run id of its own; only the first one made its folder. There is no public way
        # to change `default_root_dir` once the processes can talk to each other.
        trainer._default_root_dir = trainer.strategy.broadcast(str(self.root))  # type: ignore[attr-defined]
        if not (self.root / CONFIG_NAME).exists():
            self._write(trainer)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """A run that is continued is recorded once it has: a start that trains nothing leaves nothing."""
        self._check_folder(trainer)
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training in a folder that is gone has not come to a good end."""
        self._check_folder(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Name the config that the checkpoint was written under."""
        checkpoint[CONFIG_KEY] = self._name

    def _check_folder(self, trainer: pl.Trainer) -> None:
        """What is written later makes the folder anew, but for what it held.

        Raises:
            RunError: If it was removed or moved.
        """
        if trainer.is_global_zero and not (self.root / CONFIG_NAME).exists():
            raise RunError(
                f"The run's folder {self.root} was removed or moved while it was trained in: "
                f"its {CONFIG_NAME} is gone",
                "start again, with another --run_id",
            )

    def _write(self, trainer: pl.Trainer) -> None:
        if self._name is not None or not trainer.is_global_zero:
            return
        path = next_config_path(self.root)
        if trainer.fast_dev_run and path.name != CONFIG_NAME:  # type: ignore[attr-defined]
            return
        self._name = path.name
        try:
            write_atomically(path, self.config.encode())
        except OSError as error:
            if path.name == CONFIG_NAME:
                raise RunError(
                    f"Cannot write {path} ({error.strerror or error})",
                    "free some space, or give another --runs_dir",
                ) from error
            self._name = None  # and try again after the next batch

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the identity of data and code."""
        self._log_identity(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the identity of data and code."""
        self._log_identity(trainer)

    def _log_identity(self, trainer: pl.Trainer) -> None:
        if not trainer.loggers or not trainer.is_global_zero:
            return
        data: dict[str, Any] | None = getattr(trainer.datamodule, "identity", None)  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            logger.log_hyperparams({"data_identity": data, "code": code_version()})
