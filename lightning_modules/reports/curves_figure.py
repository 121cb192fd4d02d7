"""Curves of training as a picture."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_INCHES = (4.0, 2.4)
FEW_POINTS = 30
"""A curve of fewer points than this shows them."""


def curves_figure(
    panels: Mapping[str, tuple[Sequence[int], Sequence[float]]], log_scaled: Iterable[str] = ()
) -> "Figure":
    """Panels side by side, each a curve over training steps.

    Args:
        panels: Title of each panel -> steps and values of its curve.
        log_scaled: Titles of the panels whose values have a logarithmic axis.

    Returns:
        A figure that no pyplot state holds; `figure.savefig(path)` writes it.
    """
    from matplotlib.figure import Figure

    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(panels), height), dpi=100, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, (steps, values)) in zip(axes, panels.items(), strict=True):
        panel.plot(steps, values, linewidth=1.2, marker="." if len(steps) < FEW_POINTS else None)
        panel.set_title(title, loc="left", fontsize=9)
        panel.set_xlabel("step", fontsize=8)
        panel.set_yscale("log" if title in log_scaled else "linear")
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
    return figure
