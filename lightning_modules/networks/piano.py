"""A piano that is differentiable in everything: notes to waveform."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from datamodules.batch import NoteBatch
from lightning_modules.networks.key_curve import LOWEST_KEY, NUM_KEYS
from lightning_modules.networks.note_generator import NoteGenerator
from lightning_modules.networks.note_noise import NoteNoise
from lightning_modules.networks.partials import (
    FRAMES,
    Components,
    amplitudes,
    carriers,
    pack,
    phasor,
    synthesise,
)
from lightning_modules.networks.piano_tone import PianoTone, Tone
from lightning_modules.networks.room import Room
from lightning_modules.numerics.precision import full_precision

AUDIBLE_NATS = -11.5
"""Partials that stay below -100 dB through a chunk are left out of it."""

BURST_SECONDS = 0.6
"""After that a hammer's noise has faded."""

SECTION = 16
"""Chunks that are made at a time."""


class Moments(NamedTuple):
    """Times of M notes at the hops of N chunks.

    Attributes:
        samples: (N, M) int64, from the whole sample of a note's onset to the chunk's start.
        since: (N, M, J) seconds since the onset.
        opening: (N, M, J) how far the hammer's blow has made the sound, 0 to 1; 0 where there is no note.
        envelope: (N, M, J) the same, times what the damper leaves.
    """

    samples: Tensor
    since: Tensor
    opening: Tensor
    envelope: Tensor


class DifferentiablePiano(NoteGenerator):
    """Inharmonic partials of struck strings, noise of hammers, and a room; all of it learned.

    Pitch is right from the first step, as frequencies start from a tuned grand's. Nothing depends on the
    clip's place but the noise, which is read from a table by it: a piece made in blocks equals the piece made
    whole. Partials of notes that cannot be heard are left out, so the cost is that of the sounding notes.

    Args:
        sample_rate: In Hz.
        channels: Audio channels C.
        num_partials: Partials P of a note, where so many lie below half the sample rate.
        hidden_size: Units of the network that gives the spectra.
        hops_per_second: Rate at which envelopes are computed; a hop is rounded to whole samples.
        room_seconds: Length of the reverberation.
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        channels: int = 1,
        num_partials: int = 64,
        hidden_size: int = 64,
        hops_per_second: int = 250,
        room_seconds: float = 0.5,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.channels = channels
        self.num_partials = num_partials
        self.hidden_size = hidden_size
        self.hops_per_second = hops_per_second
        self.room_seconds = room_seconds
        self.hop_samples = round(sample_rate / hops_per_second)
        self.block_samples = FRAMES * self.hop_samples
        self.tone = PianoTone(sample_rate, num_partials, hidden_size)
        self.noise = NoteNoise(sample_rate, channels)
        self.room = Room(sample_rate, channels, room_seconds)
        # strings are heard at other levels and phases by each microphone
        spread = torch.zeros(2, channels, NUM_KEYS * num_partials)
        self.pan = nn.Parameter(spread) if channels > 1 else None

    def forward(self, notes: NoteBatch, num_samples: int) -> Tensor:
        """See `NoteGenerator.forward`."""
        before = -(-self.room.num_samples // self.block_samples)  # chunks that are heard as reverberation
        num_chunks = before - (-num_samples // self.block_samples)
        first = (torch.arange(num_chunks, device=notes.pitch.device) - before) * self.block_samples
        with full_precision(notes.pitch.device):
            key = (notes.pitch - LOWEST_KEY).clamp(0, NUM_KEYS - 1)
            tone = self.tone(key, notes.velocity, notes.pedals_at_onset, notes.mean_velocity)
            tables = self._tables()
            dry = torch.cat(
                [self._section(notes, key, tone, tables, part) for part in first.split(SECTION)], -1
            )
            wet = self.room(dry)[..., before * self.block_samples :]
        return wet[..., :num_samples] * notes.gain[:, None, None]

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """For every partial of every key: turns and phase (88 P, 2) of both stages, and its carrier."""
        turns, phase = (each.flatten(0, 1) for each in self.tone.stages())
        return turns, phase, carriers(turns[:, 0], self.hop_samples)

    def _section(
        self, notes: NoteBatch, key: Tensor, tone: Tone, tables: tuple[Tensor, Tensor, Tensor], first: Tensor
    ) -> Tensor:
        """Strings and hammers, before the room.

        Args:
            notes: Of B clips.
            key: (B, M) from 0 for A0.
            tone: Their tones.
            tables: Of all keys.
            first: (S,) first sample of each chunk.

        Returns:
            (B, C, S * block_samples).
        """
        moments = self._moments(notes, tone, first)
        clip = torch.arange(len(key), device=key.device).repeat_interleave(len(first))  # (N,)
        strings = self._strings(notes, key, tone, tables, moments, clip)
        strings = strings.view(len(key), len(first), self.channels, -1).transpose(1, 2).flatten(2)
        power = self._noise_power(notes, key, moments, clip).unflatten(0, (len(key), -1))  # (B, S, J, Q)
        power = torch.cat([power[:, :, :-1].flatten(1, 2), power[:, -1, -1:]], 1)
        return strings + self.noise(power, notes.start_sample + first[0], self.hop_samples)

    def _moments(self, notes: NoteBatch, tone: Tone, first: Tensor) -> Moments:
        """Times and envelopes of all notes in chunks that start at `first` (S,)."""
        rate = self.sample_rate
        samples = first[:, None] - notes.onset_sample[:, None]  # (B, S, M)
        steps = torch.arange(FRAMES + 1, device=first.device) * self.hop_samples  # (J,)
        since = (samples[..., None] + steps - notes.onset_fraction[:, None, :, None]) / rate  # (B, S, M, J)
        damped = (first[:, None, None] + steps) / rate - notes.sounding_offset[:, None, :, None]
        damped = damped.clamp_min(0.0)
        attack, release, tail, tail_decay = (each[:, None, :, None] for each in tone[2:])
        opening = (since / (attack + self.hop_samples / rate)).clamp(0.0, 1.0)
        opening = opening * notes.mask[:, None, :, None]
        left = (1.0 - tail) * (-release * damped).exp() + tail * (-tail_decay * damped).exp()
        return Moments(*(each.flatten(0, 1) for each in (samples, since, opening, opening * left)))

    def _strings(
        self,
        notes: NoteBatch,
        key: Tensor,
        tone: Tone,
        tables: tuple[Tensor, Tensor, Tensor],
        moments: Moments,
        clip: Tensor,
    ) -> Tensor:
        """Chunks (N, C, T) of the partials that are heard; `clip` (N,) is the clip of each chunk."""
        turns, phase, carrier = tables
        entry, used = pack(self._heard(tone, moments, turns[:, 0].view(NUM_KEYS, -1)[key] < 0.5, clip))
        note, partial = entry // self.num_partials, entry % self.num_partials  # (N, K)
        owner = clip[:, None] * key.shape[1] + note  # which note of the batch
        part = owner * self.num_partials + partial
        row = key.flatten()[owner] * self.num_partials + partial
        components = Components(
            turns=turns[row],
            samples=moments.samples.gather(1, note),
            # the phase turns thousands of times a second: an onset learns from the envelopes alone
            fraction=notes.onset_fraction.detach().flatten()[owner],
            log_amplitude=torch.where(used[..., None], tone.log_amplitude.flatten(0, 2)[part], -100.0),
            decay=tone.decay.flatten(0, 2)[part] / self.sample_rate,
            phase=phase[row],
        )
        amplitude = amplitudes(components, self.hop_samples)[:, :, None]  # (N, K, 1, J)
        if self.pan is not None:
            spread = self.pan[:, :, row.flatten()].unflatten(-1, row.shape)
            level, turn = spread.permute(0, 2, 3, 1)  # (N, K, C)
            amplitude = amplitude * (level.exp() * phasor(turn))[..., None]
        place = torch.arange(len(note), device=note.device)[:, None] * key.shape[1] + note
        envelope = moments.envelope.flatten(0, 1).index_select(0, place.flatten()).unflatten(0, note.shape)
        wave = carrier.flatten(1).index_select(0, row.flatten()).unflatten(0, note.shape)  # (N, K, 4 hops)
        return synthesise(amplitude, envelope, wave.unflatten(-1, (2, -1)))

    @torch.no_grad()
    def _heard(self, tone: Tone, moments: Moments, exists: Tensor, clip: Tensor) -> Tensor:
        """(N, M * P) which partials are heard in which chunk; `exists` (B, M, P) which there are at all."""
        age = (
            moments.since[..., 0].clamp_min(0.0).unflatten(0, (len(exists), -1))[..., None, None]
        )  # (B, S, M)
        loudest = (tone.log_amplitude[:, None] - tone.decay[:, None] * age).amax(-1)  # (B, S, M, P)
        envelope = moments.envelope.amax(-1).clamp_min(1e-30).log().unflatten(0, (len(exists), -1))
        heard = (loudest + envelope[..., None] > AUDIBLE_NATS) & exists[:, None]
        return heard.flatten(0, 1).flatten(1)

    def _noise_power(self, notes: NoteBatch, key: Tensor, moments: Moments, clip: Tensor) -> Tensor:
        """(N, J, Q) power of the hammers' noise in its bands."""
        recent = (moments.since[..., -1] > 0.0) & (moments.since[..., 0] < BURST_SECONDS)
        note, used = pack(recent & notes.mask[clip])  # (N, K)
        hop = note[..., None].expand(-1, -1, moments.since.shape[-1])
        opening = moments.opening.gather(1, hop) * used[..., None]
        fading = self.noise.fading(moments.since.gather(1, hop)) * opening[:, :, None]  # (N, K, 2, J)
        burst = self.noise.burst_power(key, notes.velocity)  # (B, M, 2, Q)
        burst = burst * (2.0 * self.tone.recording_level(notes.mean_velocity)).exp()[:, None, None, None]
        burst = burst.flatten(0, 1)[clip[:, None] * key.shape[1] + note]  # (N, K, 2, Q)
        return fading.flatten(1, 2).transpose(1, 2) @ burst.flatten(1, 2)
