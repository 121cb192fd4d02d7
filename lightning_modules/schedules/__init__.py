"""Schedules over training: weight of the KL term, learning rate, turns of critic and generator."""

from lightning_modules.schedules.kl_weight import (
    ConstantKLWeight,
    CyclicalKLWeight,
    KLWeight,
    LinearWarmupKLWeight,
)
from lightning_modules.schedules.learning_rate import WarmupCosine
from lightning_modules.schedules.updates import AdaptiveUpdates, FixedUpdates, UpdateSchedule

__all__ = [
    "AdaptiveUpdates",
    "ConstantKLWeight",
    "CyclicalKLWeight",
    "FixedUpdates",
    "KLWeight",
    "LinearWarmupKLWeight",
    "UpdateSchedule",
    "WarmupCosine",
]
