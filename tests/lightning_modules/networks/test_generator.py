import pytest
import torch
from torch.nn import functional

from lightning_modules.networks.generator import WaveGANGenerator, WaveGANVocoder, strides_for


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("clip_samples", "model_size", "parameters"),
    [(16_384, 64, 19_065_345), (16_384, 32, 5_180_673), (65_536, 64, 73_149_953)],
)
def test_published_parameter_counts(clip_samples, model_size, parameters):
    with torch.device("meta"):
        assert count(WaveGANGenerator(clip_samples, model_size)) == parameters


def published_generator(network: WaveGANGenerator, latent: torch.Tensor) -> torch.Tensor:
    """Dense layer to 16 frames, ReLU, transposed convolutions of 25 taps, tanh: in plain torch."""
    hidden = functional.linear(latent, network.dense.weight, network.dense.bias)
    hidden = hidden.view(len(latent), 16, -1).transpose(1, 2)  # (B, H, 16)
    for layer in network.stack.layers:
        weight = layer.weight.permute(2, 1, 0)  # (in, out, 25)
        length = hidden.shape[2] * layer.stride
        full = functional.conv_transpose1d(torch.relu(hidden), weight, layer.bias, layer.stride)
        first = (25 - layer.stride) // 2  # TensorFlow's "same" crops what its convolution pads
        hidden = full[..., first : first + length]
    return torch.tanh(hidden)


@pytest.mark.parametrize(("clip_samples", "strides"), [(4096, [4, 4, 4, 4]), (2048, [4, 4, 4, 2])])
def test_forward_pass_from_the_published_description(clip_samples, strides):
    torch.manual_seed(0)
    network = WaveGANGenerator(clip_samples, 8, channels=2)
    assert [layer.stride for layer in network.stack.layers] == strides
    assert [layer.weight.shape[2] for layer in network.stack.layers] == [64, 32, 16, 8]
    for layer in network.stack.layers:
        torch.nn.init.normal_(layer.bias, std=0.1)
    latent = 2 * torch.rand(3, 100) - 1
    output = network(latent)
    assert output.shape == (3, 2, clip_samples)
    torch.testing.assert_close(output, published_generator(network, latent), rtol=0, atol=1e-5)


def test_any_fourfold_growth():
    assert strides_for(64) == [4]
    assert strides_for(16_384) == [4] * 5
    assert strides_for(32_768) == [4] * 5 + [2]
    assert strides_for(65_536) == [4] * 6
    assert strides_for(1_048_576) == [4] * 8


@pytest.mark.parametrize(
    ("samples", "nearest"), [(16_000, r"4096, 8192, 16384, 32768\]"), (16, r"\[64, 128\]")]
)
def test_a_length_that_cannot_be(samples, nearest):
    with pytest.raises(
        ValueError, match=rf"clip_samples is {samples}, which(.|\n)*set clip_samples .*{nearest}"
    ):
        WaveGANGenerator(samples)


def test_vocoder_is_the_same_stack_on_features():
    torch.manual_seed(0)
    network = WaveGANVocoder(feature_size=5, hop_samples=32, model_size=4)
    features = torch.randn(2, 5, 7)
    assert network(features).shape == (2, 1, 7 * 32)
    hidden = functional.conv1d(features, network.input.weight, network.input.bias, padding=3)
    torch.testing.assert_close(network(features), network.stack(hidden.transpose(1, 2)))


def test_a_hop_that_cannot_be():
    with pytest.raises(ValueError, match=r"hop_samples is 300, which(.|\n)*one of 4, 8, 16"):
        WaveGANVocoder(hop_samples=300)
