"""From one sound to another through the latents between them."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from lightning_modules.base import GenerativeModule, HasLatents, can_reconstruct, has_latents, other_use
from lightning_modules.errors import OptionError
from lightning_modules.inference.reconstruction import read_clip
from lightning_modules.numerics.noise import seeded_noise


def linear_path(start: Tensor, end: Tensor, weight: float) -> Tensor:
    """The straight line from `start` (weight 0) to `end` (weight 1)."""
    return torch.lerp(start, end, weight)


def spherical_path(start: Tensor, end: Tensor, weight: float) -> Tensor:
    """The great circle between latents (B, Z, L), frame by frame; lengths in between follow it too.

    Draws of a Gaussian lie near a sphere of radius √Z, whose inside, where straight lines lead, no decoder
    has seen. Source: White 2016, "Sampling generative networks", section 2.1 (slerp). Where two frames point
    the same way or opposite ways, or one is zero, the line.
    """
    length = torch.linalg.vector_norm(start, dim=1, keepdim=True) * torch.linalg.vector_norm(
        end, dim=1, keepdim=True
    )
    cosine = (start * end).sum(1, keepdim=True) / length.clamp_min(torch.finfo(start.dtype).tiny)
    angle = torch.acos(cosine.clamp(-1.0, 1.0))  # (B, 1, L)
    sine = torch.sin(angle)
    arc = (torch.sin((1.0 - weight) * angle) * start + torch.sin(weight * angle) * end) / sine
    return torch.where((sine > 1e-4) & (length > 0.0), arc, linear_path(start, end, weight))


def is_seed(end: str) -> bool:
    """Whether an end of a path is a seed, not the name of a file."""
    return end.isascii() and end.isdigit()


def latent_of(
    module: HasLatents, end: str, num_samples: int | None, temperature: float = 1.0
) -> tuple[Tensor, int]:
    """The latent of one end of a path, and its length in samples.

    Args:
        module: A model that can interpolate, in evaluation mode.
        end: A whole number, the seed of a draw (the first clip that `generate` makes of it), or a sound file.
        num_samples: Length; None for the whole file, or the training clip's.
        temperature: Of a draw.

    Returns:
        (1, Z, L), T.

    Raises:
        OptionError: If the model cannot draw, or cannot encode.
        AudioFileError: If the file cannot be read.
    """
    if is_seed(end):
        with seeded_noise(int(end), module.device, clip=0):
            length = num_samples or module.clip_samples
            return module.draw_latent(1, length, temperature), length
    encodes = can_reconstruct(module)
    if not encodes:
        raise OptionError(
            f"{end!r} is no seed, and {type(module).__name__} does not encode sound files",
            "give two seeds, whole numbers; a file of such a name is ./NAME",
        )
    if not Path(end).exists():
        raise OptionError(
            f"{end!r} is neither a seed nor a sound file", "give a whole number, 0 or more, or a file"
        )
    seconds = None if num_samples is None else num_samples / module.sample_rate
    waveform = torch.from_numpy(read_clip(Path(end), module, seconds))[None].to(module.device)  # (1, C, T)
    return module.encode_latent(waveform), waveform.shape[-1]


@torch.inference_mode()
def interpolate(
    module: GenerativeModule,
    ends: tuple[str, str],
    steps: int,
    num_samples: int | None = None,
    spherical: bool | None = None,
    temperature: float = 1.0,
) -> Iterator[tuple[float, Tensor]]:
    """Yield (weight, audio (C, T)) along the path, from the first end (weight 0) to the second (weight 1).

    Args:
        module: The model, in evaluation mode.
        ends: Each as `latent_of` takes it; the longer one is cut to the shorter.
        steps: Number of clips, both ends included.
        num_samples: Length T; None for that of the files, or the training clip's if there are none.
        spherical: Which path; None for the one that suits the model's latents.
        temperature: Of drawn ends.

    Raises:
        OptionError: If the model has no latents to mix.
    """
    if not has_latents(module):
        raise OptionError(
            f"{type(module).__name__} has no latents to interpolate between", f"give a VAE{other_use(module)}"
        )
    files = {each: latent_of(module, each, num_samples) for each in ends if not is_seed(each)}
    drawn = num_samples or min((length for _, length in files.values()), default=None)
    (start, first), (end, second) = (
        latent_of(module, each, drawn, temperature) if is_seed(each) else files[each] for each in ends
    )
    length, frames = min(first, second), min(start.shape[-1], end.shape[-1])
    if spherical is None:
        spherical = module.latent_is_gaussian
    path = spherical_path if spherical else linear_path
    for index in range(steps):
        weight = index / (steps - 1)
        latent = path(start[..., :frames], end[..., :frames], weight)
        yield weight, module.decode_latent(latent, length)[0].float().cpu()
