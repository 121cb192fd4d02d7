"""A W&B sweep file, read for a search on this machine."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lightning_modules.errors import RunError, SweepError
from lightning_modules.runs.config import read_config

LARGEST_NUMBER = 1e15
"""Of a bound: whole numbers up to there are exact."""
MOST_GRID_POINTS = 100_000
METHODS = ("bayes", "random", "grid")
DISTRIBUTIONS = ("uniform", "q_uniform", "int_uniform", "log_uniform", "log_uniform_values", "categorical")


@dataclass(frozen=True)
class SweepPlan:
    """A sweep file that was checked.

    Attributes:
        name: What it is called; the file's name if it does not say.
        config: Its content.
        space: Where each option that is varied is searched, by name; nested names joined by dots.
        constants: Options that every trial is given, the default one too.
    """

    name: str
    config: dict[str, Any]
    space: dict[str, BaseDistribution]
    constants: dict[str, Any]

    @property
    def method(self) -> str:
        """`bayes`, `random` or `grid`."""
        return str(self.config["method"])

    @property
    def metric(self) -> str:
        """Logged name of the figure that is optimised."""
        return str(self.config["metric"]["name"])

    @property
    def maximizes(self) -> bool:
        """Whether larger is better."""
        return bool(self.config["metric"].get("goal", "minimize") == "maximize")


def load_sweep(path: Path, method: str | None = None) -> SweepPlan:
    """Read and check a sweep file.

    Args:
        path: The file, as for `wandb sweep`: https://docs.wandb.ai/guides/sweeps/sweep-config-keys
        method: Search by this method whatever the file says.

    Raises:
        SweepError: If it cannot be read or says something that a sweep on this machine cannot do.
    """
    try:
        config = json.loads(json.dumps(read_config(path)))  # as the journal keeps it
    except RunError as error:
        raise SweepError(f"The sweep file {error.problem}", "give a W&B sweep file") from error
    except TypeError as error:
        raise SweepError(
            f"The sweep file {path} holds what is no text, number, list or table ({error})",
            "put dates, and what else YAML has a meaning of its own for, in quotes",
        ) from error
    if method is not None:
        config["method"] = method
    space: dict[str, BaseDistribution] = {}
    constants: dict[str, Any] = {}
    problems = [*_problems(config)]
    for name, description in [] if problems else _flat(config["parameters"]):
        try:
            if (found := _read_parameter(description)) is None:
                constants[name] = description["value"]
            else:
                space[name] = found
        except (ValueError, ArithmeticError) as error:
            problems.append(f"{name}: {error}")
    if not problems and not space:
        problems = ["no parameter has more than one value"]
    if not problems and config["method"] == "grid":
        problems = [*_grid_problems(space)]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise SweepError(
            f"The sweep file {path} cannot be used:\n{listed}",
            "see https://docs.wandb.ai/guides/sweeps/sweep-config-keys, or start from experiments/sweeps",
        )
    return SweepPlan(str(config.get("name", path.stem)), config, space, constants)


def _problems(config: dict[str, Any]) -> Iterator[str]:
    """Mistakes of the file other than in its parameters."""
    for key, kind in (("command", list), ("metric", dict), ("parameters", dict)):
        if not isinstance(config.get(key), kind):
            yield f"{key} is {config[key]!r}" if key in config else f"it has no {key!r}"
    for key in ("name", "program"):
        if not isinstance(config.get(key, ""), str):
            yield f"{key} is {config[key]!r}, not text"
    if isinstance(command := config.get("command"), list):
        words = [word for word in command if isinstance(word, str | int | float) and "\0" not in str(word)]
        if not command or words != command:
            yield f"command is {command!r}, not a list of words"
        elif "${program}" in command and "program" not in config:
            yield "command has ${program}, and the file has no 'program'"
    if config.get("method") not in METHODS:
        yield f"method is {config.get('method')!r}, not one of {', '.join(METHODS)}"
    if isinstance(metric := config.get("metric"), dict):
        if not isinstance(metric.get("name"), str):
            yield f"metric.name is {metric['name']!r}, not text" if "name" in metric else "metric has no name"
        if metric.get("goal", "minimize") not in ("minimize", "maximize"):
            yield f"metric.goal is {metric['goal']!r}, neither minimize nor maximize"
    early = config.get("early_terminate")
    if early is not None and not (isinstance(early, dict) and early.get("type") == "hyperband"):
        yield f"early_terminate is {early!r}; its type can only be hyperband"
    elif early is not None and not ({"min_iter"} <= early.keys() or {"max_iter", "s"} <= early.keys()):
        yield "early_terminate has neither min_iter nor max_iter and s"
    else:
        yield from _hyperband_problems(early or {})


def _hyperband_problems(early: dict[str, Any]) -> Iterator[str]:
    for key, least, most in (("min_iter", 1, 10**6), ("max_iter", 1, 10**6), ("s", 0, 20), ("eta", 2, 100)):
        value = early.get(key, least)
        if type(value) is not int or not least <= value <= most:
            yield f"early_terminate.{key} is {value!r}, no whole number from {least} to {most:,}"


def grid_side(distribution: BaseDistribution) -> Sequence[Any]:
    """All values of an option in a grid.

    Raises:
        ValueError: If they are without number.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    if isinstance(distribution, FloatDistribution) and (step := distribution.step) is not None:
        count = round((distribution.high - distribution.low) / step) + 1
        if count <= MOST_GRID_POINTS:
            return [distribution.low + number * step for number in range(count)]
    raise ValueError(
        "has values without number, which no grid goes through; give it `values`, whole `min` and `max`, or "
        "`distribution: q_uniform`; or --method random"
    )


def _grid_problems(space: dict[str, BaseDistribution]) -> Iterator[str]:
    num_points = 1
    for name, distribution in space.items():
        try:
            num_points *= len(grid_side(distribution))
        except (ValueError, OverflowError) as error:
            yield f"{name} {error}"
    if num_points > MOST_GRID_POINTS:
        yield f"the grid has more than {MOST_GRID_POINTS:,} points; give fewer values, or --method random"


def _flat(parameters: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All parameters with their whole names: those within `parameters` of another lie below its name."""
    for name, description in parameters.items():
        if isinstance(description, dict) and isinstance(description.get("parameters"), dict):
            yield from _flat(description["parameters"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", description


def _read_parameter(description: object) -> BaseDistribution | None:
    """Where an option is searched; None for a constant.

    Raises:
        ValueError: If the description says something else.
    """
    if not isinstance(description, dict):
        raise ValueError(f"{description!r} is not a mapping such as {{min: 0.1, max: 1.0}}")
    if "value" in description:
        return None
    if "values" in description:
        if not isinstance(description["values"], list) or not description["values"]:
            raise ValueError(f"values is {description['values']!r}, not a list")
        return CategoricalDistribution([choice(value) for value in description["values"]])
    low, high = (_number(description, key) for key in ("min", "max"))
    whole = isinstance(low, int) and isinstance(high, int)
    kind = description.get("distribution", "int_uniform" if whole else "uniform")
    if kind not in DISTRIBUTIONS[:-1]:
        raise ValueError(f"distribution is {kind!r}; searched here are {', '.join(DISTRIBUTIONS)}")
    if not low < high:
        raise ValueError(f"min {low} is not less than max {high}")
    if kind == "int_uniform":
        return IntDistribution(int(low), int(high))
    if kind == "log_uniform":  # bounds are exponents of e
        return FloatDistribution(math.exp(low), math.exp(high), log=True)
    if kind == "q_uniform":
        return FloatDistribution(low, high, step=_number({"q": 1.0, **description}, "q"))
    if kind == "log_uniform_values" and low <= 0:
        raise ValueError(f"min is {low}, and a logarithm needs more than 0")
    return FloatDistribution(low, high, log=kind == "log_uniform_values")


def _number(description: dict[str, Any], key: str) -> float:
    value = description.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) <= LARGEST_NUMBER:
        raise ValueError(f"{key} is {value}, and no bound may be beyond {LARGEST_NUMBER:g}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    hint = ""
    if isinstance(value, str):
        with suppress(ValueError):
            hint = f"; YAML reads it as text, write {float(value)}"
    raise ValueError(f"{key} is {value!r}, not a number{hint}")


def choice(value: Any) -> Any:  # noqa: ANN401 (a value of any option)
    """A value as Optuna keeps it; lists and mappings are text, as on the command line."""
    return json.dumps(value) if isinstance(value, list | dict) else value
