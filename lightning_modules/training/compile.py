"""Compiles parts of a model for training."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import lightning.pytorch as pl

from lightning_modules.errors import OptionError


@runtime_checkable
class DifferentiatesTwice(Protocol):
    """A model that differentiates the gradient of some of its parts, which a compiled graph cannot be.

    Attributes:
        differentiated_twice: Names of these parts.
    """

    differentiated_twice: tuple[str, ...]


class Compile(pl.Callback):
    """Compiles parts of the model in place when `fit` starts (`torch.nn.Module.compile`).

    Names of weights, checkpoints and all other verbs stay as they are. The first step takes up to minutes,
    and so does the first audio of another length; results agree with uncompiled ones to rounding, not to the
    bit. A part whose gradient is differentiated again, as a critic's is by a gradient penalty, is refused.

    Args:
        parts: Attributes of the model, e.g. `encoder`, `decoder`; dots lead to parts of parts.
        backend: Of `torch.compile`; `inductor` makes kernels, `eager` and `aot_eager` only trace.

    Raises:
        OptionError: When `fit` starts, if the model has no such part or it cannot be compiled.
    """

    def __init__(self, parts: Sequence[str], backend: str = "inductor") -> None:
        if isinstance(parts, str) or not parts:
            raise OptionError(
                f"Compile's parts are {parts!r}", "give a list of names, e.g. [encoder, decoder]"
            )
        self.parts = parts
        self.backend = backend

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Compile, before distributed training wraps the model; nothing runs until the first step."""
        if stage != "fit":
            return
        for name in self.parts:
            self._check(pl_module, name)
            pl_module.get_submodule(name).compile(backend=self.backend)

    @staticmethod
    def _check(model: pl.LightningModule, name: str) -> None:
        children = dict(model.named_children())
        twice = list(model.differentiated_twice) if isinstance(model, DifferentiatesTwice) else []
        if name not in dict(model.named_modules()) or not name:
            raise OptionError(
                f"{type(model).__name__} has no part {name!r} to compile",
                f"choose among {', '.join(each for each in children if each not in twice)}",
            )
        if name.split(".")[0] in twice:
            raise OptionError(
                f"{name} cannot be compiled: the gradient penalty of {type(model).__name__} differentiates "
                "its gradient, and torch.compile has no second derivatives",
                f"leave out {' and '.join(twice)}, or train without gradient penalty",
            )
