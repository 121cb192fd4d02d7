"""Quantities that change with training: the weight of the KL term, and who trains at a step."""

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
