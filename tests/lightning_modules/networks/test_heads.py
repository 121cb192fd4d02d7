import pytest
import torch

from lightning_modules.errors import OptionError
from lightning_modules.networks.heads import (
    ConvolutionalScoreHead,
    DenseScoreHead,
    LinearFeatureHead,
    WaveGANFeatureHead,
    WaveGANScoreHead,
)
from lightning_modules.networks.trunk import HiFiGANTrunk, WaveGANTrunk


def test_scores_of_each_critic():
    trunk = HiFiGANTrunk(16, 2, 16)
    maps = trunk(torch.randn(2, 1, 2048))
    scores = ConvolutionalScoreHead(trunk.hidden_sizes)(maps)
    assert [len(score) for score in scores] == [2, 2, 2, 4, 6, 10, 14, 22]


def test_converter_gives_every_feature_frame_that_a_trunk_frame_spans():
    torch.manual_seed(0)
    head = LinearFeatureHead(6, feature_size=3, frames_per_step=2)
    hidden = torch.randn(2, 6, 4)
    converted = head([[hidden]])
    assert converted.shape == (2, 3, 8)
    weight, bias = head.output.weight.view(2, 3, 6), head.output.bias.view(2, 3)
    torch.testing.assert_close(converted[1, :, 5], weight[1] @ hidden[1, :, 2] + bias[1])


def test_a_score_head_for_another_length():
    trunk = WaveGANTrunk(1024, 1)
    with pytest.raises(ValueError, match="num_frames is 16, but the trunk gives 32"):
        DenseScoreHead(trunk.hidden_sizes[0])(trunk(torch.zeros(1, 1, 2048)))


@pytest.mark.parametrize("clip_samples", [1024, 2048, 4096])
def test_heads_that_follow_the_trunk(clip_samples):
    trunk = WaveGANTrunk(clip_samples, 2)
    maps = trunk(torch.randn(3, 1, clip_samples))
    assert WaveGANScoreHead(clip_samples, 2)(maps)[0].shape == (3, 1)
    features = WaveGANFeatureHead(clip_samples, 2, feature_size=5, hop_samples=32)(maps)
    assert features.shape == (3, 5, clip_samples // 32)


def test_features_longer_than_a_frame_of_the_trunk():
    with pytest.raises(OptionError, match="hop_samples is 256, but the trunk gives a frame per 64 samples"):
        WaveGANFeatureHead(1024)
