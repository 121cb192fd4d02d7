"""The checkpoints of a run: the best, the last, and one where training was cut short."""

import difflib
import shlex
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from lightning_modules.errors import OptionError
from lightning_modules.runs.folder import BEST_NAME, CHECKPOINT_FOLDER, INTERRUPTED_NAME, LAST_NAME


class RunCheckpoint(ModelCheckpoint):
    """Writes `best.ckpt`, `last.ckpt` and `interrupted.ckpt` into the run folder's `checkpoints/`.

    Lightning's `save_last` follows only when a new best was written, and its `save_on_exception` writes under
    the name of the best: here, `last.ckpt` is written after every validation, or every epoch without one, and
    an exception leaves both alone.

    Args:
        monitor: Validation figure that the best checkpoint is chosen by; None takes the newest.
        mode: Whether a smaller (`min`) or a larger (`max`) figure is better.
        save_top_k: How many of the best checkpoints to keep; 1 keeps `best.ckpt`.
        save_last: Whether to write `last.ckpt`.
        save_on_exception: Whether to write `interrupted.ckpt` when training stops by an error or Ctrl-C.
        filename: Name of the best checkpoint, without `.ckpt`; may hold `{epoch}`, `{step}` and `{val/…}`.
        dirpath: Another folder than the run's.
        every_n_epochs: Look for a new best every so many epochs.
        every_n_train_steps: Write `last.ckpt` also every so many steps, where validations lie far apart.
        save_weights_only: Leave out the optimiser's state; such a checkpoint cannot be resumed.
    """

    def __init__(
        self,
        monitor: str | None = "val/log_mel_distance",
        mode: Literal["min", "max"] = "min",
        save_top_k: int = 1,
        save_last: bool = True,
        save_on_exception: bool = True,
        filename: str = Path(BEST_NAME).stem,
        dirpath: str | None = None,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            monitor=monitor,
            save_top_k=save_top_k,
            mode=mode,
            auto_insert_metric_name=False,
            every_n_epochs=every_n_epochs,
            save_weights_only=save_weights_only,
            # a run killed between writing the best and writing the last finds a best that it does not know,
            # and is about to write it again
            enable_version_counter=False,
        )
        if every_n_train_steps is not None and every_n_train_steps < 1:
            raise OptionError(
                f"checkpoint.every_n_train_steps is {every_n_train_steps}", "give at least 1, or leave it out"
            )
        self.every_n_train_steps = every_n_train_steps
        self.write_last = save_last
        self.write_interrupted = save_on_exception
        self.last_step_written = 0
        """Global step of `last.ckpt`."""
        self._fitting = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Put the checkpoints into the run folder, and make sure now that the module can be written."""
        self._fitting = stage == "fit"
        if self.dirpath is None:
            self.dirpath = str(Path(trainer.default_root_dir) / CHECKPOINT_FOLDER)
        if self._fitting:
            pl_module.on_save_checkpoint({})
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Every `every_n_train_steps`, write the last; if a validation comes next, that is left to it."""
        steps = self.every_n_train_steps
        if steps and trainer.global_step % steps == 0 and not validation_is_next(trainer):
            self._write_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the best if there is a new one; within an epoch, also the last.

        Raises:
            OptionError: If what the best is chosen by was not logged.
        """
        known = sorted(name for name in trainer.callback_metrics if name.startswith("val/"))
        looks = self._fitting and not trainer.sanity_checking
        if looks and self.monitor is not None and self.monitor not in trainer.callback_metrics:
            near = difflib.get_close_matches(self.monitor, known, 1)
            raise OptionError(
                f"checkpoint.monitor is {self.monitor!r}, which this validation did not give; it gave "
                f"{', '.join(known) or 'nothing'}",
                f"give --checkpoint.monitor {near[0] if near else 'one of them'}, or null for the newest",
            )
        super().on_validation_end(trainer, pl_module)
        within_epoch = self._fitting and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if within_epoch and not trainer.sanity_checking:
            self._write_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the best if there is a new one, then the last; comes after the epoch's validation."""
        super().on_train_epoch_end(trainer, pl_module)
        self._write_last(trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the best of a continued run, even if its folder has moved; a new run starts afresh.

        Raises:
            TypeError: If a score in the checkpoint is no number.
        """
        for score in (state_dict["best_model_score"], *state_dict["best_k_models"].values()):
            if score is not None and not (isinstance(score, Tensor) and score.numel() == 1):
                raise TypeError(f"the score of its best checkpoint is {score!r:.40}")
        best = Path(str(self.dirpath)) / Path(state_dict["best_model_path"]).name
        if self._fitting and best.is_file():
            super().load_state_dict(self._moved(state_dict))

    def _moved(self, state: dict[str, Any]) -> dict[str, Any]:
        """`state` with the folder of all its paths replaced by the present one."""

        def here(path: str) -> str:
            name = Path(path).name
            # what it names will be deleted: no folder above
            return str(Path(str(self.dirpath)) / name) if name.endswith(self.FILE_EXTENSION) else ""

        return {
            **state,
            "dirpath": self.dirpath,
            "best_model_path": here(state["best_model_path"]),
            "kth_best_model_path": here(state["kth_best_model_path"]),
            "last_model_path": here(state["last_model_path"]),
            "best_k_models": {here(path): score for path, score in state["best_k_models"].items()},
        }

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Keep what was learned since the last checkpoint."""
        # one process of several cannot write alone: writing waits for the others
        everywhere = trainer.world_size == 1 or isinstance(exception, SIGTERMException)
        wanted = self.write_interrupted and self._fitting and not trainer.sanity_checking and everywhere
        if wanted and trainer.global_step > self.last_step_written:
            path = Path(str(self.dirpath)) / INTERRUPTED_NAME
            trainer.save_checkpoint(path, self.save_weights_only)
            why = "" if isinstance(exception, SIGTERMException) else f" by {type(exception).__name__}"
            go_on = "" if self.save_weights_only else "; to go on:"
            rank_zero_info(f"Stopped{why} after step {trainer.global_step}{go_on}")
            if go_on:
                rank_zero_info(f"  lightning fit --ckpt_path {shlex.quote(str(path))}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do not end as if all were well if the last checkpoint could not be written.

        Raises:
            CheckpointError: What kept it from being written.
        """
        super().on_train_end(trainer, pl_module)
        failure = getattr(trainer.strategy.checkpoint_io, "failure", None)  # of AtomicCheckpointIO
        if failure is not None:
            raise failure

    def _write_last(self, trainer: pl.Trainer) -> None:
        if self.write_last and trainer.global_step > self.last_step_written:
            trainer.save_checkpoint(Path(str(self.dirpath)) / LAST_NAME, self.save_weights_only)
            if getattr(trainer.strategy.checkpoint_io, "failure", None) is not None:  # of AtomicCheckpointIO
                return
            self.last_step_written = trainer.global_step
            for logger in trainer.loggers:
                logger.after_save_checkpoint(self)


def validation_is_next(trainer: pl.Trainer) -> bool:
    """Whether a validation follows the training batch that has just ended."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)
