import pytest
import torch
from torch.nn import functional

from lightning_modules.networks.strided_convolution import (
    Convolve,
    ConvolveTransposed,
    Correlate,
    StridedConvolution,
    StridedTransposedConvolution,
)

# (clips, frames, channels on the fine side, on the coarse side, kernel, stride); rows of stride * C numbers
# are unfolded below 64 and shifted from there on
SIZES = [
    (3, 5, 2, 3, 25, 4),
    (2, 16, 20, 7, 25, 4),
    (1, 1, 40, 2, 25, 2),
    (2, 9, 17, 3, 8, 4),
    (2, 6, 1, 4, 5, 5),
]


def padded(signal: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Channels first, with the zeros of TensorFlow's "same": the odd one at the end."""
    total = kernel - stride
    return functional.pad(signal.transpose(1, 2), (total // 2, total - total // 2))


def make(sizes, dtype=torch.float64):
    clips, frames, fine, coarse, kernel, stride = sizes
    torch.manual_seed(0)
    signal = torch.randn(clips, frames * stride, fine, dtype=dtype)
    hidden = torch.randn(clips, frames, coarse, dtype=dtype)
    weight = torch.randn(kernel, fine, coarse, dtype=dtype)
    return signal, hidden, weight, stride


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_convolution_is_that_of_torch(sizes, with_bias):
    signal, hidden, weight, stride = make(sizes)
    bias = torch.randn(hidden.shape[2], dtype=signal.dtype) if with_bias else None
    expected = functional.conv1d(padded(signal, len(weight), stride), weight.permute(2, 1, 0), bias, stride)
    torch.testing.assert_close(Convolve.apply(signal, weight, bias, stride), expected.transpose(1, 2))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_transposed_convolution_is_the_cropped_one_of_torch(sizes, with_bias):
    signal, hidden, weight, stride = make(sizes)
    bias = torch.randn(signal.shape[2], dtype=signal.dtype) if with_bias else None
    full = functional.conv_transpose1d(hidden.transpose(1, 2), weight.permute(2, 1, 0), bias, stride)
    first = (len(weight) - stride) // 2
    expected = full[..., first : first + signal.shape[1]].transpose(1, 2)
    torch.testing.assert_close(ConvolveTransposed.apply(hidden, weight, bias, stride), expected)


@pytest.mark.parametrize("sizes", SIZES)
def test_correlation_is_the_weight_gradient(sizes):
    signal, hidden, weight, stride = make(sizes)
    weight.requires_grad_()
    output = functional.conv1d(padded(signal, len(weight), stride), weight.permute(2, 1, 0), None, stride)
    (expected,) = torch.autograd.grad((output * hidden.transpose(1, 2)).sum(), weight)
    torch.testing.assert_close(Correlate.apply(signal, hidden, len(weight), stride), expected)


@pytest.mark.parametrize("sizes", [(2, 3, 1, 2, 9, 4), (2, 2, 17, 2, 6, 4)])
def test_first_and_second_derivatives(sizes):
    signal, hidden, weight, stride = make(sizes)
    biases = torch.randn(hidden.shape[2]).double(), torch.randn(signal.shape[2]).double()
    tensors = [signal, hidden, weight, *biases]
    for tensor in tensors:
        tensor.requires_grad_()

    def every(signal, hidden, weight, bias, fine_bias):
        return (
            Convolve.apply(signal, weight, bias, stride),
            ConvolveTransposed.apply(hidden, weight, fine_bias, stride),
            Correlate.apply(signal, hidden, len(weight), stride),
        )

    assert torch.autograd.gradcheck(every, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(every, tensors, fast_mode=True)


@pytest.mark.parametrize(
    ("layer", "channels"), [(StridedConvolution, 18), (StridedTransposedConvolution, 18)]
)
def test_layers_agree_with_the_path_that_a_gpu_or_half_precision_takes(layer, channels, monkeypatch):
    torch.manual_seed(0)
    network = layer(channels, 5, 25, 4)
    torch.nn.init.normal_(network.bias)
    signal = torch.randn(2, 24, channels, requires_grad=True)
    fast = network(signal)
    (fast_grad,) = torch.autograd.grad(fast.square().sum(), signal)
    monkeypatch.setattr(
        "lightning_modules.networks.strided_convolution._by_matrix_products", lambda signal: False
    )
    native = network(signal)
    (native_grad,) = torch.autograd.grad(native.square().sum(), signal)
    torch.testing.assert_close(fast, native, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast_grad, native_grad, rtol=1e-5, atol=1e-5)


def test_bfloat16_autocast_computes_in_bfloat16():
    network = StridedConvolution(2, 3, 25, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.randn(1, 16, 2)).dtype == torch.bfloat16


def test_layers_can_be_exported():
    network = torch.nn.Sequential(StridedTransposedConvolution(6, 4, 25, 4), StridedConvolution(4, 2, 25, 4))
    signal = torch.randn(2, 8, 6)
    exported = torch.export.export(network, (signal,)).module()
    torch.testing.assert_close(exported(signal), network(signal), rtol=1e-5, atol=1e-6)


def test_glorot_start():
    torch.manual_seed(0)
    network = StridedConvolution(32, 64, 25, 4)
    bound = (6 / (25 * (32 + 64))) ** 0.5
    assert network.weight.abs().max() <= bound
    assert network.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not network.bias.any()


def test_a_kernel_shorter_than_the_stride():
    with pytest.raises(ValueError, match="StridedConvolution needs 1 <= stride <= kernel_size, got stride=4"):
        StridedConvolution(1, 1, 3, 4)
