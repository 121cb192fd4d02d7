"""Write down what a run was started with."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_modules.runs.code_version import code_version
from lightning_modules.runs.folder import next_config_path


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
        self._written = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Agree on the folder, then write the config into it."""
        # Every process chose a run id of its own; only the first one made its folder. There is no public way
        # to change `default_root_dir` once the processes can talk to each other.
        trainer._default_root_dir = trainer.strategy.broadcast(str(self.root))  # type: ignore[attr-defined]
        if trainer.is_global_zero and not self._written:
            next_config_path(self.root).write_text(self.config)
            self._written = True

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
