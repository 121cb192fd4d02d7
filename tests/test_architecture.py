"""The rules of the house, held by reading imports."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("datamodules", "lightning_modules")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "lightning_modules",
    "datamodules",
    "experiments",
    "tests",
    "notebooks",
}
RANKS: tuple[tuple[str, ...], ...] = (
    ("datamodules.errors",),
    ("datamodules.files", "datamodules.batch", "lightning_modules.errors"),
    ("lightning_modules.numerics", "lightning_modules.schedules"),
    ("lightning_modules.audio", "lightning_modules.checkpoints"),
    ("lightning_modules.runs",),
    (
        "lightning_modules.networks",
        "lightning_modules.metrics",
        "lightning_modules.base",
        "lightning_modules.optimization",
    ),
    ("lightning_modules.distributions", "lightning_modules.loggers", "lightning_modules.sweeps"),
    ("lightning_modules.losses", "lightning_modules.reports"),
    ("lightning_modules.callbacks", "lightning_modules.training", "lightning_modules.inference"),
    ("lightning_modules.compatibility",),
    (
        "lightning_modules.note_prior",
        "lightning_modules.transcriber",
        "lightning_modules.vae",
        "lightning_modules.wavegan",
    ),
    ("lightning_modules.cli",),
)
"""From the ground up: a room may import those below it, and itself."""
FREE_OF_LIGHTNING = (
    "networks",
    "distributions",
    "losses",
    "schedules",
    "metrics",
    "reports",
    "audio",
    "numerics",
)


def name_of(path: Path) -> str:
    """Dotted module name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, also inside functions and for type checking alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """Modules of this project that a file imports: a package's own names are found where they are defined."""
    found = set()
    for name in imports(path):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name:
            found.add(name)
    return found - {name_of(path)}


IMPORTS = {name: own_imports(path) for name, path in MODULES.items()}


def rank_of(module: str) -> tuple[int, str] | None:
    """Rank and room of a module; None for what has none."""
    for rank, rooms in enumerate(RANKS):
        for room in rooms:
            if module == room or module.startswith(room + "."):
                return rank, room
    return None


def in_package(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_arrows_run_down():
    wrong = []
    for module, imported in IMPORTS.items():
        own = rank_of(module)
        if own is None:
            continue
        for other in imported:
            theirs = rank_of(other)
            if theirs is not None and theirs[1] != own[1] and theirs[0] >= own[0]:
                wrong.append(f"{module} -> {other}")
    assert not wrong, "\n".join(sorted(wrong))


def test_every_module_has_a_rank():
    entry = {"lightning_modules", "lightning_modules.__main__"}
    models = {module for module in MODULES if in_package(module, "lightning_modules")} - entry
    assert not [module for module in models if rank_of(module) is None]


def test_no_import_circles():
    """Imports of a package by its own modules are left out: `__init__` re-exports them."""
    seen: dict[str, int] = {}
    circles = []

    def visit(module: str, trail: list[str]) -> None:
        if seen.get(module) == 2:
            return
        if module in trail:
            circles.append(" -> ".join([*trail[trail.index(module) :], module]))
            return
        for other in sorted(IMPORTS[module]):
            if not module.startswith(other + "."):
                visit(other, [*trail, module])
        seen[module] = 2

    for module in MODULES:
        visit(module, [])
    assert not circles, "\n".join(circles)


def test_data_never_imports_models():
    users = {
        module
        for module, found in IMPORTS.items()
        if any(in_package(name, "lightning_modules") for name in found)
    }
    assert not {module for module in users if in_package(module, "datamodules")}


def test_only_the_command_line_imports_the_data_modules():
    shared = ("datamodules.errors", "datamodules.files", "datamodules.batch")
    users = {
        module
        for module, found in IMPORTS.items()
        if in_package(module, "lightning_modules")
        and any(in_package(name, "datamodules") and name not in shared for name in found)
    }
    assert not {module for module in users if not in_package(module, "lightning_modules.cli")}


@pytest.mark.parametrize("room", FREE_OF_LIGHTNING)
def test_pure_rooms_do_not_know_lightning(room):
    for path in (ROOT / "lightning_modules" / room).rglob("*.py"):
        assert not [name for name in imports(path) if name.split(".")[0] == "lightning"], path


@pytest.mark.parametrize("room", ["networks", "distributions", "losses", "schedules", "metrics", "callbacks"])
def test_rooms_export_their_classes(room):
    """For class paths such as `lightning_modules.networks.WaveletEncoder`, in experiments and checkpoints."""
    folder = ROOT / "lightning_modules" / room
    defined = {
        node.name
        for path in folder.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }
    exported = {name.rpartition(".")[2] for name in imports(folder / "__init__.py")}
    assert exported == defined


def test_nothing_is_called_utils():
    assert not [path for path in SOURCES if "util" in path.stem]


@pytest.mark.parametrize("package", PACKAGES)
def test_at_most_eight_loose_files(package):
    loose = [path for path in (ROOT / package).glob("*.py") if not path.stem.startswith("__")]
    assert len(loose) <= 8


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_mirror_the_sources(package):
    missing = []
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.stem.startswith(("__", "scores_")):  # entry points, and note data
            continue
        place = ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.name}"
        if not place.is_file():
            missing.append(str(place.relative_to(ROOT)))
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_test_file_without_its_source(package):
    for path in sorted((ROOT / "tests" / package).rglob("test_*.py")):
        source = ROOT / path.relative_to(ROOT / "tests").parent / path.name.removeprefix("test_")
        assert source.is_file() or source.with_suffix("").is_dir(), f"{path} mirrors no source"


def test_the_top_level_is_the_agreed_one():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: generated files cannot be told from the project's own")
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_text_is_utf_8_whatever_the_machine_prefers():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_call and node.func.attr in ("read_text", "write_text"):
                names = {keyword.arg for keyword in node.keywords}
                assert "encoding" in names, f"{path}:{node.lineno} has no encoding"


def test_functions_stay_readable():
    for path in SOURCES:
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef):
                body = [line for line in lines[node.body[0].lineno - 1 : node.end_lineno] if line.strip()]
                assert len(body) <= 80, f"{path}: {node.name} has {len(body)} lines"
