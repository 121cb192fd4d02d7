import pytest
import torch

from lightning_modules.errors import OptionError
from lightning_modules.networks.causal import CausalNetwork


def network() -> CausalNetwork:
    torch.manual_seed(0)
    made = CausalNetwork(2, 3, hidden_size=4, kernel_size=3, dilations=(1, 2)).double()
    torch.nn.init.normal_(made.output.weight)
    return made.eval()


def test_a_frame_sees_itself_and_its_receptive_past_alone():
    made = network()
    frames = torch.randn(1, 2, 20, dtype=torch.float64, requires_grad=True)
    seen = torch.autograd.grad(made(frames)[0][0, :, 12].sum(), frames)[0][0].abs().sum(0).nonzero().flatten()
    assert made.receptive_frames == 7
    assert seen.tolist() == list(range(6, 13))


def test_frame_by_frame_gives_the_same_as_all_at_once():
    made = network()
    frames = torch.randn(2, 2, 9, dtype=torch.float64)
    past, parts = None, []
    for frame in frames.split(1, dim=2):
        output, past = made(frame, past)
        parts.append(output)
    torch.testing.assert_close(torch.cat(parts, dim=2), made(frames)[0])


def test_starts_at_the_bias():
    made = CausalNetwork(2, 3, hidden_size=4)
    torch.nn.init.constant_(made.output.bias, 0.5)
    assert torch.equal(made(torch.randn(1, 2, 5))[0], torch.full((1, 3, 5), 0.5))


@pytest.mark.parametrize("options", [{"kernel_size": 1}, {"dilations": ()}, {"dilations": (0,)}])
def test_options_that_make_no_sense(options):
    with pytest.raises(OptionError, match="kernel_size >= 2 and dilations >= 1"):
        CausalNetwork(2, 3, **options)
