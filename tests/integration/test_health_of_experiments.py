"""The shipped experiments are healthy: `Health` has nothing to say in their first 200 steps."""

import json
from pathlib import Path

import pytest

from lightning_modules.cli import main

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "wavegan", "wavegan_conditional"])
def test_a_healthy_run_trips_nothing(tmp_path, capsys, name):
    options = ["--trainer.max_steps=201", "--trainer.val_check_interval=100", "--trainer.accelerator=cpu"]
    main(["fit", f"--config={EXPERIMENTS}/{name}.yaml", f"--runs_dir={tmp_path}", "--run_id=one", *options])
    assert json.loads((tmp_path / name / "one" / "health.json").read_text()) == []
    assert "health: step" not in capsys.readouterr().out
