"""Building and training VAEs, by default the default one, which the comparisons of models share."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from timed_training import SCHEDULE_STEPS, TimedRun, WallClock, fit

from lightning_modules.cli.trainer import TrainerCLI

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def start_vae(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., TrainerCLI]:
    """Builds the VAE of an experiment, changed by options and overlays, without training it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)

    def start(*arguments: object, experiment: str = "vae") -> TrainerCLI:
        config = EXPERIMENTS / f"{experiment}.yaml"
        options = ["fit", "--config", config, *arguments, "--trainer.accelerator", "cpu"]
        return TrainerCLI.start([str(option) for option in options])

    return start


@pytest.fixture
def train_for(start_vae: Callable[..., TrainerCLI]) -> Callable[..., TimedRun]:
    """Trains a VAE until a clock stops it."""

    def train(*arguments: object, clock: WallClock, experiment: str = "vae") -> TimedRun:
        options = *arguments, "--trainer.max_steps", SCHEDULE_STEPS
        # the first step pays for what is made once
        fit(start_vae(*options, experiment=experiment), WallClock(0.1))
        cli = start_vae(*options, experiment=experiment)
        torch.manual_seed(0)
        steps = fit(cli, clock)
        return TimedRun(cli.model.eval(), cli.datamodule, steps)

    return train
