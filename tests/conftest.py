"""Fixtures shared by the tests: a toy experiment that trains in a second."""

import sys
from pathlib import Path

import pytest

TOYS = Path(__file__).parent / "toys"
# `class_path: toy_experiment.ToyModule` in YAML must be importable, also by processes that the tests start
sys.path.insert(0, str(TOYS))

TOY_YAML = """
experiment: toy
model:
  class_path: toy_experiment.ToyModule
  init_args:
    network:
      class_path: toy_experiment.Scale
data:
  class_path: toy_experiment.ToyDataModule
trainer:
  accelerator: cpu
  max_epochs: 2
  log_every_n_steps: 1
  precision: ${auto_precision:}
"""


@pytest.fixture
def toy_yaml(tmp_path: Path) -> Path:
    """A complete experiment file that trains the toy model for two epochs."""
    path = tmp_path / "toy.yaml"
    path.write_text(TOY_YAML)
    return path


@pytest.fixture(autouse=True)
def wandb_stays_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach W&B, whatever account is configured on the machine."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
