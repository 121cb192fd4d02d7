"""What the framework costs: per step of the default VAE beside a bare PyTorch loop, and at the start.

    pytest -m benchmark -s tests/benchmarks/test_overhead.py

Step: the Trainer of `lightning fit --config experiments/vae.yaml` with all its callbacks and the CSV log, and
a loop that makes the same update of the same networks on the same batch, by turns; the median of the ratios
of the pairs counts. Start: a process of its own says when it has got how far; the cache is filled before.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.batch import Batch
from lightning_modules.cli.trainer import TrainerCLI
from lightning_modules.vae import VAE

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parents[2]
CLIPS, SAMPLES = 8, 16_384
PAIRS = int(os.environ.get("MAESTRO_BENCHMARK_PAIRS", "50"))
WARM_UP = 3

START = """
import time
marks = [("interpreter", time.time())]
def mark(name):
    marks.append((name, time.time()))
def at(owner, method, before=None, after=None):
    original = getattr(owner, method)
    def wrapped(*args, **kwargs):
        before and mark(before)
        result = original(*args, **kwargs)
        after and mark(after)
        return result
    setattr(owner, method, wrapped)
import sys, json, os
import lightning_modules.cli
import lightning_modules
from lightning_modules.cli.trainer import TrainerCLI
import lightning.pytorch as pl
mark("imports")
at(TrainerCLI, "parse_arguments", after="config")
at(TrainerCLI, "instantiate_trainer", before="data module and model", after="callbacks and Trainer")
at(lightning_modules.VAE, "training_step", before="data, loader and first batch")
def end(self, *_):
    mark("first step")
    print("MARKS" + json.dumps(marks), flush=True)
    os._exit(0)
from lightning_modules.callbacks.throughput import Throughput
Throughput.on_train_batch_end = end
lightning_modules.cli.main(sys.argv[1:])
"""


def bare_loop(model: VAE, clip_norm: float) -> Callable[[torch.Tensor], None]:
    """The update without Lightning: forward, the loss, backward, clipping, AdamW, schedule."""
    made = model.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    steps = itertools.count()

    def update(clips: torch.Tensor) -> None:
        result = model(clips)
        values = clips[0].numel()
        loss = (model.kl_weight(next(steps)) * result.elbo.kl - result.elbo.log_likelihood).mean() / values
        assert model.spectral_loss is not None
        loss = loss + model.spectral_weight * model.spectral_loss(result.output, clips)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        scheduler.step()

    return update


class Turns:
    """A loader of one batch: before handing it out it makes the same update in the bare loop.

    The Trainer's own time is from handing out a batch to being asked for the next one.
    """

    def __init__(self, batch: Batch, bare: Callable[[torch.Tensor], None]) -> None:
        self.batch, self.bare = batch, bare
        self.seconds: list[tuple[float, float]] = []

    def __len__(self) -> int:
        """Known, so that the Trainer does not fetch a batch ahead, in the midst of an update."""
        return 1_000_000

    def __iter__(self) -> Iterator[Batch]:
        while True:
            start = time.perf_counter()
            self.bare(self.batch.waveform)
            middle = time.perf_counter()
            yield self.batch
            self.seconds.append((middle - start, time.perf_counter() - middle))


def test_step(benchmark: Any, start_vae: Callable[..., TrainerCLI], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")  # what W&B costs, test_wandb_cost.py measures
    cli = start_vae("--trainer.max_steps", PAIRS + WARM_UP + 1)
    torch.manual_seed(0)
    zeros = torch.zeros(CLIPS, dtype=torch.long)
    batch = Batch(0.1 * torch.randn(CLIPS, 1, SAMPLES), zeros, zeros)
    turns = Turns(batch, bare_loop(cli.model, cli.trainer.gradient_clip_val))
    benchmark.pedantic(cli.trainer.fit, (cli.model, turns), rounds=1, iterations=1)
    pairs = turns.seconds[WARM_UP:]
    bare, trainer = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    low, middle, high = (100 * (q - 1) for q in statistics.quantiles([b / a for a, b in pairs], n=4))
    print(
        f"\n{torch.get_num_threads()} threads, median of {len(pairs)}: Trainer {trainer:.0f} ms, bare loop "
        f"{bare:.0f} ms; overhead {middle:+.1f}% (median of the pairs; quartiles {low:+.1f}%, {high:+.1f}%)"
    )


def started(folder: Path) -> list[tuple[str, float]]:
    """Seconds that each stage takes, in the order of the stages."""
    command = [sys.executable, "-c", START, "fit", "--config", str(ROOT / "experiments/vae.yaml")]
    options = ["--trainer.accelerator", "cpu", "--runs_dir", str(folder)]
    path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "PYTHONPATH": path, "WANDB_MODE": "disabled"}
    begin = time.time()
    output = subprocess.check_output([*command, *options], env=environment, text=True, cwd=folder)
    line = next(line for line in output.splitlines() if line.startswith("MARKS"))
    marks = [("", begin), *json.loads(line.removeprefix("MARKS"))]
    return [(name, now - before) for (_, before), (name, now) in itertools.pairwise(marks)]


def test_start(tmp_path: Path) -> None:
    started(tmp_path)  # fills the cache and the disk's own
    stages = started(tmp_path)
    for name, seconds in stages:
        print(f"\n{name:30} {seconds:6.2f} s", end="")
    print(f"\n{'process start to first step':30} {sum(seconds for _, seconds in stages):6.2f} s")
