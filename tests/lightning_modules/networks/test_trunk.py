import pytest
import torch
from torch.nn import functional

from lightning_modules.networks.heads import ConvolutionalScoreHead, DenseScoreHead, LinearFeatureHead
from lightning_modules.networks.trunk import (
    HiFiGANTrunk,
    MelGANTrunk,
    PeriodTrunk,
    WaveGANTrunk,
)


def count(network: torch.nn.Module) -> int:
    """Parameters, weight normalisation (whose magnitudes are called original0) folded in."""
    return sum(p.numel() for name, p in network.named_parameters() if not name.endswith("original0"))


@pytest.mark.parametrize(
    ("clip_samples", "model_size", "parameters"),
    [(16_384, 64, 17_427_969), (16_384, 32, 4_361_985), (65_536, 64, 69_875_201)],
)
def test_published_parameter_counts_of_wavegan(clip_samples, model_size, parameters):
    with torch.device("meta"):
        trunk = WaveGANTrunk(clip_samples, model_size)
        head = DenseScoreHead(trunk.hidden_sizes[0])
        converter = LinearFeatureHead(trunk.hidden_sizes[0])
    assert count(trunk) + count(head) == parameters
    assert count(converter) == (trunk.hidden_sizes[0] + 1) * 4 * 80  # F's own, counted apart


def test_published_parameter_counts_of_the_rivals():
    with torch.device("meta"):
        totals = {
            type(trunk).__name__: count(trunk) + count(ConvolutionalScoreHead(trunk.hidden_sizes))
            for trunk in (MelGANTrunk(), PeriodTrunk(), HiFiGANTrunk())
        }
    assert totals == {
        "MelGANTrunk": 16_913_859,
        "PeriodTrunk": 41_092_165,
        "HiFiGANTrunk": 41_092_165 + 29_610_627,
    }


def published_critic(trunk: WaveGANTrunk, head: DenseScoreHead, waveform: torch.Tensor) -> torch.Tensor:
    """Convolutions of 25 taps, LeakyReLU 0.2, dense layer: in plain torch, without phase shuffle."""
    hidden = waveform
    for layer in trunk.layers:
        total = 25 - layer.stride
        padded = functional.pad(hidden, (total // 2, total - total // 2))
        hidden = functional.conv1d(padded, layer.weight.permute(2, 1, 0), layer.bias, layer.stride)
        hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    flat = hidden.transpose(1, 2).reshape(len(waveform), -1)  # time first, as TensorFlow flattens
    return flat @ head.output.weight.T + head.output.bias


@pytest.mark.parametrize("clip_samples", [4096, 2048])
def test_forward_pass_from_the_published_description(clip_samples):
    torch.manual_seed(0)
    trunk = WaveGANTrunk(clip_samples, 8, channels=2).eval()
    head = DenseScoreHead(trunk.hidden_sizes[0])
    for layer in trunk.layers:
        torch.nn.init.normal_(layer.bias, std=0.1)
    waveform = torch.randn(3, 2, clip_samples)
    (scores,) = head(trunk(waveform))
    torch.testing.assert_close(scores, published_critic(trunk, head, waveform), rtol=0, atol=1e-5)


def test_phase_shuffle_follows_the_first_four_layers_in_training_alone(monkeypatch):
    trunk = WaveGANTrunk(65_536, 1)
    seen = []
    monkeypatch.setattr(trunk.shuffle, "forward", lambda hidden: seen.append(hidden.shape[1]) or hidden)
    trunk(torch.zeros(1, 1, 65_536))
    assert seen == [16_384, 4096, 1024, 256]


def test_phase_shuffle_changes_scores_in_training_and_not_in_evaluation():
    torch.manual_seed(0)
    trunk = WaveGANTrunk(4096, 2)
    waveform = torch.randn(1, 1, 4096)
    training = [trunk(waveform)[0][-1] for _ in range(6)]
    assert len({tensor.sum().item() for tensor in training}) > 1
    trunk.eval()
    assert torch.equal(trunk(waveform)[0][-1], trunk(waveform)[0][-1])
    no_shuffle = WaveGANTrunk(4096, 2, phase_shuffle=0)
    no_shuffle.load_state_dict(trunk.state_dict())
    assert torch.equal(no_shuffle(waveform)[0][-1], trunk(waveform)[0][-1])


def test_layer_plan_of_melgan():
    with torch.device("meta"):
        trunk = MelGANTrunk()
    plan = [
        (c.in_channels, c.out_channels, *c.kernel_size, *c.stride, c.groups) for c in trunk.critics[0].layers
    ]
    assert plan == [
        (1, 16, 15, 1, 1),
        (16, 64, 41, 4, 4),
        (64, 256, 41, 4, 16),
        (256, 1024, 41, 4, 64),
        (1024, 1024, 41, 4, 256),
        (1024, 1024, 5, 1, 1),
    ]
    assert (trunk.hop_samples, trunk.hidden_sizes) == (256, [1024] * 3)


def test_each_scale_halves_the_rate():
    trunk = MelGANTrunk(4, 16)
    lengths = [critic[0].shape[2] for critic in trunk(torch.zeros(2, 1, 1024))]
    assert lengths == [1024, 512, 256]


def test_periods_see_every_pth_sample():
    torch.manual_seed(0)
    trunk = PeriodTrunk([3], model_size=2, limit=4)
    waveform = torch.randn(2, 1, 30)
    first = trunk(waveform)[0][0]  # (B * 3, H, L)
    layer = trunk.critics[0].layers[0]
    for clip in range(2):
        for phase in range(3):
            alone = functional.leaky_relu(layer(waveform[clip : clip + 1, :, phase::3]), 0.1)
            torch.testing.assert_close(first[3 * clip + phase], alone[0])


def test_a_length_that_no_period_divides_is_reflected():
    trunk = PeriodTrunk([7], model_size=2, limit=4)
    short = torch.randn(1, 1, 25)
    whole = torch.cat([short, short[..., [-2, -3, -4]]], dim=2)
    assert torch.equal(trunk(short)[0][-1], trunk(whole)[0][-1])
