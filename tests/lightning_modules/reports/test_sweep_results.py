"""What a sweep says at its end."""

import csv
from pathlib import Path

import pytest
from lightning_modules.sweeps.journal import Trial

from lightning_modules.reports.sweep_results import (
    AxisScale,
    parallel_coordinates,
    results_table,
    shortest_names,
    verdict,
    write_results,
)
from lightning_modules.sweeps.search import SweepPlan

SPACE = {
    "model.init_args.lr": {"min": 1e-4, "max": 1e-2},
    "kind": {"values": ["a", "b"]},
    "fixed": {"value": 1},
}


def plan(goal: str = "minimize") -> SweepPlan:
    return SweepPlan("demo", {"metric": {"name": "val/x", "goal": goal}, "parameters": SPACE})


def trial(number: int, value: float | None, lr: float = 1e-3, kind: str = "a") -> Trial:
    state = "failed" if value is None else "finished"
    options = {"model.init_args.lr": lr, "kind": kind}
    return Trial(number, options, f"trial_{number}", state, [], value, 3.0)


TRIALS = [trial(0, 4.0), trial(1, 5.0, 1e-4), trial(2, 3.0, 1e-2, "b"), trial(3, None)]


def test_the_verdict_compares_with_the_default() -> None:
    assert verdict(plan(), TRIALS) == "Better than the default: trial 2 with val/x 3 against 4 (25%)."
    assert verdict(plan("maximize"), TRIALS).startswith(
        "Better than the default: trial 1 with val/x 5 against 4"
    )
    worse = verdict(plan(), TRIALS[:2])
    assert worse.startswith("No trial was better than the default's val/x 4; the best was trial 1 with 5.")
    assert verdict(plan(), [TRIALS[0], TRIALS[3]]) == "No trial gave a value; the default has val/x 4."
    assert verdict(plan(), TRIALS[1:]) == "The default config gave no value to compare with."


@pytest.mark.parametrize(("goal", "order"), [("minimize", "2013"), ("maximize", "1023")])
def test_the_best_comes_first_and_failures_last(tmp_path: Path, goal: str, order: str) -> None:
    write_results(plan(goal), TRIALS, tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert "".join(row["trial"] for row in rows) == order
    best = next(row for row in rows if row["trial"] == "2")
    assert (best["val/x"], best["model.init_args.lr"], best["kind"]) == ("3.0", "0.01", "b")
    table = results_table(plan(goal), TRIALS)
    assert [column.header for column in table.columns] == ["trial", "val/\nx", "state", "s", "lr", "kind"]
    assert table.row_count == 4


def test_names_are_short_where_that_is_clear() -> None:
    names = ["model.init_args.optimizer.init_args.lr", "model.init_args.kl_weight.init_args.warmup_steps"]
    assert shortest_names(names) == ["lr", "warmup_steps"]
    names.append("model.init_args.lr_scheduler.init_args.warmup_steps")
    assert shortest_names(names) == ["lr", "kl_weight.warmup_steps", "lr_scheduler.warmup_steps"]


def test_axes_are_logarithmic_where_values_span_decades() -> None:
    scale = AxisScale([1e-4, 1e-3, 1e-2])
    assert scale.is_logarithmic
    assert [scale.height(value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0.0, 0.5, 1.0])
    linear = AxisScale([0.0, 5.0, 10.0])
    assert not linear.is_logarithmic
    assert linear.height(2.5) == 0.25
    assert AxisScale([7, 7]).height(7) == 0.5
    names = AxisScale(["b", "a", "c"])
    assert [names.height(name) for name in "abc"] == [0.0, 0.5, 1.0]


def test_a_line_for_each_trial_with_a_value_meets_the_axes_at_its_values() -> None:
    figure = parallel_coordinates(plan(), TRIALS)
    (axes,) = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(lines) == 3
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert len(dashed) == 1, "the default"
    x, y = dashed[0].get_data()
    heights = [y[list(x).index(place)] for place in (0, 1, 2)]
    assert heights == pytest.approx([0.5, 0.0, 0.5])  # lr in the middle of two decades, kind a, 4 of 3 … 5
    best = lines[-1].get_ydata()
    assert (best[0], best[-1]) == (1.0, 0.0), "drawn last: the best, at the bottom of the metric's axis"
