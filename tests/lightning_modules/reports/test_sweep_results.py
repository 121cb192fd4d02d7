"""What a sweep says at its end."""

import csv
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from lightning_modules.reports.sweep_results import (
    draw,
    results_table,
    shortest_names,
    verdict,
    write_results,
)
from lightning_modules.sweeps.search import ask, finish, finished_default, report
from lightning_modules.sweeps.sweep_file import SweepPlan

LR = "model.init_args.lr"
SPACE = {LR: FloatDistribution(1e-4, 1e-2, log=True), "kind": CategoricalDistribution(["a", "b"])}
VALUES = (4.0, 5.0, 3.0, None)
"""Of the default and of three trials, of which the last failed."""


def make_plan(goal: str = "minimize") -> SweepPlan:
    return SweepPlan("demo", {"method": "random", "metric": {"name": "val/x", "goal": goal}}, SPACE, {})


def make_study(plan: SweepPlan, values: tuple[float | None, ...] = VALUES) -> optuna.Study:
    study = optuna.create_study(direction="maximize" if plan.maximizes else "minimize")
    for number, value in enumerate(values):
        outcome = {"run_id": f"r{number}", "state": "FAIL" if value is None else "COMPLETE", "value": value}
        outcome |= {"seconds": 3.0, "reason": "it broke" if value is None else None}
        if number == 0:
            defaults = {LR: 5.0, "kind": "a"}
            study.add_trial(finished_default(plan, defaults, [value], outcome))
        else:
            study.enqueue_trial({LR: 1e-3 * 10 ** (number - 1) if number < 3 else 1e-4, "kind": "b"})
            trial = ask(plan, study, 0)
            report(study, trial, [value or 9.0], optuna.pruners.NopPruner())
            finish(study, trial, outcome)
    return study


def test_the_verdict_compares_with_the_default() -> None:
    def say(goal: str, *values: float | None) -> str:
        return verdict(make_plan(goal), make_study(make_plan(goal), values))

    assert say("minimize", *VALUES) == "Better than the default: trial 2 with val/x 3 against 4 (25%)."
    assert say("maximize", *VALUES).startswith("Better than the default: trial 1 with val/x 5 against 4")
    worse = say("minimize", 4.0, 5.0)
    assert worse.startswith("No trial was better than the default's val/x 4; the best was trial 1 with 5.")
    assert say("minimize", 4.0, None) == "No trial gave a value; the default has val/x 4."


@pytest.mark.parametrize(("goal", "order"), [("minimize", "2013"), ("maximize", "1023")])
def test_the_best_comes_first_and_failures_last(tmp_path: Path, goal: str, order: str) -> None:
    plan = make_plan(goal)
    study = make_study(plan)
    write_results(plan, study, tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert "".join(row["trial"] for row in rows) == order
    best = next(row for row in rows if row["trial"] == "2")
    assert (best["val/x"], best[LR], best["kind"], best["state"]) == ("3.0", "0.01", "b", "finished")
    default = next(row for row in rows if row["trial"] == "0")
    assert (default[LR], default["kind"]) == ("5.0", "a"), "also where it lies outside the space"
    assert rows[-1]["reason"] == "it broke"
    table = results_table(plan, study)
    assert [column.header for column in table.columns] == ["trial", "val/\nx", "state", "s", "lr", "kind"]
    assert table.row_count == 4


def test_names_are_short_where_that_is_clear() -> None:
    names = ["model.init_args.optimizer.init_args.lr", "model.init_args.kl_weight.init_args.warmup_steps"]
    assert shortest_names(names) == ["lr", "warmup_steps"]
    names.append("model.init_args.lr_scheduler.init_args.warmup_steps")
    assert shortest_names(names) == ["lr", "kl_weight.warmup_steps", "lr_scheduler.warmup_steps"]


def test_pictures_are_drawn_also_of_the_default_alone(tmp_path: Path) -> None:
    (other := tmp_path / "other").write_text("mine")
    (tmp_path / "history.png").symlink_to(other)
    for values in ((4.0,), VALUES):
        paths = draw(make_plan(), make_study(make_plan(), values), tmp_path)
        assert [path.name for path in paths] == [
            "parallel_coordinates.png",
            "slices.png",
            "history.png",
            "validations.png",
        ]
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert other.read_text() == "mine", "the picture took the place of the link"
