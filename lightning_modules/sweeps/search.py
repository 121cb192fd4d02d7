"""A sweep's Optuna study: trials in a journal file, the next options, and trials to stop early."""

import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from datamodules.files import read_limited
from lightning_modules.errors import SweepError
from lightning_modules.sweeps.sweep_file import SweepPlan, choice, grid_side

DEFAULT = 0
"""Number of the trial that leaves all options as they are."""
STATES = {"COMPLETE": "finished", "PRUNED": "stopped", "FAIL": "failed"}
"""How a trial ends, in Optuna's words and in those that are shown."""
LARGEST_BYTES = 2**26
"""Of a journal."""
LARGEST_STEP = 10**9
FIRST_AT_RANDOM = 4
"""So many trials before the Bayesian search; Optuna's own choice, 10, is more than many local sweeps have."""
_RUNG = re.compile(r"completed_rung_\d+")
"""What the pruner notes of a trial."""


def open_study(plan: SweepPlan, journal: Path) -> optuna.Study:
    """The study whose trials are kept in `journal`, begun if there is no such file.

    A line that a kill cut off is dropped. No other process may have the file open.

    Raises:
        SweepError: If the file is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if os.path.lexists(journal):
            _mend(journal)
        journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)  # of a process that was killed
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name="sweep",
            direction="maximize" if plan.maximizes else "minimize",
            load_if_exists=True,
        )
    except SweepError:
        raise
    except Exception as error:  # whatever lines that Optuna never wrote make it raise
        raise _damaged(journal, f"{type(error).__name__}: {error}") from error


def _mend(journal: Path) -> None:
    content = read_limited(journal, LARGEST_BYTES)
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged(journal, f"line {number}: {error}") from error
    if len(whole) < len(content):
        os.truncate(journal, len(whole))


def check_trials(plan: SweepPlan, study: optuna.Study, journal: Path) -> None:
    """Make sure that the trials in a journal are such as this sweep makes, whoever wrote it.

    Raises:
        SweepError: Naming the first that is not.
    """
    place = "the study"
    try:
        direction = StudyDirection.MAXIMIZE if plan.maximizes else StudyDirection.MINIMIZE
        _require(study.directions == [direction] and study.metric_names is None, "is of another kind")
        for trial in study.get_trials(deepcopy=False):
            place = f"trial {trial.number}"
            _check_trial(plan, trial)
    except Exception as error:  # whatever stands where something else belongs
        raise _damaged(journal, f"{place}: {type(error).__name__}: {error}") from error


def _check_trial(plan: SweepPlan, trial: FrozenTrial) -> None:
    """Raise an error, of any kind, unless search, pictures and tables can work with a trial."""
    # what the sampler notes there is for other processes that ask at the same time
    marks = {name: value for name, value in trial.system_attrs.items() if not name.startswith("tpe:")}
    for options in (trial.params, marks.pop("fixed_params", {})):
        distributions = {name: plan.space[name] for name in options}
        create_trial(state=trial.state, values=trial.values, params=options, distributions=distributions)
        _require(options is not trial.params or distributions == trial.distributions, "searched elsewhere")
    _require(all(map(_RUNG.fullmatch, marks)), f"has the attributes {[*marks]}")
    seen = trial.intermediate_values
    _require(all(type(step) is int and 0 < step <= LARGEST_STEP for step in seen), "has no such validations")
    numbers = [*(trial.values or []), *seen.values(), *marks.values()]
    _require(all(type(number) in (int, float) for number in numbers), "has values that are no numbers")
    outside = trial.user_attrs.get("outside", {})
    _require(isinstance(outside, dict) and outside.keys() <= plan.space.keys(), "has options that are none")
    has_ended = "outcome" in trial.user_attrs
    if has_ended:
        _check_outcome(trial.user_attrs["outcome"])
    if trial.number == DEFAULT:
        _require(has_ended and trial.state == TrialState.COMPLETE, "the default has not ended")


def _check_outcome(outcome: dict[str, Any]) -> None:
    value, state = outcome["value"], outcome["state"]
    _require(state in STATES and isinstance(outcome["run_id"], str), "has no such outcome")
    _require(0 <= outcome["seconds"] < math.inf, "has taken no such time")
    _require(isinstance(outcome["reason"], str | None), "has no such reason")
    is_number = isinstance(value, int | float) and math.isfinite(value)
    _require(is_number or (value is None and state != "COMPLETE"), f"has the value {value!r:.40}")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _damaged(journal: Path, how: str) -> SweepError:
    return SweepError(
        f"The journal {journal} is damaged ({how})",
        "take the file from a copy if there is one, or start the sweep anew with another --name",
    )


def finished_default(
    plan: SweepPlan, options: dict[str, Any], values: Sequence[float], outcome: dict[str, Any]
) -> FrozenTrial:
    """The trial with the default options, to be enqueued before all others.

    Options that lie outside the space are kept as attributes alone: the search cannot learn from them.

    Args:
        plan: The sweep.
        options: The default options, of those that are varied.
        values: The metric at each validation.
        outcome: As for `finish`.
    """
    inside = {name: choice(value) for name, value in options.items() if _is_inside(plan, name, value)}
    outside = {name: value for name, value in options.items() if name not in inside}
    return create_trial(
        value=outcome["value"],
        params=inside,
        distributions={name: plan.space[name] for name in inside},
        intermediate_values=dict(enumerate(values, start=1)),
        user_attrs={"outside": outside, "outcome": outcome},
    )


def _is_inside(plan: SweepPlan, name: str, value: object) -> bool:
    try:
        create_trial(value=0.0, params={name: choice(value)}, distributions={name: plan.space[name]})
    except (TypeError, ValueError):
        return False
    return True


def ask(plan: SweepPlan, study: optuna.Study, seed: int) -> Trial | None:
    """The trial to run now, which waits in the queue or is chosen by the search.

    Args:
        plan: The sweep.
        study: Its trials.
        seed: Together with the number of trials it decides the random numbers, so that a sweep that was
            killed goes on as if it had not been.

    Returns:
        The trial, whose `params` are its options; None if a grid has been searched through.
    """
    is_waiting = bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
    if plan.method == "grid" and not is_waiting:
        tried = [trial.params for trial in ended_trials(study)]
        left = (each for each in _grid(plan) if each not in tried)
        if (chosen := next(left, None)) is None:
            return None
        study.enqueue_trial(chosen)
    study.sampler = _sampler(
        plan, int(np.random.SeedSequence([seed, len(ended_trials(study))]).generate_state(1)[0])
    )
    return study.ask(plan.space)


def _sampler(plan: SweepPlan, seed: int) -> BaseSampler:
    if plan.method == "random":
        return RandomSampler(seed)
    return TPESampler(n_startup_trials=FIRST_AT_RANDOM, seed=seed)


def _grid(plan: SweepPlan) -> Iterator[dict[str, Any]]:
    """All points of the space, whose options `load_sweep` has found countable."""
    sides = [grid_side(side) for side in plan.space.values()]
    return (dict(zip(plan.space, point, strict=True)) for point in itertools.product(*sides))


def make_pruner(plan: SweepPlan) -> BasePruner:
    """Hyperband with the numbers of the sweep file's `early_terminate`; without it, one that ends nothing.

    A bracket of W&B begins at `min_iter` validations, or at `max_iter` / `eta` ** `s`.
    """
    early = plan.config.get("early_terminate")
    if early is None:
        return NopPruner()
    eta = int(early.get("eta", 3))
    if "min_iter" in early:
        return HyperbandPruner(min_resource=int(early["min_iter"]), reduction_factor=eta)
    least = max(1, int(early["max_iter"]) // eta ** int(early["s"]))
    return HyperbandPruner(least, int(early["max_iter"]), reduction_factor=eta)


def report(study: optuna.Study, trial: Trial, values: Sequence[float], pruner: BasePruner) -> bool:
    """Note the values that are new since the last call.

    Args:
        study: The trials.
        trial: The one that runs.
        values: The metric at each of its validations so far.
        pruner: Judges at every validation, also after the end: later trials are compared with what it saw.

    Returns:
        Whether the trial has fallen behind.
    """
    has_lost = False
    known = len(study.trials[trial.number].intermediate_values)
    for step, value in list(enumerate(values, start=1))[known:]:
        trial.report(value, step)
        has_lost |= pruner.prune(study, study.trials[trial.number])
    return has_lost


def finish(study: optuna.Study, trial: Trial, outcome: dict[str, Any]) -> None:
    """Note how a trial ended, in one line of the journal, and close it.

    Args:
        study: The trials.
        trial: One of them.
        outcome: `state`, the name of one of Optuna's; `value`, `seconds` and `reason`.
    """
    trial.set_user_attr("outcome", outcome)
    close(study, trial.number, outcome)


def close(study: optuna.Study, number: int, outcome: dict[str, Any]) -> None:
    """Tell Optuna what has been noted already."""
    state = TrialState[outcome["state"]]
    study.tell(number, outcome["value"] if state == TrialState.COMPLETE else None, state)


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that need not run again, by number: finished, stopped early or failed, but not cut off."""
    return [
        trial for trial in study.get_trials() if trial.state.is_finished() and "outcome" in trial.user_attrs
    ]


def repeat_cut_off(study: optuna.Study) -> None:
    """Enqueue the trials again that a kill left running."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if outcome := trial.user_attrs.get("outcome"):
            close(study, trial.number, outcome)
            continue
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def best(plan: SweepPlan, values: Sequence[float]) -> float | None:
    """The best of the finite values; None if there is none."""
    finite = [value for value in values if np.isfinite(value)]
    return (max if plan.maximizes else min)(finite, default=None)
