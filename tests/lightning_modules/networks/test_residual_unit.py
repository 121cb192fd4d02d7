import torch

from lightning_modules.networks.residual_unit import ResidualUnit, Snake


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
