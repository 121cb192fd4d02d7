import pytest
import torch

from lightning_modules.networks.vocoders import HiFiGANGenerator, MelGANGenerator

V2 = {"hidden_size": 128}
V3 = {
    "hidden_size": 256,
    "strides": (8, 8, 4),
    "kernel_sizes": (16, 16, 8),
    "residual_kernels": (3, 5, 7),
    "dilations": ((1, 2), (2, 6), (3, 12)),
    "paired": False,
}


@pytest.mark.parametrize(
    ("make", "options", "parameters"),
    [
        (MelGANGenerator, {}, 4_260_257),
        (HiFiGANGenerator, {}, 13_926_017),
        (HiFiGANGenerator, V2, 925_985),
        (HiFiGANGenerator, V3, 1_462_273),
    ],
)
def test_published_parameter_counts(make, options, parameters):
    with torch.device("meta"):
        network = make(**options)
    # weight normalisation, whose magnitudes are called original0, folded in
    counted = sum(p.numel() for name, p in network.named_parameters() if not name.endswith("original0"))
    assert counted == parameters
    assert network.hop_samples == 256


@pytest.mark.parametrize(
    "network",
    [MelGANGenerator(4, 16), HiFiGANGenerator(4, 16), HiFiGANGenerator(4, **{**V3, "hidden_size": 16})],
)
def test_hop_samples_per_frame_whatever_the_length(network):
    with torch.no_grad():
        for frames in (1, 5):
            output = network(torch.randn(2, 4, frames + 1))
            assert output.shape == (2, 1, 256 * (frames + 1))
            assert output.abs().max() <= 1


def test_a_frame_reaches_a_bounded_stretch_of_audio_around_it():
    torch.manual_seed(0)
    network = MelGANGenerator(3, 16)
    features = torch.zeros(1, 3, 31)
    changed = features.clone()
    changed[..., 15] = 1.0
    with torch.no_grad():
        moved = (network(changed) - network(features)).abs().squeeze() > 1e-7
    first, last = moved.nonzero()[0].item(), moved.nonzero()[-1].item()
    centre = 15.5 * 256
    assert centre - first == pytest.approx(last + 1 - centre, abs=256)
    assert 3 * 256 < centre - first < 10 * 256


def test_options_that_do_not_fit():
    with pytest.raises(ValueError, match="give a list of dilations for each of residual_kernels"):
        HiFiGANGenerator(residual_kernels=(3, 7))
    with pytest.raises(ValueError, match="a hidden_size that can be halved as often"):
        MelGANGenerator(hidden_size=24)
