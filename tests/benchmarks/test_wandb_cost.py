"""What W&B costs a training step when it cannot be reached: the default VAE, online, into a black hole.

pytest -m benchmark -s tests/benchmarks/test_wandb_cost.py
"""

import statistics
import time
from pathlib import Path

import lightning.pytorch as pl
import pytest
import wandb
from lightning.pytorch.loggers import Logger
from wandb_server import API_KEY, blackhole

from lightning_modules.runs import Run
from lightning_modules.trainer_cli import TrainerCLI
from lightning_modules.wandb_logger import Monitor, RunWandbLogger, WandbOptions

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "vae.yaml"
STEPS = 40
ROUNDS = 4


class StepTimer(pl.Callback):
    """Seconds from the end of one training step to the end of the next: whatever comes between counts."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def on_train_batch_end(self, *_: object) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now


def train(cli: TrainerCLI, logger: Logger | bool) -> list[float]:
    timer = StepTimer()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        max_epochs=-1,
        limit_val_batches=0,
        log_every_n_steps=10,  # as in the experiment
        logger=logger,
        callbacks=[timer],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(cli.model, cli.datamodule)
    return timer.seconds


@pytest.mark.benchmark
def test_an_unreachable_backend(
    tiny_run_data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)
    data = [
        each for each in tiny_run_data if not each.startswith(("--data.clip_samples", "--data.batch_size"))
    ]
    cli = TrainerCLI.start(["fit", f"--config={EXPERIMENT}", "--trainer.accelerator=cpu", *data])
    train(cli, logger=False)  # what is done once
    without: list[float] = []
    with_logger: list[float] = []
    with blackhole() as url:
        for name, value in {"WANDB_BASE_URL": url, "WANDB_API_KEY": API_KEY, "WANDB_MODE": "online"}.items():
            monkeypatch.setenv(name, value)
        for number in range(ROUNDS):
            wandb.teardown()
            run = Run(tmp_path / f"{number}", tmp_path / f"{number}", "fit", resumed=False)
            run.create()
            logger = RunWandbLogger(run, "online", {}, WandbOptions(), Monitor(None, "min"))
            if number % 2:
                without += train(cli, logger=False)
            with_logger += train(cli, logger)
            if not number % 2:
                without += train(cli, logger=False)
    wandb.teardown()
    figures = {
        "mean": statistics.fmean(with_logger) / statistics.fmean(without) - 1,
        "median": statistics.median(with_logger) / statistics.median(without) - 1,
    }
    print(f"\na step without a logger: {statistics.fmean(without) * 1e3:.1f} ms, {len(without)} steps each")
    for name, share in figures.items():
        print(f"online, W&B never answers: {share:+.1%} ({name})")
