"""Which direction of a score is better."""

import pytest

from lightning_modules.metrics.directions import better_direction


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("val/log_mel_distance", "min"),
        ("test/multi_scale_spectral_distance", "min"),
        ("val/frechet_log_mel", "min"),
        ("train/loss", "min"),
        ("train/negative_log_likelihood", "min"),
        ("train/weighted/spectral", "min"),
        ("val/si_sdr", "max"),
        ("val/elbo_nats_per_second", "max"),
        ("val/log_likelihood_nats_per_second", "max"),
        ("val/active_units", "max"),
        ("val/kl_nats_per_second", None),
        ("train/critic_loss", None),
        ("train/generator_loss", None),
        ("train/beta", None),
        ("lr-AdamW", None),
        ("epoch", None),
        ("val/chroma_similarity", "max"),
        ("test/samples/mmd_crepe", "min"),
        ("test/floor/onset_f_score_midi", "max"),
        ("test/samples/diversity", None),
        ("test/samples/nearest_training_distance", None),
    ],
)
def test_direction(name: str, direction: str | None) -> None:
    assert better_direction(name) == direction
