"""What latents cost: how many values stand for how much audio, and how many bits. Each said here alone."""

import math
from typing import TypeVar

from torch import Tensor

Number = TypeVar("Number", float, Tensor)


def samples_per_latent_value(sample_rate: float, channels: int, values_per_second: float) -> float:
    """Samples of audio, of all channels, for each latent value: codecs of any rate are told apart by it.

    Args:
        sample_rate: In Hz.
        channels: Audio channels C.
        values_per_second: Latent values (dimensions times frames) per second.
    """
    return sample_rate * channels / values_per_second


def kilobits_per_second(nats_per_second: Number) -> Number:
    """Rate of a draw from the posterior, by its divergence from the prior.

    A coder that shares random numbers with the decoder comes near to it ("bits back"; Havasi, Peharz,
    Hernández-Lobato 2019, "Minimal Random Code Learning").

    Args:
        nats_per_second: KL(q(z|x) ‖ p(z)) per second of audio.
    """
    return nats_per_second / math.log(2.0) / 1000.0
