"""Full precision within mixed precision."""

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Context without autocast; in a graph that is being exported, which has none, nothing at all."""
    if torch.compiler.is_exporting():
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
