"""The batch type of the models of sound, the form in which workers ship it, notes, and batches of tokens."""

from __future__ import annotations  # torch is for type checkers: preparing a cache starts without it

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import OptionError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

INT16_SCALE = 1.0 / 32768.0


PEDAL_FRAMES_PER_SECOND = 100
"""Rate of `NoteBatch.pedals`."""


class Notes(NamedTuple):
    """Notes in the order of their onsets, and of pitch where these are equal; arrays of one length.

    Attributes:
        pitch: MIDI note numbers, int64; 60 is middle C.
        onset: Seconds from the start of the clip, float64.
        offset: Where the key is released, in the same seconds, float64; the pedals are not applied.
        velocity: 1 to 127, int64.
        sounding_offset: Where the damper falls, in the same seconds, float64: not before the key is released,
            nor while the sustain pedal is down or the sostenuto pedal holds the note, but at the latest where
            the same key is struck again, which ends its own earlier sound.
    """

    pitch: NDArray[np.int64]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    velocity: NDArray[np.int64]
    sounding_offset: NDArray[np.float64]

    def between(self, start: float, stop: float) -> Notes:
        """The notes whose keys are down at some time from `start` to before `stop` seconds, counted from it.

        A note struck before has a negative onset, and one released later ends after `stop - start`.
        """
        inside = (self.onset < stop) & ((self.offset > start) | (self.onset >= start))
        return Notes(
            self.pitch[inside],
            self.onset[inside] - start,
            self.offset[inside] - start,
            self.velocity[inside],
            self.sounding_offset[inside] - start,
        )


@runtime_checkable
class NoteSource(Protocol):
    """A data module that knows which notes were played."""

    def notes(self, performance: int, start_sample: int, num_samples: int) -> Notes | None:
        """The notes whose keys are down within a clip, or None if they are not known.

        Args:
            performance: As in `Batch.performance`.
            start_sample: As in `Batch.start_sample`.
            num_samples: Length T of the clip in samples.
        """


class NoteSink(Protocol):
    """Takes what is played, in the order of its times, which are in seconds."""

    def note(self, onset: float, offset: float, pitch: int, velocity: int) -> None:
        """Strike a key, which is released at `offset`."""

    def pedal(self, time: float, is_down: bool) -> None:
        """Move the sustain pedal."""


class NoteBatch(NamedTuple):
    """The notes of B clips, at most M in one; those struck before the clip and still sounding included.

    Times count from the clip's first sample. An onset is a whole number of samples and a fraction, so that it
    is exact however long before the clip it lies.

    Attributes:
        pitch: (B, M) int64 MIDI note numbers; 60 where there is no note.
        onset_sample: (B, M) int64, negative for notes struck before.
        onset_fraction: (B, M) float32, samples by which the onset is later still, 0 to 1.
        offset: (B, M) float32 seconds, where the key is released.
        sounding_offset: (B, M) float32 seconds, where the damper falls; see `release.notes.Notes`.
        velocity: (B, M) float32, 1 to 127.
        pedals_at_onset: (B, M, 3) float32, 0 to 1: sustain, sostenuto and soft pedal.
        mask: (B, M) bool, where there is a note.
        pedals: (B, 3, N) float32, 0 to 1, the same pedals at `PEDAL_FRAMES_PER_SECOND`.
        mean_velocity: (B,) float32, of all notes of the clip's performance.
        start_sample: (B,) int64, first sample of the clip within its performance.
        gain: (B,) float32, factor applied to the clip's waveform (augmentation).
    """

    pitch: Tensor
    onset_sample: Tensor
    onset_fraction: Tensor
    offset: Tensor
    sounding_offset: Tensor
    velocity: Tensor
    pedals_at_onset: Tensor
    mask: Tensor
    pedals: Tensor
    mean_velocity: Tensor
    start_sample: Tensor
    gain: Tensor

    def onset_seconds(self, sample_rate: int) -> Tensor:
        """Onsets in seconds, (B, M) float32."""
        return (self.onset_sample.float() + self.onset_fraction) / sample_rate

    def to(self, device: torch.device) -> NoteBatch:
        """The same on another device."""
        return NoteBatch(*(each.to(device) for each in self))

    def part(self, clips: slice, start: int, stop: int, sample_rate: int) -> NoteBatch:
        """The notes of some of the clips, counted from a later sample; `stop` limits the pedals."""
        own = NoteBatch(*(each[clips] for each in self))
        seconds = start / sample_rate
        frames = [round(sample / sample_rate * PEDAL_FRAMES_PER_SECOND) for sample in (start, stop)]
        return own._replace(
            onset_sample=own.onset_sample - start,
            offset=own.offset - seconds,
            sounding_offset=own.sounding_offset - seconds,
            start_sample=own.start_sample + start,
            pedals=own.pedals[..., frames[0] : max(frames[1], frames[0] + 1)],
        )


class Batch(NamedTuple):
    """Clips on the device, ready for a model.

    Attributes:
        waveform: (B, C, T) float32 in [-1, 1].
        performance: (B,) int64, row of the clip's performance in `MaestroDataModule.performances`.
        start_sample: (B,) int64, first sample of the clip within its performance, at the cache's rate.
        notes: The notes of the clips, for models that read them; else None.
    """

    waveform: Tensor
    performance: Tensor
    start_sample: Tensor
    notes: NoteBatch | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        notes = None if self.notes is None else self.notes.to(device)
        waveform, performance, start_sample = (each.to(device) for each in self[:3])
        return Batch(waveform, performance, start_sample, notes)

    def known_notes(self) -> NoteBatch:
        """The notes.

        Raises:
            OptionError: If there are none.
        """
        if self.notes is None:
            raise OptionError(
                "the model reads notes, but a batch came without any",
                "train on data that has notes: MaestroDataModule with with_notes auto or true",
            )
        return self.notes


def part_of(batch: Batch, clips: slice, start: int, stop: int, sample_rate: int) -> Batch:
    """Samples `start` to before `stop` of some of a batch's clips, as copies.

    Args:
        batch: This, or another with the first three of its attributes.
        clips: Which.
        start: First sample.
        stop: Where to end; where the clips end, if that is sooner.
        sample_rate: In Hz.
    """
    waveform = batch.waveform[clips, :, start:stop].clone()
    notes = getattr(batch, "notes", None)
    if notes is not None:
        notes = notes.part(clips, start, start + waveform.shape[-1], sample_rate)
    return Batch(waveform, batch.performance[clips], batch.start_sample[clips] + start, notes)


class PcmBatch(NamedTuple):
    """Clips as loaders ship them: half the bytes of `Batch`, converted on the device.

    Attributes:
        pcm: (B, C, T) int16.
        gain: (B,) float32, factor applied on conversion (augmentation; 1 for evaluation clips).
        performance: (B,) int64, as in `Batch`.
        start_sample: (B,) int64, as in `Batch`.
        notes: As in `Batch`.
    """

    pcm: Tensor
    gain: Tensor
    performance: Tensor
    start_sample: Tensor
    notes: NoteBatch | None = None

    def to_batch(self) -> Batch:
        """Convert to float32 on the device that holds `pcm`, clamped to [-1, 1] after the gain."""
        scale = (self.gain * INT16_SCALE).view(-1, 1, 1)
        waveform = self.pcm.mul(scale).clamp_(-1.0, 1.0)
        return Batch(waveform, self.performance, self.start_sample, self.notes)


PADDING, BEGIN, END = 0, 1, 2
"""Tokens that are no notes: what fills a row up, what begins every row, and the end of a piece."""


class TokenBatch(NamedTuple):
    """Windows of performances as tokens, for models of notes.

    Attributes:
        tokens: (B, S + 1) int64: `BEGIN`, then what follows each other; `PADDING` at the end of shorter ones.
        first: (B,) int64; targets before this one, counted from 0 at the token after `BEGIN`, are context.
        performance: (B,) int64, row of the performance.
        is_note: (B, S + 1) bool: the tokens that begin a note.
    """

    tokens: Tensor
    first: Tensor
    performance: Tensor
    is_note: Tensor

    def counted(self) -> Tensor:
        """(B, S) bool: the targets, which are `tokens[:, 1:]`, that count."""
        import torch

        position = torch.arange(self.tokens.shape[1] - 1, device=self.tokens.device)
        return (self.tokens[:, 1:] != PADDING) & (position >= self.first[:, None])
