"""Operations counted by hand."""

from unittest import mock

import pytest
import torch
from torch import nn

from lightning_modules.numerics import flops
from lightning_modules.numerics.flops import FlopCount, known_peak, measured_flops, peak_flops

GPU = torch.device("cuda", 0)


def count(module: nn.Module, *sizes: int, needs_input_gradient: bool) -> int:
    with FlopCount() as counted:
        module(torch.ones(sizes, requires_grad=needs_input_gradient)).sum().backward()
    return counted.total


@pytest.mark.parametrize(("needs_input_gradient", "passes"), [(False, 2), (True, 3)])
def test_linear_layer(needs_input_gradient: bool, passes: int) -> None:
    """Forwards, for the weight, and for the input if asked: each B * I * O multiplications and additions."""
    found = count(nn.Linear(6, 5), 4, 6, needs_input_gradient=needs_input_gradient)
    assert found == passes * 2 * (4 * 6 * 5)


@pytest.mark.parametrize(
    ("module", "multiplications"),
    [
        (nn.Conv1d(6, 8, 3), 2 * 8 * 6 * 3 * 10),  # B, out, in, kernel, 12 - 2 frames
        (nn.Conv1d(6, 8, 3, stride=3), 2 * 8 * 6 * 3 * 4),
        (nn.Conv1d(6, 6, 3, padding=1, groups=6), 2 * 6 * 1 * 3 * 12),
        (nn.Conv1d(6, 8, 3, padding=1, groups=2), 2 * 8 * 3 * 3 * 12),
        (nn.ConvTranspose1d(6, 8, 4, 4), 2 * 6 * 8 * 4 * 12),
    ],
)
def test_convolutions(module: nn.Module, multiplications: int) -> None:
    """Forwards and both gradients cost the same, with groups as well."""
    assert count(module, 2, 6, 12, needs_input_gradient=True) == 3 * 2 * multiplications


def test_second_derivative() -> None:
    """What a gradient penalty adds: y = x W, its slope W 1, and the slope's own derivative."""
    layer, signal = nn.Linear(6, 5, bias=False), torch.ones(4, 6, requires_grad=True)
    with FlopCount() as counted:
        (slope,) = torch.autograd.grad(layer(signal).sum(), signal, create_graph=True)
        slope.square().sum().backward()
    # forwards; slope = grad W; of which the weight's gradient alone, for `grad` is a constant
    assert counted.total == 3 * 2 * (4 * 6 * 5)


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H200", "bf16-mixed", 989.4),
        ("NVIDIA H100 80GB HBM3", "16-mixed", 989.4),
        ("NVIDIA H100 PCIe", "bf16-mixed", 756.0),
        ("NVIDIA A100-SXM4-80GB", "32-true", 156.0),
        ("NVIDIA L4", "bf16-mixed", 121.0),
        ("NVIDIA L40S", "bf16-mixed", 362.0),
        ("Tesla V100-SXM2-16GB", "32-true", 15.7),
        ("NVIDIA Quadro of 1999", "32-true", None),
    ],
)
def test_peak_by_name(name: str, precision: str, tera: float | None) -> None:
    with mock.patch("torch.cuda.get_device_name", return_value=name):
        found = peak_flops(GPU, precision)
    assert found == (None if tera is None else pytest.approx(tera * 1e12))


def test_peak_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    with mock.patch("torch.cuda.get_device_name", return_value="NVIDIA A100-SXM4-80GB"):
        assert peak_flops(GPU, "32-true") == pytest.approx(19.5e12)


def test_a_cpu_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 4.0, 10.0, 12.0])
    monkeypatch.setattr(flops.time, "perf_counter", lambda: next(times))
    assert measured_flops(size=64, rounds=2) == 2 * 64**3 / 2.0
    assert peak_flops(torch.device("cpu"), "bf16-mixed") is None
    assert known_peak("cpu") is None
