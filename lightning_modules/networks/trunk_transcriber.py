"""F of the notes on the critics' trunk."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from lightning_modules.errors import OptionError
from lightning_modules.networks.generator import strides_for
from lightning_modules.networks.transcriber import FIRST_LOGITS, NUM_KEYS, NoteConverter, NoteLogits
from lightning_modules.networks.trunk import FeatureMaps


class TrunkTranscriber(NoteConverter):
    """Two convolutions over the frames of one map of a `WaveGANTrunk`.

    Args:
        sample_rate: Of the audio, in Hz.
        clip_samples: Length T of the clips, as the trunk's.
        model_size: Width d, as the trunk's.
        layer: Which map, counted from 0; the map after layer k has a frame each 4^(k + 1) samples where all
            strides are 4.
        width: Channels between the convolutions.

    Raises:
        OptionError: If the trunk has no such layer.
    """

    reads_trunk = True

    def __init__(
        self, sample_rate: int, clip_samples: int, model_size: int = 64, layer: int = 3, width: int = 128
    ) -> None:
        super().__init__()
        strides = strides_for(clip_samples)
        if not 0 <= layer < len(strides):
            raise OptionError(
                f"TrunkTranscriber: layer is {layer}, but the trunk has {len(strides)} layers",
                f"give 0 to {len(strides) - 1}",
            )
        self.sample_rate = sample_rate
        self.clip_samples = clip_samples
        self.model_size = model_size
        self.layer = layer
        self.width = width
        self.hop_samples = math.prod(strides[: layer + 1])
        self.layers = nn.Sequential(
            nn.Conv1d(model_size * 2**layer, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, len(NoteLogits._fields) * NUM_KEYS, 3, padding=1),
        )
        with torch.no_grad():
            bias = cast(Tensor, self.layers[-1].bias)
            bias.copy_(torch.tensor(FIRST_LOGITS).repeat_interleave(NUM_KEYS))

    def forward(self, waveform: Tensor, maps: FeatureMaps | None = None) -> NoteLogits:
        """See `NoteConverter.forward`; N = T / hop_samples."""
        assert maps is not None  # reads_trunk
        said = self.layers(maps[0][self.layer]).float()  # (B, 3 K, N)
        return NoteLogits(*said.unflatten(1, (-1, NUM_KEYS)).unbind(1))
