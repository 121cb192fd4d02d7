"""Training curves: from the run's CSV files to lines that a page can draw."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lightning_modules.runs.folder import numbered
from lightning_modules.runs.metrics import METRICS_PATTERN, read_rows

STAGES = ("train", "val")
MAX_POINTS = 240
FIRST = re.compile("loss|distance|frechet")
"""Charts that are looked at first."""
WIDTH, HEIGHT = 560.0, 200.0
"""Plot area of a chart in its own units."""
LOG_FROM_RATIO = 30.0
MINUS = "\N{MINUS SIGN}"


class Curve(NamedTuple):
    """A logged value over training.

    Attributes:
        steps: In ascending order.
        values: Finite numbers, one for each step.
    """

    steps: list[int]
    values: list[float]


@dataclass(frozen=True)
class Line:
    """A curve as it is drawn.

    Attributes:
        run: Number of the run, which gives the colour.
        label: What the legend says.
        stage: `train` or `val`, which gives the style.
        path: SVG path within `WIDTH` x `HEIGHT`.
        points: Steps and values that the path goes through.
        last: Last value.
    """

    run: int
    label: str
    stage: str
    path: str
    points: Curve
    last: float


class Tick(NamedTuple):
    """A label of an axis, and where it is: 0 at the left or bottom, 1 at the right or top."""

    text: str
    place: float


@dataclass(frozen=True)
class Chart:
    """Curves of one name: of training and validation, and of all runs.

    Attributes:
        name: Logged name without its stage.
        lines: What is drawn.
        x_ticks: Steps.
        y_ticks: Values.
        is_log: Whether the values' axis is logarithmic.
        first_step: Step at the left edge.
        last_step: Step at the right edge.
    """

    name: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    is_log: bool
    first_step: int
    last_step: int

    @property
    def is_validated(self) -> bool:
        """Whether it shows a curve of validation."""
        return any(line.stage == "val" for line in self.lines)


def read_curves(run: Path) -> dict[str, Curve]:
    """Curves of a run's folder, over all times that it was continued; a later value of a step replaces it.

    Returns:
        Logged name -> curve. Empty if the run kept no CSV.

    Raises:
        RunError: If a file is damaged.
    """
    found: dict[str, dict[int, float]] = {}
    for path in numbered(run, METRICS_PATTERN):
        for row in read_rows(path)[1]:
            _add_row(found, row)
    return {
        name: Curve(sorted(points), [points[step] for step in sorted(points)])
        for name, points in sorted(found.items())
    }


def _add_row(found: dict[str, dict[int, float]], row: Mapping[str, str]) -> None:
    for name, text in row.items():
        value = _number(text) if name not in ("step", "epoch") else None
        if value is not None:
            found.setdefault(name, {})[int(row["step"])] = value


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def make_charts(runs: Sequence[Mapping[str, Curve]], labels: Sequence[str]) -> list[Chart]:
    """One chart for each logged name of training and validation; validated ones first.

    Args:
        runs: Curves of each run.
        labels: Name of each run; not shown if there is one run only.
    """
    names = sorted({name.partition("/")[2] for curves in runs for name in curves if _stage(name)})
    charts = [chart for name in names if (chart := _chart(name, runs, labels)) is not None]
    return sorted(charts, key=lambda chart: (not chart.is_validated, not FIRST.search(chart.name)))


def _stage(name: str) -> str | None:
    stage = name.partition("/")[0]
    return stage if stage in STAGES and "/" in name else None


def _chart(name: str, runs: Sequence[Mapping[str, Curve]], labels: Sequence[str]) -> Chart | None:
    curves = [
        (number, stage, _thinned(curves[f"{stage}/{name}"]))
        for number, curves in enumerate(runs)
        for stage in STAGES
        if f"{stage}/{name}" in curves
    ]
    steps = [step for _, _, curve in curves for step in curve.steps]
    first, last = min(steps), max(steps)
    if first == last:
        return None  # a single point is no curve
    axis = ValueAxis.of([value for _, _, curve in curves for value in curve.values])
    lines = [
        Line(
            run=number,
            label=stage if len(runs) == 1 else f"{labels[number]}, {stage}",
            stage=stage,
            path=_path(curve, first, last, axis),
            points=curve,
            last=curve.values[-1],
        )
        for number, stage, curve in curves
    ]
    x_ticks = tuple(Tick(shown(step), (step - first) / (last - first)) for step in step_ticks(first, last))
    return Chart(name, tuple(lines), x_ticks, axis.ticks(), axis.is_log, first, last)


def step_ticks(first: int, last: int) -> list[int]:
    """About five whole numbers from `first` to `last`."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(6, steps=[1, 2, 5, 10], integer=True).tick_values(first, last)
    return [int(tick) for tick in ticks if first <= tick <= last]


def _thinned(curve: Curve) -> Curve:
    """At most about `MAX_POINTS` points: means of neighbours."""
    width = -(-len(curve.steps) // MAX_POINTS)
    groups = [slice(start, start + width) for start in range(0, len(curve.steps), width)]
    means = [sum(curve.values[group]) / len(curve.values[group]) for group in groups]
    values = [float(f"{mean:.5g}") for mean in means]  # the page would grow by digits that nobody sees
    return Curve([curve.steps[group][-1] for group in groups], values)


def _path(curve: Curve, first: int, last: int, axis: "ValueAxis") -> str:
    points = [
        f"{(step - first) / (last - first) * WIDTH:.1f} {(1 - axis.place(value)) * HEIGHT:.1f}"
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]
    # a stroke of no length but with round caps shows a lone point as a dot
    return "M" + "L".join(points if len(points) > 1 else points * 2)


@dataclass(frozen=True)
class ValueAxis:
    """Where values lie between the bottom (0) and the top (1) of a chart."""

    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> "ValueAxis":
        """Axis on which all but the most extreme hundredth of `values` lie; logarithmic for wide ranges."""
        ordered = sorted(values)
        low, high = ordered[len(ordered) // 100], ordered[-1 - len(ordered) // 100]
        is_log = low > 0 and high / low > LOG_FROM_RATIO
        if is_log:
            return cls(low / 1.15, high * 1.15, is_log)
        margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low - margin, high + margin, is_log)

    def place(self, value: float) -> float:
        """0 at the bottom, 1 at the top; values beyond lie a little outside."""
        if self.is_log:
            value, low, high = (math.log(max(x, 1e-300)) for x in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), -0.1), 1.1)

    def ticks(self) -> tuple[Tick, ...]:
        """About five round values."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        # in a narrow range, also 2 and 5 times powers of ten
        factors = (1.0, 2.0, 5.0) if self.is_log and self.high / self.low < 100.0 else (1.0,)
        locator = LogLocator(subs=factors) if self.is_log else MaxNLocator(6, steps=[1, 2, 5, 10])
        values = [float(value) for value in locator.tick_values(self.low, self.high)]
        return tuple(
            Tick(shown(value), self.place(value)) for value in values if self.low <= value <= self.high
        )


def shown(value: float) -> str:
    """A number at an axis: at most three significant digits, `k` and `M` for long ones, a true minus sign."""
    size = abs(value)
    if value != 0 and not 1e-3 <= size < 1e9:
        text = f"{value:.1e}"
    elif size >= 9995:
        text = f"{value / 1e6:.3g}M" if size >= 999.5e3 else f"{value / 1e3:.3g}k"
    else:
        text = f"{value:,.0f}" if size >= 999.5 else f"{value:.3g}"
    return text.replace("-", MINUS)


def figure(value: float | None) -> str:
    """A number in a table: three significant digits, also where they are zeros; an en dash for none."""
    if value is None:
        return "\N{EN DASH}"
    if value == 0 or not 1e-3 <= abs(value) < 1e9:
        return shown(value)
    text = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}"
    return text.replace("-", MINUS)
