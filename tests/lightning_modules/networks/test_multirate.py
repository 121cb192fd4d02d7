import pytest
import torch

from lightning_modules.networks.decoder import FullyConnectedHead
from lightning_modules.networks.multirate import MultirateDecoder, MultirateEncoder, ResidualUnit, Snake


def test_snake_is_its_formula():
    snake = Snake(3)
    torch.nn.init.normal_(snake.log_frequency)
    hidden = torch.randn(2, 3, 5)
    alpha = snake.log_frequency.exp()
    torch.testing.assert_close(snake(hidden), hidden + torch.sin(alpha * hidden) ** 2 / alpha)
    hidden.requires_grad_()
    slope = torch.autograd.grad(snake(hidden).sum(), hidden)[0]
    torch.testing.assert_close(slope, 1 + torch.sin(2 * alpha * hidden))  # never negative


def test_a_residual_unit_without_a_branch_changes_nothing():
    unit = ResidualUnit(4, dilation=9)
    torch.nn.init.zeros_(unit.branch[-1].weight)
    torch.nn.init.zeros_(unit.branch[-1].bias)
    hidden = torch.randn(2, 4, 30)
    assert torch.equal(unit(hidden), hidden)


@pytest.mark.parametrize("num_units", [0, 2])
def test_shapes_and_hops(num_units):
    encoder = MultirateEncoder(2, widths=[4, 6], strides=[8, 4], num_units=num_units)
    assert (encoder.hop_samples, encoder.hidden_size) == (32, 6)
    assert encoder(torch.randn(3, 2, 96)).shape == (3, 6, 3)
    decoder = MultirateDecoder(5, FullyConnectedHead(4, 8, channels=2), [6, 4], [4], num_units)
    assert decoder.hop_samples == 32
    assert decoder(torch.randn(3, 5, 3)).shape == (3, 2, 96)


def test_a_frame_is_in_the_middle_of_what_it_sees():
    encoder = MultirateEncoder(1, widths=[4, 6], strides=[8, 4])
    waveform = torch.zeros(1, 1, 320, requires_grad=True)
    seen = torch.autograd.grad(encoder(waveform)[0, :, 5].abs().sum(), waveform)[0][0, 0] != 0
    first, last = seen.nonzero().min().item(), seen.nonzero().max().item()
    assert first + last == 2 * 5 * 32 + 31  # frame 5 is samples 160 to 191
    assert last - first + 1 > 32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultirateEncoder(1, [4], [8, 4]), r"widths=\[4\] and strides=\[8, 4\]"),
        (lambda: MultirateEncoder(1, [4], [3]), r"strides=\[3\]"),
        (lambda: MultirateDecoder(2, FullyConnectedHead(5, 8), [6, 4], [4]), "widths is 4 but head"),
    ],
)
def test_stages_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()
