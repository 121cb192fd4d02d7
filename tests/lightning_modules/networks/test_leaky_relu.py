import pytest
import torch
from torch.nn import functional

from lightning_modules.networks.leaky_relu import LeakyReLU


def test_leaky_relu():
    hidden = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    output = LeakyReLU(0.2)(hidden)
    assert output.tolist() == pytest.approx([-0.4, 0.0, 3.0])
    (grad,) = torch.autograd.grad(output.sum(), hidden)
    expected = torch.autograd.grad(functional.leaky_relu(hidden, 0.2).sum(), hidden)[0]
    assert torch.equal(grad, expected)


def test_second_derivatives_of_leaky_relu_are_those_of_torch():
    torch.manual_seed(0)
    weight = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    signal = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    def penalty(activation):
        output = activation(activation(signal @ weight) @ weight).sum()
        (slope,) = torch.autograd.grad(output, signal, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), weight)[0]

    torch.testing.assert_close(penalty(LeakyReLU(0.2)), penalty(lambda x: functional.leaky_relu(x, 0.2)))
