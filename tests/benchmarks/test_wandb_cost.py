"""What W&B costs training when it cannot be reached: online, into a black hole that never answers.

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

from lightning_modules.cli.trainer import TrainerCLI
from lightning_modules.loggers.wandb_logger import Monitor, RunWandbLogger, WandbOptions
from lightning_modules.runs.folder import Run

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


@pytest.mark.benchmark
def test_cpu_time_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time of a row of 25 figures, which no neighbour changes; the first phase includes the start.

    The default VAE logs a row every 10 steps.
    """
    rows, row = 300, {f"train/{number}": float(number) for number in range(25)}
    with blackhole() as url:
        for name, value in {"WANDB_BASE_URL": url, "WANDB_API_KEY": API_KEY, "WANDB_MODE": "online"}.items():
            monkeypatch.setenv(name, value)
        wandb.teardown()
        run = Run(tmp_path / "one", tmp_path / "one", "fit", resumed=False)
        run.create()
        logger = RunWandbLogger(run, "online", {}, WandbOptions(), Monitor(None, "min"))
        logger.log_metrics(row, 0)
        for phase in ("W&B hangs", "offline after it"):
            in_thread, in_process = time.thread_time(), time.process_time()
            for step in range(1, rows + 1):
                logger.log_metrics(row, step)
            in_thread = time.thread_time() - in_thread
            assert logger.experiment is not None  # waits until all rows are handled
            in_process = time.process_time() - in_process
            print(
                f"\n{phase}: {in_thread / rows * 1e3:.3f} ms a row in the training thread, "
                f"{in_process / rows * 1e3:.2f} ms in the process"
            )
        logger.finalize("success")
        wandb.teardown()
