"""What came out of a sweep: a table, a CSV file, a picture of options against the figure."""

import csv
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.files import whole_file
from lightning_modules.sweeps.journal import Trial
from lightning_modules.sweeps.local_sweep import DEFAULT, short_name
from lightning_modules.sweeps.search import SweepPlan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

SPREAD_FOR_LOG = 20.0
"""An axis whose largest value is so many times its smallest is drawn on a logarithmic scale."""


def verdict(plan: SweepPlan, trials: Sequence[Trial]) -> str:
    """Whether the search found better options than the default ones, in one sentence."""
    default = next((trial.value for trial in trials if trial.number == DEFAULT), None)
    tried = [trial for trial in ranked(plan, trials) if trial.number != DEFAULT and trial.value is not None]
    if default is None:
        return "The default config gave no value to compare with."
    if not tried:
        return f"No trial gave a value; the default has {plan.metric} {default:.4g}."
    best = tried[0]
    assert best.value is not None  # chosen so
    if plan.is_better(best.value, default):
        return (
            f"Better than the default: trial {best.number} with {plan.metric} {best.value:.4g} against "
            f"{default:.4g} ({abs(best.value - default) / abs(default):.0%})."
        )
    return (
        f"No trial was better than the default's {plan.metric} {default:.4g}; the best was trial "
        f"{best.number} with {best.value:.4g}. More trials or a longer budget may find better."
    )


def ranked(plan: SweepPlan, trials: Sequence[Trial]) -> list[Trial]:
    """The best first; those without a value last."""
    sign = -1.0 if plan.maximizes else 1.0
    return sorted(trials, key=lambda trial: math.inf if trial.value is None else sign * trial.value)


def results_table(plan: SweepPlan, trials: Sequence[Trial]) -> "Table":
    """For the terminal: the best first, with the options that were varied; made to fit 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    heads = ["trial", plan.metric, "state", "s", *shortest_names(plan.parameters)]
    table = Table(*(_broken(head) for head in heads), box=SIMPLE_HEAD, padding=0, show_edge=False)
    for trial in ranked(plan, trials):
        options = [_shown(trial.parameters.get(name)) for name in plan.parameters]
        name = "default" if trial.number == DEFAULT else str(trial.number)
        table.add_row(name, _shown(trial.value), trial.state, f"{trial.seconds:.0f}", *options)
    return table


def shortest_names(names: Collection[str]) -> list[str]:
    """Options by their last part, `lr`, where no other ends in it; else with what leads to it."""
    lasts = Counter(name.rpartition(".")[2] for name in names)
    return [last if lasts[last := name.rpartition(".")[2]] == 1 else short_name(name) for name in names]


def write_results(plan: SweepPlan, trials: Sequence[Trial], path: Path) -> None:
    """Write all trials as CSV, the best first."""
    text = io.StringIO()
    own = ["trial", "run_id", "state", plan.metric, "seconds", "reason"]
    writer = csv.writer(text)
    writer.writerow([*own, *plan.parameters])
    for trial in ranked(plan, trials):
        values = [trial.number, trial.run_id, trial.state, trial.value, trial.seconds, trial.reason]
        writer.writerow([*values, *(trial.parameters.get(name) for name in plan.parameters)])
    with whole_file(path) as part:
        part.write_text(text.getvalue())


def parallel_coordinates(plan: SweepPlan, trials: Sequence[Trial]) -> "Figure":
    """One vertical axis for each option and, at the right, the metric; one line for each trial.

    Lines are coloured by the metric, better ones lighter and above; the default is dashed. Trials that failed
    or that lack an option are left out.
    """
    from matplotlib.figure import Figure

    names = [*plan.parameters, plan.metric]
    rows = [
        (trial.number, [*(trial.parameters.get(name) for name in plan.parameters), trial.value])
        for trial in reversed(ranked(plan, trials))  # the best is drawn last
    ]
    rows = [(number, values) for number, values in rows if None not in values]
    figure = Figure(figsize=(max(1.7 * len(names), 6.0), 4.2), dpi=100)
    axes = figure.add_axes((0.07, 0.16, 0.86, 0.74))
    scales = [AxisScale([values[place] for _, values in rows]) for place in range(len(names))]
    for number, values in rows:
        heights = [scale.height(value) for scale, value in zip(scales, values, strict=True)]
        _draw_line(axes, heights, number == DEFAULT, is_good=_goodness(plan, heights[-1]))
    for place, (name, scale) in enumerate(zip(names, scales, strict=True)):
        _draw_axis(axes, place, short_name(name) if place < len(names) - 1 else name, scale)
    axes.set_xlim(-0.25, len(names) - 0.55)
    axes.set_ylim(-0.06, 1.06)
    axes.axis("off")
    tried = sum(number != DEFAULT for number, _ in rows)
    figure.text(0.5, 0.95, f"{plan.name}: {tried} trials; the default is dashed", ha="center", fontsize=10)
    return figure


class AxisScale:
    """Where values lie on one vertical axis, from 0 at the bottom to 1 at the top.

    Args:
        values: All that are to be shown: numbers, else anything that can be written as text.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self.is_numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        self.labels = [] if self.is_numeric else sorted({str(value) for value in values})
        numbers = [float(value) for value in values] if self.is_numeric else []
        self.low, self.high = min(numbers, default=0.0), max(numbers, default=1.0)
        self.is_logarithmic = self.low > 0 and self.high / self.low > SPREAD_FOR_LOG

    def height(self, value: Any) -> float:  # noqa: ANN401 (a value of any option)
        """Between 0 and 1; the middle if there is only one value."""
        if not self.is_numeric:
            return self.labels.index(str(value)) / max(len(self.labels) - 1, 1)
        if self.low == self.high:
            return 0.5
        low, high, here = self.low, self.high, float(value)
        if self.is_logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return (here - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Height and text of the labels."""
        if not self.is_numeric:
            return [(self.height(label), label) for label in self.labels]
        if self.low == self.high:
            return [(0.5, _shown(self.low))]
        middle = math.sqrt(self.low * self.high) if self.is_logarithmic else (self.low + self.high) / 2
        return [(self.height(value), _shown(value)) for value in (self.low, middle, self.high)]


def _goodness(plan: SweepPlan, height: float) -> float:
    return height if plan.maximizes else 1.0 - height


def _draw_line(axes: "Axes", heights: Sequence[float], is_default: bool, is_good: float) -> None:
    """Through all axes; flat where it meets them, so that lines can be told apart at a shared value."""
    import numpy as np
    from matplotlib import colormaps

    along = np.linspace(0.0, 1.0, 30)
    eased = along * along * (3 - 2 * along)  # smooth step
    x = np.concatenate([place + along for place in range(len(heights) - 1)])
    pairs = itertools.pairwise(heights)
    y = np.concatenate([start + (end - start) * eased for start, end in pairs])
    style = {"color": "black", "linestyle": "--"} if is_default else {"color": colormaps["viridis"](is_good)}
    axes.plot(x, y, linewidth=1.2 + 1.2 * is_good, alpha=0.9, **style)


def _draw_axis(axes: "Axes", place: int, name: str, scale: AxisScale) -> None:
    axes.plot([place, place], [0, 1], color="0.3", linewidth=1.0, zorder=5)
    for height, text in scale.ticks():
        axes.plot([place - 0.03, place], [height, height], color="0.3", linewidth=1.0)
        axes.text(
            place + 0.04, height, text, fontsize=7, va="center", bbox={"fc": "white", "ec": "none", "pad": 1}
        )
    suffix = " (log)" if scale.is_logarithmic else ""
    axes.text(place, -0.1, name + suffix, fontsize=7.5, ha="center", va="top", rotation=12)


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _broken(head: str) -> str:
    """A column's head over several lines."""
    return re.sub(r"(?<=[/._])", "\n", head)
