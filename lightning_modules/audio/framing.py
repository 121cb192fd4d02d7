"""Cutting batches of clips, in number and in time, and padding them."""

from torch import Tensor
from torch.nn import functional

from lightning_modules.errors import OptionError


def split_evenly(waveform: Tensor, parts: int) -> tuple[Tensor, ...]:
    """(B, C, T) -> `parts` tensors of B / parts clips, dealt in turns.

    So the first parts of several devices, each with consecutive clips, hold together what the first part of
    one device with all the clips does.

    Raises:
        OptionError: If that is no whole number.
    """
    if len(waveform) % parts != 0:
        raise OptionError(
            f"A training batch of {len(waveform)} clips cannot be cut into the {parts} parts that the update "
            "schedule's critic updates need",
            f"set data.init_args.batch_size to a multiple of {parts}: {parts} times the clips of one update",
        )
    return tuple(waveform[part::parts] for part in range(parts))


def cut_into_clips(waveform: Tensor, clip_samples: int) -> Tensor:
    """(B, C, T) -> (B * n, C, clip_samples), n = T // clip_samples; what is left over is dropped.

    A waveform shorter than that stays whole.
    """
    length = min(clip_samples, waveform.shape[-1])
    return waveform.unfold(2, length, length).transpose(1, 2).flatten(0, 1)


def padded_to_frames(waveform: Tensor, hop_samples: int) -> Tensor:
    """(B, C, T) with silence at the end, up to a whole number of frames."""
    return functional.pad(waveform, (0, -waveform.shape[-1] % hop_samples))
