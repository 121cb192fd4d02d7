"""The one batch type that every LightningModule receives, and the form in which workers ship it."""

from typing import NamedTuple

import torch
from torch import Tensor

INT16_SCALE = 1.0 / 32768.0


class Batch(NamedTuple):
    """Clips on the device, ready for a model.

    Attributes:
        waveform: (B, C, T) float32 in [-1, 1].
        performance: (B,) int64, row of the clip's performance in `MaestroDataModule.performances`.
        start_sample: (B,) int64, first sample of the clip within its performance, at the cache's rate.
    """

    waveform: Tensor
    performance: Tensor
    start_sample: Tensor


class PcmBatch(NamedTuple):
    """Clips as loaders ship them: half the bytes of `Batch`, converted on the device.

    Attributes:
        pcm: (B, C, T) int16.
        gain: (B,) float32, factor applied on conversion (augmentation; 1 for evaluation clips).
        performance: (B,) int64, as in `Batch`.
        start_sample: (B,) int64, as in `Batch`.
    """

    pcm: Tensor
    gain: Tensor
    performance: Tensor
    start_sample: Tensor

    def to_batch(self) -> Batch:
        """Convert to float32 on the device that holds `pcm`, clamped to [-1, 1] after the gain."""
        scale = (self.gain * INT16_SCALE).view(-1, 1, 1)
        waveform = torch.mul(self.pcm, scale).clamp_(-1.0, 1.0)
        return Batch(waveform, self.performance, self.start_sample)
