"""Learning-rate schedules that torch does not have in one piece."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lightning_modules.errors import OptionError

POSITION = ("last_epoch", "_step_count")
"""Of a torch scheduler: where it stands."""


class WarmupCosine(LambdaLR):
    """Linear rise to the optimiser's learning rate, then half a cosine down to a fraction of it.

    Past `total_steps` the rate stays at the end value, so a resumed run may go on.

    Args:
        optimizer: Whose learning rates are scaled.
        total_steps: Optimiser steps until the end value.
        warmup_fraction: Share of them in which the rate rises, in [0, 1).
        final_fraction: End value over the optimiser's learning rate.

    Raises:
        OptionError: If `total_steps` is not positive or `warmup_fraction` not in [0, 1).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup_fraction: float = 0.05,
        final_fraction: float = 0.01,
    ) -> None:
        if total_steps < 1 or not 0.0 <= warmup_fraction < 1.0:
            raise OptionError(
                "WarmupCosine needs total_steps >= 1 and 0 <= warmup_fraction < 1, "
                f"got total_steps={total_steps}, warmup_fraction={warmup_fraction}",
                "give the length of the training in steps; where it follows trainer.max_steps, set that",
            )
        self.total_steps = total_steps
        self.warmup_fraction = warmup_fraction
        self.final_fraction = final_fraction
        self.warmup_steps = int(warmup_fraction * total_steps)
        super().__init__(optimizer, self.factor)

    def state_dict(self) -> dict[str, Any]:
        """The position alone: the length of the schedule is an option, which may be changed on continuing."""
        return {name: getattr(self, name) for name in POSITION}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at a position, with the learning rate that this schedule has there."""
        for name in POSITION:
            setattr(self, name, state_dict[name])
        factor = self.factor(self.last_epoch)
        for group, rate in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = rate * factor
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def factor(self, step: int) -> float:
        """Factor on the learning rate at optimiser step `step` (0 is the first)."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.final_fraction + (1.0 - self.final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))
