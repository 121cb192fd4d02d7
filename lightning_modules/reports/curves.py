"""Curves of a run's logged values."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_INCHES = (4.0, 2.4)


class Curve(NamedTuple):
    """A logged value over training; `values[i]` was logged at `steps[i]`."""

    steps: list[int]
    values: list[float]


def read_curves(path: Path, names: Iterable[str]) -> dict[str, Curve]:
    """Columns of a run's `metrics.csv`, as Lightning's CSVLogger writes it, less the rows without a value.

    Raises:
        ValueError: If the file has no such column.
    """
    curves = {name: Curve([], []) for name in names}
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        if missing := curves.keys() - set(rows.fieldnames or ()):
            raise ValueError(f"{path} has no column {sorted(missing)}; it has {rows.fieldnames}")
        for row in rows:
            for name, curve in curves.items():
                if row[name]:
                    curve.steps.append(int(row["step"]) + 1)
                    curve.values.append(float(row[name]))
    return curves


def curves_figure(panels: Mapping[str, Mapping[str, Curve]], log_scaled: Iterable[str] = ()) -> "Figure":
    """Panels side by side over one axis of training steps.

    Args:
        panels: Title of each panel -> label of each line -> its curve.
        log_scaled: Titles of the panels with a logarithmic axis.

    Returns:
        A figure that no pyplot state holds; `figure.savefig(path)` writes it.
    """
    from matplotlib.figure import Figure

    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(panels), height), dpi=100, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, curves) in zip(axes, panels.items(), strict=True):
        for label, (steps, values) in curves.items():
            panel.plot(steps, values, label=label, linewidth=1.2, marker="." if len(steps) < 30 else None)
        panel.set_title(title, loc="left", fontsize=9)
        panel.set_xlabel("step", fontsize=8)
        panel.set_yscale("log" if title in log_scaled else "linear")
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
        if len(curves) > 1:
            panel.legend(fontsize=8, frameon=False)
    return figure
