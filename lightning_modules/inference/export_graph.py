"""The parts of a model that can be exported, without the modules that take no part in them."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightning_modules.base import GenerativeModule, HasLatents, Reconstructs, can_reconstruct, has_latents
from lightning_modules.errors import ExportError
from lightning_modules.numerics.noise import seeded_noise

EXAMPLE_FRAMES = 64
"""Latent frames of the clip that graphs are made from."""


class Reconstructor(nn.Module):
    """Waveform (B, C, T) to waveform."""

    def __init__(self, model: Reconstructs) -> None:
        super().__init__()
        self.model = model

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return self.model.reconstruct(waveform)


class LatentEncoder(nn.Module):
    """Waveform (B, C, T) to latents."""

    def __init__(self, model: HasLatents) -> None:
        super().__init__()
        self.model = model

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, C, T) -> (B, Z, L)."""
        return self.model.encode_latent(waveform)


class LatentDecoder(nn.Module):
    """Latents (B, Z, L) to waveform."""

    def __init__(self, model: HasLatents) -> None:
        super().__init__()
        self.model = model

    def forward(self, latent: Tensor) -> Tensor:
        """(B, Z, L) -> (B, C, L * latent_hop_samples)."""
        return self.model.decode_latent(latent)


class Part(NamedTuple):
    """A part of a model that becomes one file of each format.

    Attributes:
        name: Of the file.
        module: What is exported.
        input_name: Of its argument.
        unit: Samples, or frames, that its length must be a multiple of.
        example: Makes an input (B, C, T) or (B, Z, L) for a batch size, a number of latent frames and a seed.
    """

    name: str
    module: nn.Module
    input_name: str
    unit: int
    example: Callable[[int, int, int], Tensor]


def parts_of(model: GenerativeModule) -> list[Part]:
    """The parts that can be exported: `reconstruct`, `encoder` and `decoder`, or the `decoder` alone.

    Raises:
        ExportError: If it has none of them.
    """
    hop, channels = model.latent_hop_samples, model.channels

    def waveform(batch: int, frames: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return 0.1 * torch.randn(batch, channels, frames * hop, generator=generator)

    parts = []
    if can_reconstruct(model):
        parts.append(Part("reconstruct", Reconstructor(model), "waveform", hop, waveform))
    if has_latents(model):
        encodes = can_reconstruct(model)

        def latent(batch: int, frames: int, seed: int) -> Tensor:
            if encodes:
                return model.encode_latent(waveform(batch, frames, seed))
            with seeded_noise(seed, torch.device("cpu")):
                return model.draw_latent(batch, frames * hop)

        if encodes:
            parts.append(Part("encoder", LatentEncoder(model), "waveform", hop, waveform))
        parts.append(Part("decoder", LatentDecoder(model), "latent", 1, latent))
    if not parts:
        raise ExportError(
            f"{type(model).__name__} neither reconstructs nor decodes latents: there is nothing to export",
            "use a model that does",
        )
    return parts


def pruned(part: Part) -> nn.Module:
    """A copy of a part's module without what takes no part in it (critics, priors, losses).

    Weight normalisation is multiplied out. A module is kept if it, or one in it, is called.
    """
    copied = copy.deepcopy(part.module).eval()
    called: set[nn.Module] = set()
    hooks = [each.register_forward_hook(lambda m, *_: called.add(m)) for each in copied.modules()]
    copied(part.example(1, EXAMPLE_FRAMES, 0))
    for hook in hooks:
        hook.remove()
    _prune(copied.model, called)  # type: ignore[arg-type]
    for each in list(copied.modules()):
        if parametrize.is_parametrized(each):
            _multiply_out(each)
    return copied


def _multiply_out(module: nn.Module) -> None:
    """Make plain parameters of parametrised ones."""
    # the removal takes the properties off the class, which a deep copy shares with its original: a class of
    # its own first
    shared = type(module)
    module.__class__ = type(shared.__name__, shared.__bases__, dict(shared.__dict__))
    for name in list(module.parametrizations):  # type: ignore[arg-type]
        parametrize.remove_parametrizations(module, name)


def _prune(parent: nn.Module, called: set[nn.Module]) -> None:
    for name, child in list(parent.named_children()):
        if child in called:
            continue
        if any(each in called for each in child.modules()):
            _prune(child, called)
        else:
            setattr(parent, name, nn.Identity())
