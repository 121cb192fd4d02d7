"""A name that nothing gives is doubted at the start; names that are given are not."""

from pathlib import Path

import pytest
import yaml
from toy_experiment import ToyModule

from lightning_modules.training.monitor import doubt_of_monitor

EXPERIMENTS = sorted((Path(__file__).parents[3] / "experiments").glob("*.yaml"))
MODULES = ("vae", "wavegan", "transcriber", "note_prior", "callbacks.evaluation", "callbacks")


@pytest.fixture(autouse=True)
def imported() -> None:
    """As after `lightning fit` has built everything."""
    for name in MODULES:
        __import__(f"lightning_modules.{name}")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_are_believed(path: Path) -> None:
    monitor = yaml.safe_load(path.read_text())["checkpoint"]["monitor"]
    assert doubt_of_monitor(monitor, [], "") is None
    stage, _, figure = monitor.partition("/")
    doubt = doubt_of_monitor(f"{stage}/{figure[:-1]}x", [], f"monitor: {stage}/{figure[:-1]}x")
    assert doubt is not None and f"speaks of '{figure[:-1]}x'" in doubt


@pytest.mark.parametrize(
    "monitor", ["val/transcriber_note_f_score", "val/elbo_nats_per_second", "val/si_sdr"]
)
def test_other_figures_are_believed(monitor: str) -> None:
    assert doubt_of_monitor(monitor, [], "") is None


def test_the_source_of_the_model_and_the_options_count() -> None:
    assert doubt_of_monitor("val/kill_at_step", [ToyModule(8000, 100)], "") is None
    assert doubt_of_monitor("val/purple", [ToyModule(8000, 100)], "metrics: {purple: own.Metric}") is None
    assert (
        doubt_of_monitor("val/purple", [ToyModule(8000, 100)], "checkpoint: {monitor: val/purple}")
        is not None
    )


def test_the_hint() -> None:
    doubt = doubt_of_monitor("val/log_mel_distanse", [], "")
    assert doubt is not None and doubt.endswith("did you mean 'log_mel_distance'?")
