"""Strategies whose processes are started from within: from a notebook, two devices work in no other way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_experiment import ToyModule

from lightning_modules import load_module


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_two_processes_come_to_the_end(strategy: str, toy_yaml: Path, tmp_path: Path) -> None:
    here = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{here / 'toys'}:{here.parent}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lightning_modules", "fit", "--config", str(toy_yaml), "--run_id", "one"]
    options = ["--trainer.accelerator=cpu", "--trainer.devices=2", f"--trainer.strategy={strategy}"]
    run = subprocess.run(
        [*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    folder = tmp_path / "runs/toy/one"
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] > 0 and len(last["random_state"]) == 2
    assert isinstance(load_module(folder / "checkpoints/best.ckpt", trust=["toy_experiment"]), ToyModule)
    assert run.stdout.count("\nTest: ") == 1, "one process says how it ended"
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.rglob(".temp.ckpt")) and not (folder / ".lock").exists()
