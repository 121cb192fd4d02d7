"""β, the weight of the KL term, as a function of the training step."""

from abc import ABC, abstractmethod

from lightning_modules.errors import OptionError


class KLWeight(ABC):
    """Schedule of β."""

    @abstractmethod
    def __call__(self, step: int) -> float:
        """β at optimiser step `step` (0 is the first); non-negative."""


def _require_non_negative(owner: object, **values: float) -> None:
    for name, value in values.items():
        if value < 0:
            raise OptionError(f"{type(owner).__name__} needs {name} >= 0, got {value}", f"raise {name}")


class ConstantKLWeight(KLWeight):
    """The same β at every step.

    Args:
        beta: The weight; 1 is the ELBO, 0 an autoencoder.
    """

    def __init__(self, beta: float = 1.0) -> None:
        _require_non_negative(self, beta=beta)
        self.beta = beta

    def __call__(self, step: int) -> float:
        """See `KLWeight`."""
        return self.beta


class LinearWarmupKLWeight(KLWeight):
    """β rises linearly to its final value, so that the decoder learns to use z before z costs anything.

    Source: Bowman et al. 2016, "Generating Sentences from a Continuous Space", section 3.1.

    Args:
        beta: Final weight.
        warmup_steps: Optimiser steps of the rise; 0 is a constant.
        initial_beta: Weight at step 0.
    """

    def __init__(self, beta: float = 1.0, warmup_steps: int = 500, initial_beta: float = 0.0) -> None:
        _require_non_negative(self, beta=beta, warmup_steps=warmup_steps, initial_beta=initial_beta)
        self.beta = beta
        self.warmup_steps = warmup_steps
        self.initial_beta = initial_beta

    def __call__(self, step: int) -> float:
        """See `KLWeight`."""
        if step >= self.warmup_steps:
            return self.beta
        return self.initial_beta + (self.beta - self.initial_beta) * step / self.warmup_steps


class CyclicalKLWeight(KLWeight):
    """β rises and starts again from zero, cycle after cycle.

    Source: Fu et al. 2019, "Cyclical Annealing Schedule", eq. 6 with a linear rise.

    Args:
        beta: Weight at the top of each cycle.
        cycle_steps: Optimiser steps of one cycle.
        rise_fraction: Share of a cycle, in (0, 1], in which β rises; the rest of the cycle it stays on top.
    """

    def __init__(self, beta: float = 1.0, cycle_steps: int = 1000, rise_fraction: float = 0.5) -> None:
        _require_non_negative(self, beta=beta)
        if cycle_steps < 1 or not 0.0 < rise_fraction <= 1.0:
            raise OptionError(
                "CyclicalKLWeight needs cycle_steps >= 1 and 0 < rise_fraction <= 1, "
                f"got cycle_steps={cycle_steps}, rise_fraction={rise_fraction}",
                "0.5 of a few thousand steps is common",
            )
        self.beta = beta
        self.cycle_steps = cycle_steps
        self.rise_fraction = rise_fraction

    def __call__(self, step: int) -> float:
        """See `KLWeight`."""
        position = (step % self.cycle_steps) / self.cycle_steps
        return self.beta * min(1.0, position / self.rise_fraction)
