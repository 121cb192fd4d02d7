"""Rates of latents, by values worked out by hand."""

import math

import pytest

from lightning_modules.metrics.rates import kilobits_per_second, samples_per_latent_value


@pytest.mark.parametrize(
    ("sample_rate", "channels", "values_per_second", "expected"),
    [
        (16_000, 1, 32 * 62.5, 8.0),  # a frame of 32 values for 256 samples
        (16_000, 1, 500, 32.0),
        (44_100, 2, 64 * 44_100 / 1024, 32.0),  # 2 x 1,024 samples for 64 values
        (44_100, 2, 64 * 44_100 / 2048, 64.0),  # the Oobleck VAE of Stable Audio Open
    ],
)
def test_samples_per_latent_value(sample_rate, channels, values_per_second, expected):
    assert samples_per_latent_value(sample_rate, channels, values_per_second) == pytest.approx(expected)


def test_kilobits_per_second():
    assert kilobits_per_second(1000.0 * math.log(2.0)) == pytest.approx(1.0)  # ln 2 nats are one bit
    assert kilobits_per_second(4740.0) == pytest.approx(6.838, abs=5e-4)
