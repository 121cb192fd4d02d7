"""W&B sweep files: what can be searched here is read as W&B means it, anything else is refused by name."""

import math
import os
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
    assert load(tmp_path, {}, "bayes").method == "bayes"


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
        ({"early_terminate": {"type": "hyperband", "min_iter": "a"}}, "min_iter is 'a', no whole number"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 0}}, "eta is 0, no whole number"),
        ({"method": "grid", "parameters": {"x": {"min": 0.0, "max": 1.0}}}, "x has values without number"),
        ({"method": "grid", "parameters": {"x": {"min": 0, "max": 10**12}}}, "more than 100,000 points"),
        ({"method": ["random"]}, r"method is \['random'\]"),
        ({"metric": {"name": ["a"]}}, r"metric.name is \['a'\], not text"),
        ({"name": 5}, "name is 5, not text"),
        ({"command": []}, r"command is \[\], not a list of words"),
        ({"command": [["true"]]}, "not a list of words"),
        ({"command": ["tr\0ue"]}, "not a list of words"),
        ({"command": ["${program}"]}, "the file has no 'program'"),
        ({"command": ["${program}"], "program": ["a"]}, r"program is \['a'\], not text"),
        ({"parameters": {"x": {"min": 0.0, "max": float("inf")}}}, "max is inf, and no bound may be beyond"),
        ({"parameters": {"x": {"min": 0.0, "max": 1e9, "distribution": "log_uniform"}}}, "x: math range"),
        ({"parameters": {"x": {"min": 0, "max": 1.0, "distribution": "q_uniform", "q": [1]}}}, "q is"),
        ({"parameters": {"x": {"min": 0, "max": 1.0, "distribution": "q_uniform", "q": 1e-300}}}, "x: "),
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
    with pytest.raises(SweepError, match="is no table of options"):
        load_sweep(path)
    with pytest.raises(SweepError, match=r"nothing.yaml cannot be read"):
        load_sweep(tmp_path / "nothing.yaml")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{BOMB}method: *h", "holds more than 50,000 values"),
        ("method: random\nparameters: &p {a: {parameters: *p}}", "nested deeper than"),
        ("a: " + "[" * 5000, "nested deeper than"),
        ("a: " + "9" * 5000, "is no YAML"),
        ("a: 2020-01-01", r"no text, number, list or table \(Object of type date(.|\n)*in quotes"),
        ("a: !!binary aGVsbG8=", "no text, number, list or table"),
        ("!!python/object/apply:os.mkdir [planted]", "is no YAML"),
    ],
)
def test_a_hostile_sweep_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(text)
    with pytest.raises(SweepError, match=message):
        load_sweep(Path("x.yaml"))
    assert not Path("planted").exists()


def test_a_pipe_is_no_sweep_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(SweepError, match=r"x.yaml cannot be read \(no regular file\)"):
        load_sweep(tmp_path / "x.yaml")
