"""A limit on the memory that building an object takes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_modules.errors import CheckpointError

GRACE_BYTES = 2**28
GRACE_FACTOR = 16
"""Building takes more than the weights: windows, filter banks, what initial values are drawn with."""


def allocation_allowed(state_dict: dict[str, torch.Tensor]) -> int:
    """Bytes that a module may take to be built, for the weights that a file has for it."""
    return GRACE_BYTES + GRACE_FACTOR * sum(weight.nbytes for weight in state_dict.values())


class AllocationLimit(TorchDispatchMode):
    """Stops what makes more tensors than it may; memory that is never written to is not taken yet.

    Args:
        num_bytes: Of all tensors made within, whether they live or not.
        what: What is being built, for the error.
    """

    def __init__(self, num_bytes: int, what: str) -> None:
        super().__init__()
        self.num_bytes = num_bytes
        self.what = what
        self.taken = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (torch's operators have no public type)
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Run `func`, and count what it makes.

        Raises:
            CheckpointError: If that is too much.
        """
        output = func(*args, **(kwargs or {}))
        outputs = output if isinstance(output, tuple | list) else (output,)
        for made, declared in zip(outputs, func._schema.returns, strict=False):
            if isinstance(made, torch.Tensor) and declared.alias_info is None:
                self.taken += made.nbytes
        if self.taken > self.num_bytes:
            raise CheckpointError(
                f"The {self.what} asks for {self.num_bytes / 2**20:,.0f} MiB and more, which its weights are "
                "not worth",
                "use a file that this program wrote",
            )
        return output
