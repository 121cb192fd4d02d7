"""Learning-rate schedules that torch does not have in one piece."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lightning_modules.errors import OptionError


class WarmupCosine(LambdaLR):
    """Linear rise to the optimiser's learning rate, then half a cosine down to a fraction of it.

    Past `total_steps` the rate stays at the end value, so a resumed run may go on.

    Args:
        optimizer: Whose learning rates are scaled.
        total_steps: Optimiser steps until the end value.
        warmup_steps: Optimiser steps of the rise.
        final_fraction: End value over the optimiser's learning rate.

    Raises:
        OptionError: If `total_steps` is not larger than `warmup_steps`.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 50, final_fraction: float = 0.01
    ) -> None:
        if not 0 <= warmup_steps < total_steps:
            raise OptionError(
                f"WarmupCosine needs 0 <= warmup_steps < total_steps, got warmup_steps={warmup_steps}, "
                f"total_steps={total_steps}",
                "set total_steps to trainer.max_steps, or shorten the warm-up",
            )
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.final_fraction = final_fraction
        super().__init__(optimizer, self.factor)

    def factor(self, step: int) -> float:
        """Factor on the learning rate at optimiser step `step` (0 is the first)."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.final_fraction + (1.0 - self.final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))
