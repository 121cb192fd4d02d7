"""How far what a transcriber says is from the notes that were played."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.batch import NoteBatch
from lightning_modules.networks.transcriber import LOWEST_PITCH, NUM_KEYS, NoteLogits
from lightning_modules.numerics.precision import full_precision
from lightning_modules.numerics.processes import share, total

ONSET_REACH_FRAMES = 2.0
"""An onset is 1 at its own time and falls to 0 this many frames away: peaks may lie between frames."""


class NoteTargets(NamedTuple):
    """Targets of a transcriber for each key and frame.

    Attributes:
        onset: (B, K, N), a triangle of height 1 around each onset.
        sounding: (B, K, N), 1 from each onset until the damper falls, else 0.
        velocity: (B, K, N), velocity / 127 where `onset` is above 0, else 0.
    """

    onset: Tensor
    sounding: Tensor
    velocity: Tensor


class TranscriptionLosses(NamedTuple):
    """Terms, unweighted scalars.

    Attributes:
        onset: Binary cross-entropy in nats, summed over keys, averaged over clips and frames.
        sounding: The same.
        velocity: Binary cross-entropy of velocity / 127 in nats, averaged over frames weighted by `onset`.
    """

    onset: Tensor
    sounding: Tensor
    velocity: Tensor


def note_targets(notes: NoteBatch, num_frames: int, hop_samples: int, sample_rate: int) -> NoteTargets:
    """Lay notes out over keys and frames, on their own device and without waiting for it.

    Notes outside the keyboard of 88 keys are left out. Sounds end with `sounding_offset`.

    Args:
        notes: Of B clips.
        num_frames: N; frame n is at sample n * hop_samples.
        hop_samples: Distance between frames in samples.
        sample_rate: In Hz.
    """
    key = notes.pitch - LOWEST_PITCH  # (B, M)
    known = notes.mask & (key >= 0) & (key < NUM_KEYS)
    # the frame before an onset, and how far behind it that lies: exact after hours, without float64
    whole = torch.div(notes.onset_sample, hop_samples, rounding_mode="floor")
    behind = (notes.onset_sample - whole * hop_samples + notes.onset_fraction.float()) / hop_samples
    whole, behind = whole + behind.floor().long(), behind - behind.floor()
    offset = notes.sounding_offset.float() * (sample_rate / hop_samples)
    size = (len(key), NUM_KEYS, num_frames + 1)  # what lies outside falls into the last column
    clip = torch.arange(len(key), device=key.device)[:, None]
    row = (clip * NUM_KEYS + key.clamp(0, NUM_KEYS - 1)) * (num_frames + 1)

    struck, velocity, edges = torch.zeros(3, *size, device=key.device).flatten(1)
    for step in range(-1, 3):
        frame = whole + step
        level = 1.0 - (step - behind).abs() / ONSET_REACH_FRAMES
        inside = known & (frame >= 0) & (frame < num_frames) & (level > 0)
        place = row + torch.where(inside, frame, num_frames)
        struck = struck.scatter_reduce(0, place.flatten(), (level * inside).flatten(), "amax")
        force = notes.velocity / 127.0 * inside
        velocity = velocity.scatter_reduce(0, place.flatten(), force.flatten(), "amax")
    # seconds come as float32: what is within a thousandth of a frame is that frame
    begin = whole + (behind - 1e-3).ceil().long()
    end = (offset - 1e-3).ceil().clamp(0, num_frames).long()
    for frame, sign in ((begin, 1.0), (end, -1.0)):
        place = row + frame.clamp(0, num_frames)
        edges = edges.scatter_add(0, place.flatten(), (sign * known).flatten())
    sounding = (edges.view(size).cumsum(-1) > 0.5).float()
    return NoteTargets(struck.view(size)[..., :-1], sounding[..., :-1], velocity.view(size)[..., :-1])


def transcription_losses(
    logits: NoteLogits, targets: NoteTargets, onset_weight: float = 2.0
) -> TranscriptionLosses:
    """See `TranscriptionLosses`.

    Args:
        logits: What the transcriber says.
        targets: What it should say.
        onset_weight: How much more an onset counts than its absence: most keys are silent most of the time.
    """
    with full_precision(logits.onset.device):
        cross_entropy = functional.binary_cross_entropy_with_logits
        weight = 1.0 + (onset_weight - 1.0) * targets.onset
        onset = cross_entropy(logits.onset.float(), targets.onset, weight)
        sounding = cross_entropy(logits.sounding.float(), targets.sounding)
        velocity = cross_entropy(logits.velocity.float(), targets.velocity, targets.onset, reduction="sum")
        # processes may have different numbers of notes; distributed training takes the mean of their losses
        num_onsets = total(targets.onset.sum()).clamp_min(1.0) / share()[0]
        return TranscriptionLosses(onset * NUM_KEYS, sounding * NUM_KEYS, velocity / num_onsets)


class NoteMapping(nn.Module):
    """Distance of what F says of a waveform from the notes that were played: a weighted sum of its losses.

    F learns from it; and it tells a generator, while F stands still, how far its sound is from its notes.

    Args:
        onset_weight: How much more an onset counts than its absence.
        sounding_weight: Weight of the sounding notes' loss; that of onsets is 1.
        velocity_weight: Weight of the velocities'.
    """

    def __init__(
        self, onset_weight: float = 2.0, sounding_weight: float = 0.3, velocity_weight: float = 3.0
    ) -> None:
        super().__init__()
        self.onset_weight = onset_weight
        self.sounding_weight = sounding_weight
        self.velocity_weight = velocity_weight

    def forward(self, logits: NoteLogits, notes: NoteBatch, hop_samples: int, sample_rate: int) -> Tensor:
        """Compare.

        Args:
            logits: What F says of B clips.
            notes: Their notes.
            hop_samples: Distance between F's frames in samples.
            sample_rate: In Hz.

        Returns:
            Scalar, nats.
        """
        targets = note_targets(notes, logits.onset.shape[-1], hop_samples, sample_rate)
        losses = transcription_losses(logits, targets, self.onset_weight)
        weighted = self.sounding_weight * losses.sounding + self.velocity_weight * losses.velocity
        return losses.onset + weighted
