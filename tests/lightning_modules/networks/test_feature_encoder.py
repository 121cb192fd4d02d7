import pytest
import torch

from lightning_modules.audio.spectrogram import MelSpectrogram
from lightning_modules.errors import OptionError
from lightning_modules.networks.feature_encoder import ConvolutionalFeatures, LogMelFeatures


def test_log_mel_features_are_scaled_decibels():
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(2, 2, 2048)
    features = LogMelFeatures(16000, hop_samples=256, feature_size=20, channels=2)(waveform)
    assert features.shape == (2, 20, 8)
    power = MelSpectrogram(16000, 1024, 256, 10)(waveform)  # (2, 2, 10, 9)
    expected = 1 + 10 * power.log10() / 50
    torch.testing.assert_close(features[:, 10:], expected[:, 1, :, :-1], rtol=1e-5, atol=1e-5)


def test_silence_and_full_scale_are_minus_one_and_one():
    encoder = LogMelFeatures(16000)
    assert torch.equal(encoder(torch.zeros(1, 1, 1024)), torch.full((1, 80, 4), -1.0))
    loud = encoder(10 * torch.randn(1, 1, 4096))
    assert loud.max() > 0.5


def test_learned_features_have_the_generators_rate():
    encoder = ConvolutionalFeatures(feature_size=6, hop_samples=32, model_size=4, channels=2)
    features = encoder(torch.randn(3, 2, 32 * 5))
    assert features.shape == (3, 6, 5)
    assert features.abs().max() <= 1
    assert [layer.stride for layer in encoder.layers] == [2, 4, 4]


def test_a_hop_that_cannot_be():
    with pytest.raises(ValueError, match="hop_samples is 200"):
        ConvolutionalFeatures(hop_samples=200)


def test_features_that_the_channels_cannot_share():
    with pytest.raises(OptionError, match="feature_size is 81, which 2 channels cannot share"):
        LogMelFeatures(16000, feature_size=81, channels=2)
