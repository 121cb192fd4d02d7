"""Frequencies, levels and decays of the partials of each note of a piano."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.networks.key_curve import (
    LOWEST_KEY,
    NUM_KEYS,
    KeyCurve,
    hat_functions,
    interpolation_weights,
)

FIRST_KEY_WITHOUT_DAMPER = 90
STANDARD_VELOCITY = 64.0
FASTEST_DECAY = 150.0
"""Nats per second: within a chunk of a quarter of a second, amplitudes stay within float32."""


class Tone(NamedTuple):
    """The sound of notes: P partials, each in two stages, prompt sound and slower aftersound beating with it.

    Attributes:
        log_amplitude: (B, M, P, 2) natural logarithm of the amplitude at the onset.
        decay: (B, M, P, 2) nats per second.
        attack: (B, M) seconds in which the hammer makes the sound.
        release: (B, M) nats per second under the damper.
        tail: (B, M) share of the amplitude that the damper leaves to the body and the room, 0 to 1.
        tail_decay: (B, M) nats per second of that share.
    """

    log_amplitude: Tensor
    decay: Tensor
    attack: Tensor
    release: Tensor
    tail: Tensor
    tail_decay: Tensor


class PianoTone(nn.Module):
    """The sound of every key, learned.

    Frequencies of partials follow the stiff string, f_n = n f_0 sqrt(1 + B n²) (Fletcher 1964). Levels start
    from about 1/n, a hammer that is the brighter the harder it hits, and amplitudes that grow with the square
    of the velocity (Dannenberg 2006, "The interpretation of MIDI velocity"). The prompt sound and the
    aftersound are those of coupled strings (Weinreich 1977). A small network adds the spectrum of each key
    at each velocity, and every key has its own values for every partial.

    Args:
        sample_rate: In Hz; partials above half of it are silent.
        num_partials: Partials P of a note.
        hidden_size: Units of the network that gives a note's spectrum.
        num_bands: Points on the mel scale at which it gives it.
    """

    harmonic: Tensor
    bands: Tensor
    keys: Tensor

    def __init__(
        self, sample_rate: int, num_partials: int = 64, hidden_size: int = 64, num_bands: int = 24
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.num_partials = num_partials
        self.hidden_size = hidden_size
        self.num_bands = num_bands
        key = torch.arange(LOWEST_KEY, LOWEST_KEY + NUM_KEYS).float()
        self.register_buffer("harmonic", torch.arange(1, num_partials + 1).float(), persistent=False)
        self.register_buffer("keys", hat_functions(NUM_KEYS, 12), persistent=False)
        self.log_inharmonicity = KeyCurve(first_inharmonicity(key).log(), own_scale=0.3)
        self.cents = KeyCurve(first_stretch(key), scale=30.0, own_scale=15.0)
        frequency = self.frequency().detach()  # (88, P)
        bands = interpolation_weights(mel_position(frequency, sample_rate, num_bands), num_bands)
        self.register_buffer("bands", bands, persistent=False)
        self._prepare_levels(key, frequency)
        self.attack = KeyCurve(torch.full((NUM_KEYS,), math.log(0.002)))
        damped = torch.where(key < FIRST_KEY_WITHOUT_DAMPER, 12.0, 0.5)
        self.release = KeyCurve(damped.log())
        self.tail = KeyCurve(torch.full((NUM_KEYS,), -3.0))
        self.tail_decay = KeyCurve(torch.full((NUM_KEYS,), math.log(5.0)))
        self.network = nn.Sequential(
            nn.Linear(12 + 3 + 3, hidden_size),
            nn.SiLU(),
            nn.Linear(hidden_size, hidden_size),
            nn.SiLU(),
            nn.Linear(hidden_size, num_bands),
        )
        self.gain = nn.Parameter(torch.tensor(-4.0))
        self.recording_gain = nn.Parameter(torch.tensor(0.0))

    def _prepare_levels(self, key: Tensor, frequency: Tensor) -> None:
        """Levels and decays of partials; a new piano's frequencies are (88, P) in Hz."""
        size = frequency.shape
        generator = torch.Generator().manual_seed(0)
        slowest = 0.6 * 2.0 ** ((key - LOWEST_KEY) / 20.0)
        self.level = KeyCurve(-0.7 * self.harmonic.log().expand(size), knot_shape=(1,))
        self.log_decay = KeyCurve((slowest[:, None] + 0.6 * frequency / 1000.0).log(), knot_shape=(1,))
        self.band_decay = KeyCurve(torch.zeros(NUM_KEYS, self.num_bands), 6)
        self.after_decay = KeyCurve(torch.full(size, math.log(0.3)), knot_shape=(1,))
        self.after_level = KeyCurve(torch.full(size, math.log(0.25)), knot_shape=(1,))
        beating = 0.1 * (1.0 + frequency / 2000.0) * torch.randn(size, generator=generator)
        self.beating = KeyCurve(beating, knot_shape=(1,))
        self.after_phase = nn.Parameter(torch.rand(size, generator=generator))

    def frequency(self) -> Tensor:
        """Of every key's partials, (88, P) in Hz."""
        semitone = torch.arange(NUM_KEYS, device=self.harmonic.device) + (LOWEST_KEY - 69)
        fundamental = 440.0 * torch.exp2((semitone + self.cents() / 100.0) / 12.0)
        stiffness = self.log_inharmonicity().exp()[:, None] * self.harmonic.square()
        return fundamental[:, None] * self.harmonic * (1.0 + stiffness).sqrt()

    def stages(self) -> tuple[Tensor, Tensor]:
        """Cycles per sample, and phase in cycles at the onset, of prompt sound and aftersound: (88, P, 2).

        A string at rest that is struck starts as a sine; the aftersound's phase is learned.
        """
        frequency = self.frequency()
        turns = torch.stack([frequency, frequency + self.beating()], -1) / self.sample_rate
        start = torch.full_like(self.after_phase, -0.25)
        return turns.clamp(0.0, 0.5), torch.stack([start, self.after_phase], -1)

    def recording_level(self, mean_velocity: Tensor) -> Tensor:
        """Nats by which a recording is louder, (B,): engineers turn up what is played softly."""
        return self.recording_gain * 5.0 * (mean_velocity / STANDARD_VELOCITY - 1.0)

    def forward(self, key: Tensor, velocity: Tensor, pedals: Tensor, mean_velocity: Tensor) -> Tone:
        """The tones of notes.

        Args:
            key: (B, M) int64, from 0 for A0.
            velocity: (B, M) 1 to 127.
            pedals: (B, M, 3) sustain, sostenuto and soft pedal at the onset, 0 to 1.
            mean_velocity: (B,) of the whole performance.
        """
        force = velocity / STANDARD_VELOCITY
        inputs = torch.stack([force, force.log(), force.square()], -1)
        spectrum = self.network(torch.cat([self.keys[key], inputs, pedals], -1))  # (B, M, bands)
        smooth = (self.bands[key] @ spectrum[..., None]).squeeze(-1)  # (B, M, P)
        hammer = -0.4 * (self.frequency() / 1000.0)[key] / force[..., None]
        loudness = self.gain + 2.0 * force.log() + self.recording_level(mean_velocity)[:, None]
        prompt = loudness[..., None] + hammer + smooth + self.level()[key]
        log_decay = self.log_decay() + (self.bands @ self.band_decay()[..., None]).squeeze(-1)  # (88, P)
        decay = torch.stack([log_decay, log_decay + self.after_decay()], -1).exp().clamp_max(FASTEST_DECAY)
        return Tone(
            log_amplitude=torch.stack([prompt, prompt + self.after_level()[key]], -1),
            decay=decay[key],
            attack=self.attack()[key].exp(),
            release=self.release()[key].exp(),
            tail=self.tail()[key].sigmoid(),
            tail_decay=self.tail_decay()[key].exp(),
        )


def first_inharmonicity(key: Tensor) -> Tensor:
    """A grand's inharmonicity B to start from, by MIDI number: least around C3, growing towards both ends."""
    return 1e-4 * (2.0 ** ((key - 48.0) / 7.5) + 2.0 ** ((36.0 - key) / 8.0))


def first_stretch(key: Tensor) -> Tensor:
    """Deviation from equal temperament to start from, in cents, (88,): as tuners stretch octaves.

    Partial 4 of a note and partial 2 of its octave coincide; from A4 outwards, semitone by semitone.

    Args:
        key: (88,) MIDI numbers.
    """
    stiffness = first_inharmonicity(key)
    octave = 600.0 * torch.log2((1.0 + 16.0 * stiffness[:-12]) / (1.0 + 4.0 * stiffness[12:]))  # (76,) cents
    steps = (
        torch.cat([octave[:1].expand(6), octave, octave[-1:].expand(6)]) / 12.0
    )  # from each key to the next
    cents = steps.cumsum(0) - steps
    return cents - cents[69 - LOWEST_KEY]


def mel_position(frequency: Tensor, sample_rate: int, num_bands: int) -> Tensor:
    """Where a frequency in Hz lies between 0 Hz (0) and half the sample rate (num_bands - 1), in mels."""
    mel = torch.log1p(frequency / 700.0) / math.log1p(sample_rate / 1400.0)
    return mel * (num_bands - 1)
