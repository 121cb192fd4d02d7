"""Weighted sums of loss terms, with the scalars to log."""

from typing import NamedTuple

import torch
from torch import Tensor


class Term(NamedTuple):
    """A loss term, a scalar, and the weight that the LightningModule gives it."""

    weight: float
    value: Tensor


def weighted_sum(terms: dict[str, Term]) -> tuple[Tensor, dict[str, Tensor]]:
    """Add terms.

    Returns:
        The loss, a scalar; and, detached, each term as `<name>` and times its weight as `weighted/<name>`.
    """
    weighted = {name: term.weight * term.value for name, term in terms.items()}
    scalars = {name: term.value.detach() for name, term in terms.items()}
    scalars |= {f"weighted/{name}": value.detach() for name, value in weighted.items()}
    return torch.stack(list(weighted.values())).sum(), scalars
