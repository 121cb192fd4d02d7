"""A trial's command line and what is read of its run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.sweeps.trial_process import metric_history, run_to_end, trial_command


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


def test_what_a_planted_link_leads_to_is_not_written(tmp_path: Path) -> None:
    other, log = tmp_path / "other", tmp_path / "logs/one.log"
    other.write_text("mine")
    log.parent.mkdir()
    log.symlink_to(other)
    assert run_to_end([sys.executable, "-c", "print(7)"], log, lambda: False) == (0, False)
    assert (other.read_text(), log.read_text(), log.is_symlink()) == ("mine", "7\n", False)
