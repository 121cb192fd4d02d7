"""One step of a model of notes as a file for other programs: a token and what is remembered in, both out."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.export import Dim

from lightning_modules.base import TokenNetwork
from lightning_modules.errors import ExportError
from lightning_modules.inference.export import ExportedFile, Speed, checked_files, reason_of

NAME = "step"
EXAMPLE_PAST, MOST_PAST = 16, 1 << 20
CHECKED = ((1, 0), (1, 1), (3, 37))
"""Batch sizes and lengths of the past that a file is compared at."""

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class NextToken(nn.Module):
    """Scores of what comes after one more token.

    Args:
        network: Over tokens.
    """

    def __init__(self, network: TokenNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, token: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1) int64, and keys and values of P tokens -> logits (B, V), and those of P + 1."""
        scores, cache = self.network(token, cache)
        return scores[:, 0], cache


@torch.no_grad()
def export_step(network: TokenNetwork, formats: list[str], facts: dict[str, str]) -> list[ExportedFile]:
    """Export the step to some of `export.FORMATS`, and check each file against the network.

    A piece begins with an empty cache (P = 0) and the token `BEGIN`.

    Args:
        network: A Module in evaluation mode, on the CPU.
        formats: Some of `export.FORMATS`.
        facts: What the files say of themselves.

    Raises:
        ExportError: If that fails, or a file's output differs by more than `TOLERANCE`.
    """
    step = NextToken(network).eval()
    shapes = ({0: Dim.DYNAMIC}, {2: Dim.DYNAMIC, 4: Dim("past", min=2, max=MOST_PAST)})
    try:
        graph = torch.export.export(step, example(network, 2, EXAMPLE_PAST, 0), dynamic_shapes=shapes)
    except Exception as error:  # torch raises many kinds
        raise ExportError(
            f"The step of this model does not export: {reason_of(error)}", "use another model"
        ) from error
    return checked_files(
        NAME,
        graph,
        facts,
        formats,
        step,
        lambda function: largest_difference(network, function),
        Speed("steps_per_second", "steps/s", lambda function: steps_per_second(network, function)),
    )


def example(network: TokenNetwork, batch: int, past: int, seed: int) -> tuple[Tensor, Tensor]:
    """A token and a cache."""
    random = torch.Generator().manual_seed(seed)
    token = torch.randint(network.vocabulary_size, (batch, 1), generator=random)
    layers, pair, _, parts, _, size = network.empty_cache(batch).shape
    return token, torch.randn(layers, pair, batch, parts, past, size, generator=random)


def largest_difference(network: TokenNetwork, function: Step) -> float:
    """Between the network and a file, in logits and in cache; infinite where a shape differs."""
    worst = 0.0
    for seed, (batch, past) in enumerate(CHECKED):
        values = example(network, batch, past, seed)
        for wanted, found in zip(NextToken(network)(*values), function(*values), strict=True):
            if found.shape != wanted.shape:
                return torch.inf
            worst = max(worst, float((found - wanted).abs().nan_to_num(torch.inf).max()))
    return worst


def steps_per_second(network: TokenNetwork, function: Step, steps: int = 20) -> float:
    """Of one piece, after 256 tokens."""
    values = example(network, 1, 256, 0)
    function(*values)
    begin = time.perf_counter()
    for _ in range(steps):
        function(*values)
    return steps / (time.perf_counter() - begin)
