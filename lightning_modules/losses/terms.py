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


def balanced_loss(loss: Tensor, terms: dict[str, Term], output: Tensor) -> Tensor:
    """Add terms whose weights say how much they move the output beside the loss, whatever their scale.

    The gradient of the loss at the output is left as it is; that of each term is brought to its norm, times
    the term's weight. After the balancer of Défossez, Copet, Synnaeve, Adi 2022, "High Fidelity Neural Audio
    Compression", section 3.4, without its averages over steps.

    Args:
        loss: Scalar.
        terms: Further ones; a term without gradient adds nothing.
        output: What all of them depend on, and through what alone.

    Returns:
        A scalar that is only good for its gradient.
    """
    (slope,) = torch.autograd.grad(loss, output, retain_graph=True)
    norm = torch.linalg.vector_norm(slope, dtype=torch.float32)
    for weight, value in terms.values():
        (other,) = torch.autograd.grad(value, output, retain_graph=True)
        other_norm = torch.linalg.vector_norm(other, dtype=torch.float32)
        slope = slope + other * (weight * norm / other_norm.clamp(min=torch.finfo(torch.float32).tiny))
    return (output * slope).sum()
