"""Memory, threads and open files of a long run stay what they are."""

import os
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
import numpy as np
import pytest
from scipy import stats
from tiny_training import make_data, train

from lightning_modules.callbacks.gradients import GradientNorm
from lightning_modules.callbacks.health import Health
from lightning_modules.callbacks.throughput import Throughput

STEPS, EVERY = 2000, 10
MIB = 1 << 20


class Usage(NamedTuple):
    """What the process holds."""

    step: int
    resident: float  # MiB
    threads: int
    files: int


class Watch(pl.Callback):
    """Looks every few steps."""

    def __init__(self) -> None:
        self.usage: list[Usage] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step % EVERY == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident = pages * os.sysconf("SC_PAGE_SIZE") / MIB
            threads, files = (len(os.listdir(f"/proc/self/{name}")) for name in ("task", "fd"))
            self.usage.append(Usage(trainer.global_step, resident, threads, files))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae", "wavegan"])
def test_nothing_grows(tiny_release: Path, tmp_path: Path, kind: str) -> None:
    """Over the later half, with validations and checkpoints: resident memory by linear regression."""
    watch = Watch()
    data = make_data(tiny_release, tmp_path / "cache", clips_per_epoch=400)
    callbacks = [watch, Health(), Throughput(), GradientNorm()]
    options = {"max_steps": STEPS, "val_check_interval": 50, "log_every_n_steps": 10}
    train(kind, tmp_path / "toy" / "one", data, *callbacks, **options)
    later = [usage for usage in watch.usage if usage.step > STEPS // 2]
    assert len(later) == STEPS // 2 // EVERY
    fit = stats.linregress([usage.step / 1000 for usage in later], [usage.resident for usage in later])
    margin = stats.t.ppf(0.975, len(later) - 2) * fit.stderr
    print(
        f"\n{kind}: {fit.slope:+.2f} ± {margin:.2f} MiB per 1,000 steps (95%) at "
        f"{np.mean([usage.resident for usage in later]):.0f} MiB; {later[-1].threads} threads, "
        f"{later[-1].files} open files"
    )
    assert fit.slope - margin < 1.0, "MiB per 1,000 steps"
    assert len({(usage.threads, usage.files) for usage in later}) == 1
