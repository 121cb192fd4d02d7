"""A trial's command line and what is read of its run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.sweeps.trial_process import metric_history, trial_command


def test_the_command_line_is_the_one_of_wandb_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILE", "vae.yaml")
    command = ["lightning", "fit", "--config", "${envvar:FILE}", "${args}", "${interpreter}"]
    words = trial_command(command, {"model.init_args.beta": 0.3, "data.release": "mini"}, ["--run_id=a"])
    start = [sys.executable, "-m", "lightning_modules", "fit", "--config", "vae.yaml"]
    args = ["--model.init_args.beta=0.3", "--data.release=mini"]
    assert words == [*start, *args, sys.executable, "--run_id=a"]


def test_values_are_read_while_they_are_written(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics/version_0/metrics.csv"
    metrics.parent.mkdir(parents=True)
    assert metric_history(tmp_path, "val/loss") == []
    metrics.write_text("step,val/loss\n1,0.5\n2,\n3,nan\n4,")
    assert metric_history(tmp_path, "val/loss")[0] == 0.5
    assert np.isnan(metric_history(tmp_path, "val/loss")[1])
    assert len(metric_history(tmp_path, "val/loss")) == 2
