"""Parts that do not fit are refused by name, before there is a model."""

from types import SimpleNamespace

import pytest
from toy_models import CLIP, HOP, make_vae, make_vocoder, make_wavegan

from lightning_modules.compatibility import check_vae, check_wavegan, require_latent_generator
from lightning_modules.errors import OptionError
from lightning_modules.losses.feature_mapping import PairedFeatureDistance


def parts_of(model, **changes):
    """A WaveGAN's own parts, some of them exchanged; the model itself is left as it is."""
    names = (
        "sample_rate clip_samples channels generator trunk score_head feature_encoder feature_head "
        "feature_mapping transcriber note_mapping encoder_weight feature_matching_weight spectral_loss "
        "is_conditional has_critic"
    ).split()
    return SimpleNamespace(**{**{name: getattr(model, name) for name in names}, **changes})


def test_whole_models_pass():
    vae = make_vae()
    check_vae(vae.encoder, vae.coarse_generator, vae.decoder, 1, 4, 1, latent_is_per_frame=True)
    check_wavegan(parts_of(make_wavegan()))
    check_wavegan(parts_of(make_vocoder()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coarse_generator": None, "decoder": None}, "a coarse_generator, a decoder, or both; got neither"),
        ({"channels": 2}, "channels is 2 but encoder.channels is 1"),
        ({"latent_size": 5}, "latent_size is 5 but decoder.latent_size is 4"),
        ({"frames_per_latent": 2}, f"samples per z is {2 * HOP} but coarse_generator.hop_samples is {HOP}"),
    ],
)
def test_parts_of_a_vae(changes, message):
    vae = make_vae()
    parts = {
        "encoder": vae.encoder,
        "coarse_generator": vae.coarse_generator,
        "decoder": vae.decoder,
        "channels": 1,
        "latent_size": 4,
        "frames_per_latent": 1,
        "latent_is_per_frame": True,
    }
    with pytest.raises(OptionError, match=message):
        check_vae(**{**parts, **changes})


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (make_wavegan, {"channels": 2}, "channels is 2 but generator.channels is 1"),
        (make_wavegan, {"clip_samples": 2 * CLIP}, f"clip_samples is {2 * CLIP} but trunk.clip_samples"),
        (make_vocoder, {"feature_encoder": None}, "a FeatureGenerator but no feature_encoder"),
        (
            make_vocoder,
            {"sample_rate": 16000},
            r"sample_rate is 16000 but feature_encoder.sample_rate is 8000",
        ),
        (make_vocoder, {"clip_samples": CLIP + 1}, "no whole number of the generator's 64 per frame"),
        (
            make_wavegan,
            {"feature_mapping": PairedFeatureDistance()},
            "one of feature_head .* without the other",
        ),
        (make_wavegan, {"feature_matching_weight": 1.0}, "a LatentGenerator, but feature_matching_weight"),
        (make_vocoder, {"encoder_weight": 1.0}, "encoder_weight=1.0 but no feature_mapping to weight"),
    ],
)
def test_parts_of_a_wavegan(make, changes, message):
    with pytest.raises(OptionError, match=message):
        check_wavegan(parts_of(make(), **changes))


def test_a_generator_that_needs_features_makes_nothing_from_noise():
    generator = make_wavegan().generator
    assert require_latent_generator(generator) is generator
    with pytest.raises(OptionError, match="WaveGANVocoder makes audio from features only"):
        require_latent_generator(make_vocoder().generator)
