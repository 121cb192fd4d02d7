"""A generator from notes without any knowledge of pianos: convolutions over a piano roll."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.batch import NoteBatch
from lightning_modules.networks.generator import TransposedStack, strides_for_hop
from lightning_modules.networks.key_curve import LOWEST_KEY, NUM_KEYS
from lightning_modules.networks.note_generator import NoteGenerator

FADING = 2.0
"""Nats per second at which a sounding note's entry in the roll falls, so that its age can be read."""


class NoteRollGenerator(NoteGenerator):
    """Piano roll to waveform: convolutions over frames, then WaveGAN's transposed convolutions.

    Args:
        sample_rate: In Hz.
        channels: Audio channels C.
        hop_samples: Samples per frame of the roll: 4^k or 2 * 4^k.
        model_size: Channels d before the last layer.
        kernel_frames: Frames that the first convolutions see, each; odd.

    Raises:
        OptionError: If no layers of stride 4 give that hop.
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        channels: int = 1,
        hop_samples: int = 256,
        model_size: int = 16,
        kernel_frames: int = 7,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.channels = channels
        self.hop_samples = self.block_samples = self.clip_multiple = hop_samples
        self.model_size = model_size
        self.kernel_frames = kernel_frames
        self.stack = TransposedStack(strides_for_hop(hop_samples), model_size, channels, kernel_size=25)
        size = self.stack.in_channels
        self.input = nn.Conv1d(2 * NUM_KEYS, size, kernel_frames)
        self.middle = nn.Conv1d(size, size, kernel_frames)
        # both convolutions, and what the transposed ones reach beyond a frame
        self.context_frames = 2 * (kernel_frames // 2) + 5
        self.lookahead_samples = self.context_frames * hop_samples

    def forward(self, notes: NoteBatch, num_samples: int) -> Tensor:
        """See `NoteGenerator.forward`; `num_samples` must be whole frames."""
        margin = self.context_frames
        first, count = -margin, num_samples // self.hop_samples + 2 * margin
        hidden = self.input(note_roll(notes, first, count, self.hop_samples, self.sample_rate))
        hidden = self.middle(functional.relu(hidden)).transpose(1, 2)  # (B, L, H)
        skipped = (margin - 2 * (self.kernel_frames // 2)) * self.hop_samples
        waveform = self.stack(hidden)[..., skipped : skipped + num_samples]
        return waveform * notes.gain[:, None, None]


def note_roll(notes: NoteBatch, first: int, count: int, hop_samples: int, sample_rate: int) -> Tensor:
    """A piano roll: for each key, where it is struck, and its notes that sound, fading with age.

    Args:
        notes: Of B clips.
        first: Number of the first frame; 0 begins with the clip.
        count: Frames N.
        hop_samples: Samples per frame.
        sample_rate: In Hz.

    Returns:
        (B, 2 * 88, N): velocities from 0 to 1, struck keys first.
    """
    start = (torch.arange(count, device=notes.pitch.device) + first) * hop_samples  # (N,)
    since = (start - notes.onset_sample[..., None]).float() - notes.onset_fraction[..., None]  # (B, M, N)
    struck = (since > -hop_samples) & (since <= 0)
    sounding = (since > -hop_samples) & (start < notes.sounding_offset[..., None] * sample_rate)
    age = since.clamp_min(0.0) / sample_rate
    velocity = (notes.velocity / 127.0 * notes.mask)[..., None]
    entries = torch.stack([struck * velocity, sounding * velocity * (-FADING * age).exp()], 1)  # (B, 2, M, N)
    # a pitch outside the keyboard has no row
    keys = (notes.pitch[..., None] - LOWEST_KEY) == torch.arange(NUM_KEYS, device=start.device)  # (B, M, 88)
    return torch.einsum("bmk,bcmn->bckn", keys.to(entries.dtype), entries).flatten(1, 2)
