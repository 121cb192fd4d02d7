"""Metrics of two processes, each with a part of the clips, are those of one process with all of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
import torch
import torch.distributed as dist
from lightning_modules.callbacks.comparison import ClipValues, SetComparison
from lightning_modules.metrics.embeddings import LogMelStatistics
from lightning_modules.metrics.frechet import Diversity, FrechetLogMel
from lightning_modules.metrics.reconstruction import LogMelDistance, ScaleInvariantSDR

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
clips = 0.1 * torch.randn(9, 1, 8000, generator=torch.Generator().manual_seed(0))
clips *= torch.linspace(0.1, 2.0, 9).view(9, 1, 1)
made = clips.roll(1, 0) + 0.01
own = slice(0, 9) if world == 1 else (slice(0, 6), slice(6, 9))[rank]  # unequal parts
embedding = LogMelStatistics(8000)
metrics = {
    "frechet_log_mel": FrechetLogMel(8000), "diversity": Diversity(8000),
    "log_mel": LogMelDistance(8000), "si_sdr": ScaleInvariantSDR(),
}
for batch in range(0, 9, 2):
    part = slice(max(batch, own.start), min(batch + 2, own.stop))
    if part.start < part.stop:
        for metric in metrics.values():
            metric.update(made[part], clips[part])
found = {name: metric.compute().item() for name, metric in metrics.items()}
compared = SetComparison("samples", 8000, [embedding], torch.device("cpu"))
compared.update(made[own], clips[own])
compared.update_known(clips[own])
found |= {f"{score.of} {score.name}": score.value for score in compared.scores() if score.of == "samples"}
values = ClipValues()
if rank == 0:
    values.update(torch.arange(3.0))  # the other process has none
found["values"] = values.compute().sum().item()
if rank == 0:
    print(json.dumps(found))
if world > 1:
    dist.destroy_process_group()
"""


def run(world: int, folder: Path) -> dict[str, float]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rank), str(world), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    ended = [(*process.communicate(timeout=300), process.returncode) for process in started]
    assert all(code == 0 for _, _, code in ended), [error[-2000:] for _, error, _ in ended]
    return json.loads(ended[0][0].strip().splitlines()[-1])


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    one, two = run(1, tmp_path), run(2, tmp_path)
    distance = "samples frechet_log_mel_statistics"
    assert one[distance] > 1.0 and one["samples nearest_training_distance"] < 1.0
    # 27 vectors of 80 numbers: roots of the vanishing eigenvalues magnify the rounding of float32 vectors
    assert two.pop(distance) == pytest.approx(one.pop(distance), rel=5e-5)
    assert two == pytest.approx(one, rel=1e-6, abs=1e-6)
