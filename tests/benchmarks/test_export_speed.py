"""How fast the default VAE reconstructs 60 seconds of audio: as it is, as .pt2, with ONNX Runtime.

pytest -m benchmark -s tests/benchmarks/test_export_speed.py
"""

import time
from collections.abc import Callable

import pytest
import torch

from lightning_modules.inference.export import FORMATS, export_part
from lightning_modules.inference.export_graph import parts_of

pytestmark = pytest.mark.benchmark

SECONDS = 60


def real_time_factor(function: Callable[[torch.Tensor], torch.Tensor], waveform: torch.Tensor) -> float:
    """Best of three runs at 16 kHz, after a first one."""
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        function(waveform)
        times.append(time.perf_counter() - begin)
    return waveform.shape[-1] / 16000 / min(times[1:])


@torch.no_grad()
def test_a_minute_of_audio(start_vae):
    module = start_vae().model.eval().requires_grad_(False)
    part = parts_of(module)[0]
    waveform = part.example(1, SECONDS * 16000 // module.latent_hop_samples, 0)
    factors = {"eager": real_time_factor(part.module, waveform)}
    for file in export_part(module, part, ["pt2", "onnx"]):
        kind = file.name.rpartition(".")[2]
        factors[kind] = real_time_factor(FORMATS[kind][1](file.content), waveform)
    threads = torch.get_num_threads()
    print(f"\n{threads} threads: " + ", ".join(f"{kind} {factor:.0f}x" for kind, factor in factors.items()))
