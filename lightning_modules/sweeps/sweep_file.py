"""A W&B sweep file, read for a search on this machine."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # ships no type information
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lightning_modules.errors import SweepError

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
        config = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SweepError(
            f"The sweep file {path} cannot be read ({error})", "give a W&B sweep file"
        ) from error
    if isinstance(config, dict) and method is not None:
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
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if not problems and not space:
        problems = ["no parameter has more than one value"]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise SweepError(
            f"The sweep file {path} cannot be used:\n{listed}",
            "see https://docs.wandb.ai/guides/sweeps/sweep-config-keys, or start from experiments/sweeps",
        )
    return SweepPlan(str(config.get("name", path.stem)), config, space, constants)


def _problems(config: object) -> Iterator[str]:
    """Mistakes of the file other than in its parameters."""
    if not isinstance(config, dict):
        yield "it is not a mapping"
        return
    for key, kind in (("command", list), ("metric", dict), ("parameters", dict)):
        if not isinstance(config.get(key), kind):
            yield f"{key} is {config[key]!r}" if key in config else f"it has no {key!r}"
    if config.get("method") not in METHODS:
        yield f"method is {config.get('method')!r}, not one of {', '.join(METHODS)}"
    if isinstance(metric := config.get("metric"), dict):
        if "name" not in metric:
            yield "metric has no name"
        if metric.get("goal", "minimize") not in ("minimize", "maximize"):
            yield f"metric.goal is {metric['goal']!r}, neither minimize nor maximize"
    early = config.get("early_terminate")
    if early is not None and not (isinstance(early, dict) and early.get("type") == "hyperband"):
        yield f"early_terminate is {early!r}; its type can only be hyperband"
    elif early is not None and not ({"min_iter"} <= early.keys() or {"max_iter", "s"} <= early.keys()):
        yield "early_terminate has neither min_iter nor max_iter and s"


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
        return FloatDistribution(low, high, step=float(description.get("q", 1.0)))
    if kind == "log_uniform_values" and low <= 0:
        raise ValueError(f"min is {low}, and a logarithm needs more than 0")
    return FloatDistribution(low, high, log=kind == "log_uniform_values")


def _number(description: dict[str, Any], key: str) -> float:
    value = description.get(key)
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
