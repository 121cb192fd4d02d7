"""Floating-point operations: how many a computation takes, and how many a device does per second at best."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


class FlopCount(TorchDispatchMode):
    """Counts the operations of what runs inside it, backward passes included.

    A multiplication and an addition are two. Matrix products, convolutions and attention count, as is usual;
    FFTs and what works on elements do not, and neither does what a compiled graph hides.

    Attributes:
        total: Operations so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (torch's operators have no public type)
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Run `func`, and count it."""
        output = func(*args, **(kwargs or {}))
        kind = func.overloadpacket
        if kind == aten.convolution_backward:
            self.total += convolution_backward_flops(*args)
        elif kind in flop_registry:
            self.total += flop_registry[kind](*args, **(kwargs or {}), out_val=output)
        return output


def convolution_backward_flops(
    grad: torch.Tensor,
    signal: torch.Tensor,
    weight: torch.Tensor,
    bias_sizes: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    output_mask: Sequence[bool],
) -> int:
    """The gradients of signal and weight cost as much as the convolution itself, each; arguments as aten's.

    torch's own formula takes the gradient of a depthwise convolution's weight for a full one's: too much by
    a factor of `groups`.
    """
    placed = signal if transposed else grad  # each of its frames meets the whole kernel once
    once = 2 * len(signal) * math.prod(placed.shape[2:]) * weight.numel()
    return once * (bool(output_mask[0]) + bool(output_mask[1]))


class Peak(NamedTuple):
    """Largest dense TFLOP/s of a device, by the kind of unit; None where it has none.

    Attributes:
        half: bfloat16 and float16, sums in float32.
        tf32: TF32.
        single: float32.
    """

    half: float | None
    tf32: float | None
    single: float


PEAKS = {
    "H200": Peak(989.4, 494.7, 66.9),
    "H100 PCIe": Peak(756.0, 378.0, 51.0),
    "H100 NVL": Peak(835.0, 417.5, 60.0),
    "H100": Peak(989.4, 494.7, 66.9),
    "A100": Peak(312.0, 156.0, 19.5),
    "A10G": Peak(70.0, 35.0, 35.0),
    "L40S": Peak(362.0, 183.0, 91.6),
    "L4": Peak(121.0, 60.0, 30.3),
    "T4": Peak(65.0, None, 8.1),
    "V100": Peak(125.0, None, 15.7),
    "RTX 4090": Peak(165.2, 82.6, 82.6),
    "RTX 3090": Peak(71.0, 35.6, 35.6),
}
"""By a part of the name that the driver gives, the first that fits; NVIDIA's data sheets, no sparsity."""


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Operations per second that `device` cannot exceed.

    Args:
        device: Of a GPU the data sheet is asked, of a CPU a product of two matrices (a tenth of a second).
        precision: The Trainer's, e.g. `bf16-mixed`.

    Returns:
        For 32-bit floats on a GPU the TF32 figure if TF32 is allowed anywhere. None if not known.
    """
    is_half = precision.startswith(("bf16", "16"))
    if device.type == "cpu":
        return None if is_half else measured_flops()
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    allowed = torch.get_float32_matmul_precision() != "highest" or torch.backends.cudnn.allow_tf32
    peak = known_peak(name)
    if peak is None:
        return None
    tera = peak.half if is_half else peak.tf32 if allowed and peak.tf32 else peak.single
    return None if tera is None else tera * 1e12


def known_peak(name: str) -> Peak | None:
    """The data sheet of a GPU, by the name that its driver gives."""
    words = name.replace("-", " ")
    return next((peak for part, peak in PEAKS.items() if f" {part} " in f" {words} "), None)


def measured_flops(size: int = 1024, rounds: int = 5) -> float:
    """Best speed of the product of two `size` x `size` float32 matrices on the CPU, operations per second."""
    matrix, times = torch.ones(size, size), []
    with torch.inference_mode():
        for _ in range(rounds):
            start = time.perf_counter()
            matrix @ matrix
            times.append(time.perf_counter() - start)
    return 2.0 * size**3 / min(times)
