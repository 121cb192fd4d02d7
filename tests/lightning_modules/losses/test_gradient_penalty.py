import pytest
import torch

from lightning_modules.losses.gradient_penalty import GradientPenalty
from lightning_modules.networks.heads import DenseScoreHead
from lightning_modules.networks.trunk import WaveGANTrunk


def clips(seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 1024, generator=torch.Generator().manual_seed(seed))


def linear_critic(slope: float):
    direction = torch.randn(1024, generator=torch.Generator().manual_seed(9))
    direction = slope * direction / direction.norm()
    return lambda waveform: waveform.flatten(1) @ direction


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (2.0, 1.0), (0.0, 1.0), (4.0, 9.0)])
def test_a_linear_critic_is_charged_for_its_slope(slope, penalty):
    value = GradientPenalty()(linear_critic(slope), clips(0), clips(1), torch.rand(3))
    assert value.item() == pytest.approx(penalty, abs=1e-5)


def test_the_points_lie_between_the_pairs():
    seen = []

    def critic(waveform):
        seen.append(waveform.detach())
        return waveform.square().sum((1, 2))

    real, generated, mix = clips(0), clips(1), torch.tensor([0.0, 0.25, 1.0])
    GradientPenalty()(critic, real, generated, mix)
    expected = torch.stack([real[0], 0.75 * real[1] + 0.25 * generated[1], generated[2]])
    torch.testing.assert_close(seen[0], expected)


def test_float32_under_autocast():
    trunk = WaveGANTrunk(1024, 2, phase_shuffle=0)
    head = DenseScoreHead(trunk.hidden_sizes[0])

    def critic(waveform):
        return head(trunk(waveform))[0].squeeze(1)

    plain = GradientPenalty()(critic, clips(0), clips(1), torch.full((3,), 0.5))
    with torch.autocast("cpu", torch.bfloat16):
        under = GradientPenalty()(critic, clips(0).bfloat16().float(), clips(1), torch.full((3,), 0.5))
        same = GradientPenalty()(critic, clips(0), clips(1), torch.full((3,), 0.5))
    assert under.dtype == torch.float32
    assert torch.equal(plain, same)


def test_its_gradient_reaches_the_critic_as_torch_alone_says(monkeypatch):
    torch.manual_seed(0)
    trunk = WaveGANTrunk(1024, 2, phase_shuffle=0)
    head = DenseScoreHead(trunk.hidden_sizes[0])

    def grads():
        penalty = GradientPenalty()(
            lambda waveform: head(trunk(waveform))[0], clips(0), clips(1), torch.full((3,), 0.5)
        )
        return torch.autograd.grad(penalty, [layer.weight for layer in trunk.layers])

    fast = grads()
    monkeypatch.setattr(
        "lightning_modules.networks.strided_convolution._by_matrix_products", lambda signal: False
    )
    monkeypatch.setattr(trunk.activation, "forward", lambda x: torch.nn.functional.leaky_relu(x, 0.2))
    for one, other in zip(fast, grads(), strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_flat_critic_gives_no_nan():
    weight = torch.zeros(1024, requires_grad=True)
    penalty = GradientPenalty()(lambda x: x.flatten(1) @ weight, clips(0), clips(1), torch.rand(3))
    penalty.backward()
    assert penalty.item() == 1.0
    assert torch.equal(weight.grad, torch.zeros(1024))
