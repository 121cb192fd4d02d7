"""State that makes a continued run equal one never stopped: position, random numbers, logged values."""

import random
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.apply_func import convert_tensors_to_scalars
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import STEP_OUTPUT

from lightning_modules.base import is_logging_step
from lightning_modules.loggers.csv_logger import RunCSVLogger
from lightning_modules.loggers.media import Rewinds

KEY = "random_state"
VALIDATION_SEED = 0


class Position(NamedTuple):
    """Where training stands between two batches.

    Attributes:
        epochs: Epochs that are over.
        batches: Batches trained in the epoch since.
        total_batches: Batches trained in all epochs.
        logged_steps: The step that the next batch's figures are logged under.
        validating: Whether a validation comes first.
    """

    epochs: int
    batches: int
    total_batches: int
    logged_steps: int
    validating: bool


class ExactResume(pl.Callback):
    """Lets a continued run repeat, to the last bit, what the interrupted one would have done.

    Lightning saves its loops as they stand when a checkpoint is written, and what a run does after loading
    them depends on the hook that wrote it: logged steps shift by one, a due validation is dropped, an epoch
    gets a batch too many. Here every checkpoint states the position between two batches instead, in the one
    form that all of these survive, together with the loader's place in the epoch and the random numbers of
    Python, numpy, torch and the GPU, of each process. A checkpoint written in the middle of a step or of a
    validation states its beginning. (After an exception in the middle of a step of several optimisers, one of
    them may be an update ahead.)

    When a run goes on, figures that were logged after the checkpoint move to `superseded-1.csv`: they are
    about to be logged again.

    It comes last among the callbacks but for those that write checkpoints.
    """

    def __init__(self) -> None:
        self._logged_steps = 0
        self._boundary: dict[str, Any] = {}
        self._validating = False
        self._loaded: list[dict[str, Any]] | None = None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember the random numbers until training starts: setting up draws some.

        Raises:
            TypeError: If the state of Lightning's loops holds something else in the place of a count.
        """
        if trainer.state.fn == TrainerFn.FITTING:
            check_counts(trainer.fit_loop.state_dict(), checkpoint["loops"]["fit_loop"], "fit_loop")
            self._loaded = checkpoint.get(KEY)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random numbers and take the figures back that come after this point."""
        loop = trainer.fit_loop.epoch_loop
        # the loops are told that a batch has just ended, and will count it
        self._logged_steps = logged_steps(trainer) + bool(self._loaded)
        if self._loaded and not loop.restarting:
            # but with `max_epochs` alone Lightning takes a new epoch for a new beginning, and counts nothing
            loop._batches_that_stepped += 1
            loop.batch_progress.increment_completed()
        for logger in trainer.loggers:
            if isinstance(logger, Rewinds):
                logger.rewind(self._logged_steps)
        if self._loaded:
            # with another number of devices than at saving, there is no state that would be the right one
            restore_random_state(self._loaded[trainer.global_rank % len(self._loaded)])
            self._loaded = None
        self._boundary = random_state()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Forget the figures of earlier steps.

        Lightning logs a figure again at each step that does not compute it, such as the critic's at a step of
        the generator alone; a run that goes on there could not.
        """
        for result in trainer.fit_loop.epoch_loop._results.values():
            result._forward_cache = None

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Note where the next step, or a validation, would have to begin again."""
        # Lightning counts the step only after the hooks that write checkpoints
        self._logged_steps = logged_steps(trainer) + (not trainer.fit_loop.epoch_loop._should_accumulate())
        self._boundary = random_state()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate with random numbers of its own.

        So each validation draws the same, training goes on as if there had been none, and processes whose
        batches differ in size stay in step. A checkpoint written from here on, by an exception, comes before
        the validation.
        """
        if trainer.state.fn == TrainerFn.FITTING:
            self._validating = not trainer.sanity_checking
            self._boundary = random_state()
            torch.manual_seed(VALIDATION_SEED + trainer.global_rank)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A checkpoint written from here on comes after the validation."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._validating = False
            restore_random_state(self._boundary)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """State position and random numbers, and write down the figures of the step before the checkpoint."""
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        if progress.processed > progress.completed:
            log_early(trainer)
        in_step = progress.ready > progress.processed
        unfinished = in_step or self._validating
        checkpoint[KEY] = gather_objects(trainer, self._boundary if unfinished else random_state())
        position = current_position(trainer, self._logged_steps, self._validating)
        if position.total_batches:
            state_position(checkpoint["loops"]["fit_loop"], position)


def check_counts(known: dict[str, Any], found: dict[str, Any], name: str) -> None:
    """Compare a saved state of loops with one of a new Trainer; Lightning takes what it is given.

    Args:
        known: State as it should be, of any counts.
        found: State from a file.
        name: What it is of, for the error.

    Raises:
        TypeError: If a value is of another type than the known one of its name.
    """
    for key, value in known.items():
        each, where = found.get(key, value), f"{name}.{key}"
        if type(each) is not type(value):
            raise TypeError(f"{where} is {each!r:.40}")
        if isinstance(value, dict):
            check_counts(value, each, where)


def logged_steps(trainer: pl.Trainer) -> int:
    """The step that Lightning logs under: it counts batches in which an optimiser stepped, not optimisers."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def current_position(trainer: pl.Trainer, logged_steps: int, validating: bool) -> Position:
    """Where training stands; an unfinished step, or validation, counts as not begun."""
    loop = trainer.fit_loop.epoch_loop
    epochs: Any = trainer.fit_loop.epoch_progress.total
    progress: Any = loop.batch_progress
    finished, batches = max(epochs.started - 1, 0), progress.current.processed
    # `max_steps` ends an epoch early: Lightning counts it, but its other batches are still to come
    over = progress.current.ready == batches and loop._num_ready_batches_reached()
    if over and not validating:
        finished, batches = epochs.started, 0
    return Position(finished, batches, progress.total.processed, logged_steps, validating)


def state_position(fit_loop: dict[str, Any], position: Position) -> None:
    """Rewrite the saved state of Lightning's loops so that they go on at `position`.

    The form is that of a checkpoint written at the end of a training batch: the last batch is processed and
    about to be completed. On loading, the loops complete it, skip a validation that is due there, and train
    the next batch. If the validation is still to come, the form is that of a checkpoint written in it.

    Args:
        fit_loop: `checkpoint["loops"]["fit_loop"]`, changed in place.
        position: At least one batch has been trained.
    """
    epochs, batches, total, logged_steps, validating = position
    missing = 0 if validating else 1
    fit_loop["epoch_loop.batch_progress"] = {
        "total": _counts(total, total - missing),
        "current": _counts(batches, batches - missing),
        "is_last_batch": False,
    }
    begun = epochs + (batches > 0)
    epoch = {"ready": begun, "started": begun, "processed": epochs, "completed": epochs}
    fit_loop["epoch_progress"] = {"total": epoch, "current": dict(epoch)}
    fit_loop["epoch_loop.state_dict"]["_batches_that_stepped"] = logged_steps - 1
    fit_loop["epoch_loop.val_loop.batch_progress"] = {
        "total": {**_counts(int(validating), 0), "processed": 0},
        "current": _counts(0, 0),
        "is_last_batch": False,
    }
    for state in fit_loop["state_dict"].get("combined_loader", []):
        if "first_batch" in state:  # `datamodules.clips.samplers`; another loader's state is left as it is
            state.update(epoch=epochs, first_batch=batches)


def _counts(count: int, completed: int) -> dict[str, int]:
    return {"ready": count, "started": count, "processed": count, "completed": completed}


def random_state() -> dict[str, Any]:
    """The states of all global random number generators of this process, as tensors and plain values."""
    version, internal, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)
    return {
        "python": [version, torch.tensor(internal), gauss],
        "numpy": {
            **numpy_state,
            "state": {
                **numpy_state["state"],
                "key": torch.from_numpy(numpy_state["state"]["key"].astype("i8")),
            },
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put this process's random number generators into a state that `random_state` gave."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss))
    key = state["numpy"]["state"]["key"].numpy().astype("u4")
    np.random.set_state({**state["numpy"], "state": {**state["numpy"]["state"], "key": key}})
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def log_early(trainer: pl.Trainer) -> None:
    """Write the figures of the present step as CSV.

    Lightning logs them only after the hooks that write checkpoints: a kill in between would lose them, since
    the continued run begins with the next step.
    """
    loggers = [logger for logger in trainer.loggers if isinstance(logger, RunCSVLogger)]
    if loggers and is_logging_step(trainer):
        figures = {
            **convert_tensors_to_scalars(trainer._logger_connector.metrics["log"]),
            "epoch": trainer.current_epoch,
        }
        for logger in loggers:
            logger.log_metrics(figures, logged_steps(trainer))
            logger.save()


def gather_objects(trainer: pl.Trainer, value: Any) -> list[Any]:  # noqa: ANN401 (whatever each process has)
    """The values of all processes, in the order of their ranks."""
    values = [value] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(values, value)
    return values
