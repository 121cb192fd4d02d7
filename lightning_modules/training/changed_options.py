"""Options changed since a checkpoint was written: applied to the continued run, or refused by name."""

import warnings
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_modules.checkpoints.description import Difference, describe, differences
from lightning_modules.checkpoints.file import KEY
from lightning_modules.errors import CheckpointError
from lightning_modules.runs.resume import NEEDED

OPTIMIZER_ROOM = "torch.optim."


class ChangedOptions(pl.Callback):
    """Lets options of optimisers and schedules that were changed on continuing take effect, and says so.

    What Lightning restores of an optimiser are its moments and also its learning rate, weight decay and so
    on; of a scheduler, all its options: what the person changed would be ignored in silence. Here, if any of
    them differ from those that the checkpoint was written under, the moments and the position are taken from
    the checkpoint and the options from the command.
    """

    def __init__(self) -> None:
        self._checkpoint: dict[str, Any] | None = None
        self._changed: list[Difference] = []

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Compare the options.

        Raises:
            CheckpointError: If the checkpoint holds too little to go on from, or another optimiser's state.
        """
        if trainer.state.fn != TrainerFn.FITTING:
            return
        if missing := [what for name, what in NEEDED.items() if name not in checkpoint]:
            raise CheckpointError(
                f"The checkpoint holds no {' and no '.join(missing)}: training cannot go on from it",
                "continue from a checkpoint of the run that was not written with save_weights_only",
            )
        if "random_state" not in checkpoint:
            rank_zero_info("The checkpoint holds no random numbers: the run goes on with others.")
        content = checkpoint.get(KEY)
        if content is None:
            return
        self._checkpoint = checkpoint
        changed = differences(content["module"], describe(pl_module))
        self._changed = [each for each in changed if _is_of_optimisation(each)]
        for each in self._changed:
            if each.is_class and "optimizer" in each.name.split(".")[0]:
                raise CheckpointError(
                    f"The checkpoint holds the state of another optimiser: {each}",
                    "go on with the same one, or start a new run",
                )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the options into the state that Lightning is about to restore."""
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint is None or not self._changed:
            return
        states = checkpoint["optimizer_states"]
        if len(states) != len(trainer.optimizers):
            raise CheckpointError(
                f"The checkpoint holds the state of {len(states)} optimisers, and there are "
                f"{len(trainer.optimizers)}",
                "go on with the same ones, or start a new run",
            )
        rank_zero_info("Going on with changed options: " + "; ".join(map(str, self._changed)))
        positions = [state.get("last_epoch") for state in checkpoint["lr_schedulers"]]
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        for number, scheduler in enumerate(schedulers):
            position = positions[number] if number < len(positions) else checkpoint["global_step"]
            move_to(scheduler, position)
        for state, optimizer in zip(states, trainer.optimizers, strict=True):
            for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=False):
                saved.update({name: value for name, value in own.items() if name != "params"})
        checkpoint["lr_schedulers"] = [scheduler.state_dict() for scheduler in schedulers]


def move_to(scheduler: Any, position: int) -> None:  # noqa: ANN401 (torch's schedulers share no public base)
    """Step a new scheduler to a position.

    Raises:
        CheckpointError: If its rates follow what was measured, and not the position alone.
    """
    if isinstance(scheduler, ReduceLROnPlateau):
        raise CheckpointError(
            "The options of ReduceLROnPlateau, or of its optimiser, were changed, and where it stands cannot "
            "be told from the number of steps",
            "go on with the same options, or start a new run",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps before the optimiser's first: these were taken long ago
        for _ in range(position - scheduler.last_epoch):
            scheduler.step()


def _is_of_optimisation(difference: Difference) -> bool:
    return any(part in difference.name.split(".")[0] for part in ("optimizer", "scheduler"))
