"""Where a run's figures go: Weights & Biases, and a CSV file that needs nobody."""

from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from lightning_modules.runs import Run


def run_loggers(run: Run, config: dict[str, Any], tags: list[str], monitor: tuple[str | None, str]) -> list[Logger]:
    """The default loggers of a run."""
    return [CSVLogger(run.root, name="metrics")]
