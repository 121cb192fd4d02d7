"""The rules of the architecture, held by reading imports."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "lightning_modules").rglob("*.py")) + sorted((ROOT / "datamodules").rglob("*.py"))
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "lightning_modules",
    "datamodules",
    "experiments",
    "tests",
    "notebooks",
}
# packages of lightning_modules that must stay free of Lightning
PURE = ("networks", "distributions", "losses", "schedules", "metrics", "reports")
MODELS = ("vae", "wavegan")


def name_of(path: Path) -> str:
    """Dotted module name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at its top or inside its functions, type-checking blocks left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str, allowed: tuple[str, ...] = ()) -> set[str]:
    """Modules outside `package` that import from it, less the allowed ones."""
    found = {
        name_of(path)
        for path in SOURCES
        for name in imports(path)
        if name == package or name.startswith(package + ".")
    }
    return {
        name
        for name in found
        if name != package and not name.startswith(package + ".") and name not in allowed
    }


def test_data_never_imports_models():
    assert not {name for name in importers("lightning_modules") if name.startswith("datamodules")}


def test_only_the_command_line_imports_both():
    # `lightning prepare` is part of the command line, and nothing but data
    allowed = ("lightning_modules.cli", "lightning_modules.trainer_cli", "lightning_modules.commands.prepare")
    assert importers("datamodules", allowed) == set()


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_do_not_know_lightning(package):
    for path in (ROOT / "lightning_modules" / package).rglob("*.py"):
        assert not [name for name in imports(path) if name.split(".")[0] == "lightning"], path


def test_models_do_not_know_each_other():
    for model in MODELS:
        others = tuple(f"lightning_modules.{other}" for other in MODELS if other != model)
        for path in SOURCES:
            if name_of(path) == f"lightning_modules.{model}":
                assert not [name for name in imports(path) if name.startswith(others)]


def test_callbacks_and_tools_know_no_model():
    for model in MODELS:
        assert importers(f"lightning_modules.{model}", allowed=()) == set(), model


def test_only_lightning_modules_know_losses_and_schedules_of_training():
    users = importers("lightning_modules.losses") | importers("lightning_modules.schedules")
    assert users <= {f"lightning_modules.{model}" for model in MODELS}


def test_nothing_is_called_utils():
    assert not [path for path in SOURCES if "util" in path.stem]


def test_the_top_level_is_the_agreed_one():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: generated files cannot be told from the project's own")
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_files_stay_readable():
    code = [path for path in SOURCES if not path.stem.startswith("scores_")]  # note data, not code
    for path in code:
        lines = path.read_text().splitlines()
        assert len(lines) <= 320, f"{path} has {len(lines)} lines"
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef):
                body = [line for line in lines[node.body[0].lineno - 1 : node.end_lineno] if line.strip()]
                assert len(body) <= 80, f"{path}: {node.name} has {len(body)} lines"
