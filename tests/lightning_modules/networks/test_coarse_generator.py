import torch
from torch.nn import functional

from lightning_modules.networks.coarse_generator import CoarseGenerator


def test_coarse_generator_is_a_plain_two_layer_network_per_latent():
    torch.manual_seed(0)
    network = CoarseGenerator(latent_size=3, hop_samples=5, channels=2, hidden_size=7, overlap=1)
    latent = torch.randn(2, 3, 4)
    output = network(latent)
    assert output.shape == (2, 2, 20)
    for frame in range(4):
        hidden = functional.gelu(latent[:, :, frame] @ network.hidden.weight.T + network.hidden.bias)
        samples = (hidden @ network.output.weight.T + network.output.bias).view(2, 2, 5)
        torch.testing.assert_close(output[..., frame * 5 : (frame + 1) * 5], samples)
    assert sum(p.numel() for p in network.parameters()) == (3 * 7 + 7) + (7 * 10 + 10)


def test_coarse_generator_starts_near_silence_and_learns():
    network = CoarseGenerator(latent_size=3, hop_samples=64)
    output = network(torch.randn(2, 3, 50))
    assert 0 < output.std() < 10 ** (-30 / 20)
    output.square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())
