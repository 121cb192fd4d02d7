"""Drawing audio: reproducibly, and from truncated noise."""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lightning_modules.base import GenerativeModule, can_sample, other_use
from lightning_modules.errors import OptionError
from lightning_modules.numerics.noise import seeded_noise
from lightning_modules.numerics.precision import to_float64


def truncate_normal(noise: Tensor, limit: float) -> Tensor:
    """Map standard normal noise to the standard normal restricted to [-limit, limit], value by value.

    By the inverse of the distribution function, so that every value keeps its rank: clips of one seed stay
    alike over all limits. The truncation of BigGAN (Brock, Donahue, Simonyan 2019, section 3.1) redraws.
    """
    uniform = torch.erf(to_float64(noise) / math.sqrt(2.0)) * math.erf(limit / math.sqrt(2.0))
    return (math.sqrt(2.0) * torch.erfinv(uniform)).to(noise).clamp(-limit, limit)


class TruncatedNormalNoise(TorchFunctionMode):
    """Context in which `torch.randn` and `torch.randn_like` give values within the limit only.

    It reaches whatever a model or a prior draws, without a parameter in each of them.

    Args:
        limit: Largest absolute value, in standard deviations.

    Attributes:
        num_draws: How many tensors have been truncated.
    """

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.num_draws = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (torch's own protocol)
        """Call `func`; truncate what it drew."""
        result = func(*args, **(kwargs or {}))
        if func not in (torch.randn, torch.randn_like):
            return result
        self.num_draws += 1
        return truncate_normal(result, self.limit)


@torch.inference_mode()
def drawn_clips(
    module: GenerativeModule,
    num_clips: int,
    num_samples: int,
    seed: int,
    temperature: float = 1.0,
    truncation: float | None = None,
) -> Iterator[Tensor]:
    """Yield clips (C, T) of a model, one at a time, on the CPU.

    Args:
        module: The model, in evaluation mode.
        num_clips: How many.
        num_samples: Length T of each.
        seed: Of the noise; clip i depends on it and on i alone.
        temperature: Scale of the latent noise.
        truncation: Largest absolute value of normal noise, in standard deviations; None for no limit.

    Raises:
        OptionError: If `truncation` is asked of a model that draws no normal noise.
    """
    if not can_sample(module):
        raise OptionError(
            f"{type(module).__name__} of this checkpoint makes no audio from nothing: it cannot sample",
            f"for a plain autoencoder, make a density with `lightning fit_density`{other_use(module)}",
        )
    noise = TruncatedNormalNoise(truncation) if truncation is not None else None
    for index in range(num_clips):
        with seeded_noise(seed, module.device, clip=index), noise or nullcontext():
            clip = module.sample(1, num_samples, temperature)[0]  # (C, T)
        if noise is not None and noise.num_draws == 0:
            raise OptionError(
                f"truncation is {truncation}, but {type(module).__name__} draws no normal noise here",
                "leave it out; for uniform noise, a temperature below 1 truncates",
            )
        yield clip.float().cpu()
