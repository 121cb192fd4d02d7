"""Results of a sweep: a table, a CSV file, plots of options against the metric."""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.files import whole_file
from lightning_modules.sweeps.local_sweep import options_of, short_name
from lightning_modules.sweeps.search import DEFAULT, STATES, ended_trials
from lightning_modules.sweeps.sweep_file import SweepPlan

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial
    from rich.table import Table


def verdict(plan: SweepPlan, study: "optuna.Study") -> str:
    """Whether the search found better options than the default ones, in one sentence."""
    default = study.trials[DEFAULT].user_attrs["outcome"]["value"]
    tried = [trial for trial in ranked(plan, study) if trial.number != DEFAULT and _value(trial) is not None]
    if not tried:
        return f"No trial gave a value; the default has {plan.metric} {default:.4g}."
    number, value = tried[0].number, tried[0].user_attrs["outcome"]["value"]
    if value > default if plan.maximizes else value < default:
        return (
            f"Better than the default: trial {number} with {plan.metric} {value:.4g} against "
            f"{default:.4g} ({abs(value - default) / abs(default):.0%})."
        )
    return (
        f"No trial was better than the default's {plan.metric} {default:.4g}; the best was trial "
        f"{number} with {value:.4g}. More trials or a longer budget may find better."
    )


def ranked(plan: SweepPlan, study: "optuna.Study") -> "list[FrozenTrial]":
    """Trials that ended, the best first; those without a value last."""
    trials = ended_trials(study)
    with_value = [trial for trial in trials if _value(trial) is not None]
    ordered = sorted(with_value, key=lambda trial: _value(trial) or 0.0, reverse=plan.maximizes)
    return [*ordered, *(trial for trial in trials if _value(trial) is None)]


def _value(trial: "FrozenTrial") -> float | None:
    """The best value of a trial, also of one that was stopped."""
    value: float | None = trial.user_attrs["outcome"]["value"]
    return value


def results_table(plan: SweepPlan, study: "optuna.Study") -> "Table":
    """For the terminal: the best first, with the options that were varied; made to fit 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    heads = ["trial", plan.metric, "state", "s", *shortest_names(plan.space)]
    table = Table(*(_broken(head) for head in heads), box=SIMPLE_HEAD, padding=0, show_edge=False)
    for trial in ranked(plan, study):
        outcome, options = trial.user_attrs["outcome"], options_of(trial)
        name = "default" if trial.number == DEFAULT else str(trial.number)
        known = [name, _shown(outcome["value"]), STATES[outcome["state"]], f"{outcome['seconds']:.0f}"]
        table.add_row(*known, *(_shown(options.get(name)) for name in plan.space))
    return table


def shortest_names(names: Collection[str]) -> list[str]:
    """Options by their last part, `lr`, where no other ends in it; else with what leads to it."""
    lasts = Counter(name.rpartition(".")[2] for name in names)
    return [last if lasts[last := name.rpartition(".")[2]] == 1 else short_name(name) for name in names]


def write_results(plan: SweepPlan, study: "optuna.Study", path: Path) -> None:
    """Write all trials that ended as CSV, the best first."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["trial", "run_id", "state", plan.metric, "seconds", "reason", *plan.space])
    for trial in ranked(plan, study):
        outcome, options = trial.user_attrs["outcome"], options_of(trial)
        known = [trial.number, outcome["run_id"], STATES[outcome["state"]]]
        known += [outcome[name] for name in ("value", "seconds", "reason")]
        writer.writerow([*known, *(options.get(name) for name in plan.space)])
    with whole_file(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8")


def draw(plan: SweepPlan, study: "optuna.Study", folder: Path) -> list[Path]:
    """Optuna's own pictures as PNG in `folder`.

    Returns:
        The files: options against the metric, all at once and one by one, the metric over trials, and over
        the validations of each trial.
    """
    import matplotlib

    matplotlib.use("agg")  # no window, and no other that a `matplotlibrc` in the working folder names
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as pictures

    drawn: dict[str, Callable[[optuna.Study], Any]] = {
        "parallel_coordinates": pictures.plot_parallel_coordinate,
        "slices": pictures.plot_slice,
        "history": pictures.plot_optimization_history,
        "validations": pictures.plot_intermediate_values,
    }
    paths = []
    for name, function in drawn.items():
        with warnings.catch_warnings():
            # the functions are marked as experimental:
            # https://optuna.readthedocs.io/en/stable/reference/visualization/matplotlib
            warnings.simplefilter("ignore")
            made = function(study)
            figure = getattr(made, "figure", None) or made[0].figure
            figure.set_size_inches(max(1.7 * len(plan.space), 6.0), 4.5)
            with whole_file(folder / f"{name}.png") as part:
                figure.savefig(part, format="png", bbox_inches="tight")
        plt.close(figure)
        paths.append(folder / f"{name}.png")
    return paths


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _broken(head: str) -> str:
    """A column's head over several lines."""
    return re.sub(r"(?<=[/._])", "\n", head)
