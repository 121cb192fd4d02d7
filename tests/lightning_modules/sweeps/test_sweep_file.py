"""W&B sweep files: what can be searched here is read as W&B means it, anything else is refused by name."""

import math
from pathlib import Path

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lightning_modules.errors import SweepError
from lightning_modules.sweeps.sweep_file import SweepPlan, load_sweep

GOOD = {
    "method": "random",
    "metric": {"name": "loss"},
    "command": ["a"],
    "parameters": {"x": {"values": [1]}},
}


def load(folder: Path, changes: dict, method: str | None = None) -> SweepPlan:
    path = folder / "bowl.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return load_sweep(path, method)


@pytest.mark.parametrize(
    ("description", "distribution"),
    [
        ({"min": 1, "max": 4}, IntDistribution(1, 4)),
        ({"min": 1, "max": 4, "distribution": "uniform"}, FloatDistribution(1, 4)),
        ({"min": 0.0, "max": 4}, FloatDistribution(0, 4)),
        (
            {"min": 0.1, "max": 10.0, "distribution": "log_uniform_values"},
            FloatDistribution(0.1, 10, log=True),
        ),
        (
            {"min": -1.0, "max": 2.0, "distribution": "log_uniform"},
            FloatDistribution(math.exp(-1), math.exp(2), log=True),
        ),
        (
            {"min": 0.0, "max": 1.0, "q": 0.25, "distribution": "q_uniform"},
            FloatDistribution(0, 1, step=0.25),
        ),
        ({"values": [True, "a", None, 2]}, CategoricalDistribution([True, "a", None, 2])),
        ({"values": [[1, 2], [3]]}, CategoricalDistribution(["[1, 2]", "[3]"])),
    ],
)
def test_distributions(tmp_path: Path, description: dict, distribution: object) -> None:
    assert load(tmp_path, {"parameters": {"x": description}}).space == {"x": distribution}


def test_constants_and_nested_names(tmp_path: Path) -> None:
    parameters = {
        "a": {"parameters": {"b": {"value": None}, "c": {"parameters": {"d": {"min": 1, "max": 2}}}}}
    }
    plan = load(tmp_path, {"parameters": parameters})
    assert (plan.space, plan.constants) == ({"a.c.d": IntDistribution(1, 2)}, {"a.b": None})


def test_the_method_can_be_another(tmp_path: Path) -> None:
    assert load(tmp_path, {}).method == "random"
    assert load(tmp_path, {}, "grid").method == "grid"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "method is 'magic', not one of bayes, random, grid"),
        ({"metric": None}, "metric is None"),
        ({"metric": {"goal": "minimize"}}, "metric has no name"),
        ({"metric": {"name": "a", "goal": "up"}}, "metric.goal is 'up'"),
        ({"command": "lightning fit"}, "command is 'lightning fit'"),
        ({"parameters": {"x": {"value": 1}}}, "no parameter has more than one value"),
        ({"parameters": {"x": {"min": 2, "max": 1}}}, "x: min 2 is not less than max 1"),
        ({"parameters": {"x": {"min": 2, "max": 2}}}, "x: min 2 is not less than max 2"),
        ({"parameters": {"x": {"min": 2}}}, "x: max is None, not a number"),
        (
            {"parameters": {"x": {"min": "1e-4", "max": 1}}},
            "not a number; YAML reads it as text, write 0.0001",
        ),
        (
            {"parameters": {"x": {"min": 0, "max": 1, "distribution": "beta"}}},
            "x: distribution is 'beta'; sear",
        ),
        (
            {"parameters": {"x": {"min": 0, "max": 1, "distribution": "log_uniform_values"}}},
            "x: min is 0, and a log",
        ),
        ({"parameters": {"x": {"values": []}}}, r"x: values is \[\], not a list"),
        ({"parameters": {"x": 3}}, "x: 3 is not a mapping"),
        ({"early_terminate": {"type": "median"}}, "its type can only be hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "neither min_iter nor max_iter and s"),
    ],
)
def test_a_sweep_file_that_cannot_be_used(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(SweepError, match=message) as caught:
        load(tmp_path, changes)
    assert "bowl.yaml cannot be used:\n  - " in str(caught.value)


def test_a_sweep_file_without_a_command_or_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("{method: random, metric: {name: a}, parameters: {x: {values: [1]}}}")
    with pytest.raises(SweepError, match="it has no 'command'"):
        load_sweep(path)
    path.write_text("[1]")
    with pytest.raises(SweepError, match="it is not a mapping"):
        load_sweep(path)
    with pytest.raises(SweepError, match=r"nothing.yaml cannot be read"):
        load_sweep(tmp_path / "nothing.yaml")
