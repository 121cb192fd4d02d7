"""What is imported is declared, what is declared is imported, and compiled pairs are closed at both ends."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = ("lightning_modules", "datamodules")
WITHOUT_IMPORT = {
    "onnx": "torch's converter imports it",
    "onnxscript": "torch's converter imports it",
    "jupyterlab": "opens the notebooks",
    "ipywidgets": "sliders in the notebooks",
    "ruff": "a program",
    "mypy": "a program",
    "pre-commit": "a program",
    "ipykernel": "the kernel that nbclient starts",
    "pytest-benchmark": "a plug-in of pytest",
    "pytest-xdist": "a plug-in of pytest",
}
DISTRIBUTIONS = packages_distributions()
BELOW_A_NEXT_MAJOR = {"lightning", "librosa", "optuna"}


def requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines]


def names(lines: list[str]) -> set[str]:
    return {canonicalize_name(each.name) for each in requirements(lines)}


RUNTIME = names(PROJECT["dependencies"])
EXTRAS = {extra: names(lines) for extra, lines in PROJECT["optional-dependencies"].items()}


NO_DISTRIBUTIONS = {*OWN, *sys.stdlib_module_names}


def imported(folders: tuple[str, ...]) -> Iterator[str]:
    """Distributions that the sources in `folders` import, also inside functions, by canonical name.

    One that is not installed goes by the name of its module.
    """
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                found.append(node.module)
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "importorskip":
                found += [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
            for top in {name.partition(".")[0] for name in found} - NO_DISTRIBUTIONS:
                for distribution in DISTRIBUTIONS.get(top, [top]):
                    yield canonicalize_name(distribution)


def test_what_the_packages_import_is_declared() -> None:
    optional = set().union(*(EXTRAS[extra] for extra in EXTRAS.keys() - {"test", "lint", "notebooks"}))
    assert set(imported(OWN)) - RUNTIME - optional == set()


def test_what_is_declared_is_imported() -> None:
    in_packages = set(imported(OWN))
    assert RUNTIME - in_packages - WITHOUT_IMPORT.keys() == set()
    everywhere = in_packages.union(imported(("tests",)))
    for extra, declared in EXTRAS.items():
        assert declared - everywhere - WITHOUT_IMPORT.keys() == set(), extra
    assert WITHOUT_IMPORT.keys() <= RUNTIME.union(*EXTRAS.values()), "no exception without its package"


def test_an_extra_that_default_tests_run_is_repeated_as_it_stands() -> None:
    lines = PROJECT["optional-dependencies"]
    for extra in ("sweeps", "export", "crepe", "clap", "hub", "tensorboard"):
        assert set(lines[extra]) <= set(lines["test"]), extra


def test_every_requirement_has_a_lower_bound_and_compiled_pairs_are_exact() -> None:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for each in requirements([*PROJECT["dependencies"], *extras]):
        operators = {specifier.operator for specifier in each.specifier}
        assert operators & {">=", "=="}, f"{each} has no lower bound"
        if each.name in ("torch", "torchaudio"):
            assert operators == {"=="}, f"{each}: a compiled pair is named as it was run"
        if each.name in BELOW_A_NEXT_MAJOR:
            assert "<" in operators, f"{each} has no upper bound"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_one_librosa_for_each_python(python: str) -> None:
    chosen = [
        each
        for each in requirements(PROJECT["dependencies"])
        if each.marker is None or each.marker.evaluate({"python_version": python})
    ]
    assert len({each.name for each in chosen}) == len(chosen)
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]


def test_no_pin_is_without_its_reason() -> None:
    """Exact and excluded versions have a comment on a line above."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith('    "') and ("==" in line.partition(";")[0] or "<" in line.partition(";")[0]):
            above = [each.strip() for each in lines[:number]]
            while above and above[-1].startswith('"'):
                above.pop()
            assert above[-1].startswith("#"), f"{line.strip()} without a reason"


LOCK = (ROOT / ".ci" / "constraints.txt").read_text()


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_holds_every_requirement_within_its_bounds(python: str) -> None:
    """One version of each, and no address."""
    place = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "extra": "",
    }
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    locked = {}
    for each in requirements(lines):
        assert each.url is None
        if each.marker is None or each.marker.evaluate(place):
            assert canonicalize_name(each.name) not in locked, f"{each.name} twice"
            locked[canonicalize_name(each.name)] = str(each.specifier).removeprefix("==")
    extras = PROJECT["optional-dependencies"]
    for each in requirements([*PROJECT["dependencies"], *extras["test"], *extras["lint"]]):
        if each.marker is None or each.marker.evaluate(place):
            assert each.specifier.contains(locked[canonicalize_name(each.name)]), f"{each} is not in the lock"


def test_what_moved_is_named(tmp_path: Path) -> None:
    torch = next(line for line in LOCK.splitlines() if line.startswith("torch=="))
    path = tmp_path / "newest.txt"
    path.write_text(f"# made by hand\nNumPy==9.9\nnew_one==9.9\n{torch}\nabsent==1 ; python_version < '3'\n")
    command = [sys.executable, str(ROOT / ".ci" / "moved.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    new, numpy = done.stdout.splitlines()
    assert new == "new-one: absent -> 9.9"
    assert numpy.startswith("numpy: 2.") and numpy.endswith(" -> 9.9")
