"""A W&B sweep file, and W&B's own engine (the package `sweeps`) to search by it."""

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightning_modules.errors import SweepError
from lightning_modules.sweeps.journal import FAILED, RUNNING, Trial


@dataclass(frozen=True)
class SweepPlan:
    """A sweep file that was checked.

    Attributes:
        name: What it is called; the file's name if it does not say.
        config: Its content.
    """

    name: str
    config: dict[str, Any]

    @property
    def metric(self) -> str:
        """Logged name of the figure that is optimised."""
        return str(self.config["metric"]["name"])

    @property
    def maximizes(self) -> bool:
        """Whether larger is better."""
        return bool(self.config["metric"].get("goal", "minimize") == "maximize")

    @property
    def parameters(self) -> list[str]:
        """Names of the options that are varied."""
        space = self.config["parameters"]
        return [name for name, description in space.items() if "value" not in description]

    def best(self, values: Sequence[float]) -> float | None:
        """The best of the finite values; None if there is none."""
        finite = [value for value in values if np.isfinite(value)]
        return (max if self.maximizes else min)(finite, default=None)

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` beats `other`."""
        return value > other if self.maximizes else value < other


def load_sweep(path: Path) -> SweepPlan:
    """Read and check a sweep file.

    Raises:
        SweepError: If it cannot be read, breaks W&B's schema, or lacks what a sweep on this machine needs.
    """
    import yaml  # type: ignore[import-untyped]  # ships no type information

    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SweepError(
            f"The sweep file {path} cannot be read ({error})", "give a W&B sweep file"
        ) from error
    problems = _violations(config) if isinstance(config, dict) else ["it is not a mapping"]
    if not problems:
        problems = [f"it has no {key!r}" for key in ("command", "metric", "parameters") if key not in config]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise SweepError(
            f"The sweep file {path} cannot be used:\n{listed}",
            "see https://docs.wandb.ai/guides/sweeps/sweep-config-keys, or start from experiments/sweeps",
        )
    return SweepPlan(str(config.get("name", path.stem)), config)


def _violations(config: dict[str, Any]) -> list[str]:
    _check_engine()
    from sweeps.config import schema_violations_from_proposed_config
    from sweeps.config.schema import validator

    broken = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(config)]
    if broken:  # the same with the place of each
        return broken
    try:
        return list(schema_violations_from_proposed_config(config))
    except (ValueError, KeyError, TypeError) as error:
        return [str(error)]


def _check_engine() -> None:
    try:
        with warnings.catch_warnings():
            # the engine is written for an older pydantic, which still works:
            # https://github.com/wandb/sweeps/blob/master/src/sweeps/run.py
            warnings.simplefilter("ignore")
            import sweeps  # noqa: F401
    except ImportError as error:
        raise SweepError(
            f"W&B's search engine cannot be imported ({error})",
            "install it with this project's extra: pip install -e '.[sweeps]'",
        ) from error


def suggest(plan: SweepPlan, trials: Sequence[Trial], seed: int) -> dict[str, Any] | None:
    """What to try next.

    Args:
        plan: The sweep.
        trials: Those that ended.
        seed: Together with the number of trials it decides the random numbers, so that a sweep that was
            killed goes on as if it had not been.

    Returns:
        Value of each option; None if a grid has been searched through.
    """
    # the engine would import this late, and what it imports draws from the generators that are seeded below
    import sweeps.bayes_search  # noqa: F401
    from sweeps import next_run

    known = [run for trial in trials if (run := _as_run(plan, trial)) is not None]
    with _random_numbers(seed, len(trials)):
        suggestion = next_run(plan.config, known)
    if suggestion is None:
        return None
    return {name: _plain(entry["value"]) for name, entry in suggestion.config.items()}


def should_stop(plan: SweepPlan, trials: Sequence[Trial], running: Trial) -> bool:
    """Whether the engine's Hyperband would end `running`, given the histories of all."""
    if "early_terminate" not in plan.config:
        return False
    from sweeps import stop_runs

    runs = [_as_run(plan, trial, search=False) for trial in [*trials, running]]
    return any(run.name == running.run_id for run in stop_runs(plan.config, [run for run in runs if run]))


def _as_run(plan: SweepPlan, trial: Trial, search: bool = True) -> Any:  # noqa: ANN401 (imported late)
    """A trial as the engine sees it; None if its options lie outside the space that is searched."""
    from sweeps import RunState, SweepRun

    states = {RUNNING: RunState.running, FAILED: RunState.failed}
    run = SweepRun(
        name=trial.run_id,
        state=states.get(trial.state, RunState.finished),
        config={name: {"value": value} for name, value in trial.parameters.items()},
        history=[{plan.metric: value} for value in trial.history],
    )
    return run if not search or _is_in_space(plan, run) else None


def _is_in_space(plan: SweepPlan, run: Any) -> bool:  # noqa: ANN401 (imported late)
    from sweeps.params import HyperParameterSet

    if any(name not in run.config for name in plan.parameters):
        return False
    try:
        space = HyperParameterSet.from_config(plan.config["parameters"])
        position = np.asarray(space.normalize_runs_as_array([run]), dtype=float)
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    return bool(np.isfinite(position).all() and (position >= 0).all() and (position <= 1).all())


@contextmanager
def _random_numbers(seed: int, position: int) -> Iterator[None]:
    """Within, the global generators, which the engine draws from, depend on the arguments alone."""
    states = random.getstate(), np.random.get_state()
    random.seed(f"{seed} {position}")
    np.random.seed([seed, position])
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _plain(value: Any) -> Any:  # noqa: ANN401 (a value of any option)
    return value.item() if isinstance(value, np.generic) else value
