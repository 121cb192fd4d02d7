"""What is built of the project installs and works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD_SDIST = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("setuptools") is None, reason="setuptools builds the wheel"),
]


def wheel_of(source: Path, folder: Path) -> Path:
    build = "pip wheel --quiet --no-deps --no-build-isolation -w".split()
    subprocess.run([sys.executable, "-m", *build, folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of the sdist, and the same as that of the sources."""
    folder = tmp_path_factory.mktemp("build")
    tree = folder / "tree"
    for name in ("lightning_modules", "datamodules", "experiments"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree)
    subprocess.run(
        [sys.executable, "-c", BUILD_SDIST, folder / "sdist"], cwd=tree, check=True, stdout=subprocess.DEVNULL
    )
    (sdist,) = (folder / "sdist").glob("*.tar.gz")
    built = wheel_of(sdist, folder / "from_sdist")
    names = [set(zipfile.ZipFile(each).namelist()) for each in (built, wheel_of(tree, folder / "from_tree"))]
    assert names[0] == names[1] and "experiments/hardware/gpu.yaml" in names[0]
    return built


@pytest.fixture(scope="module")
def lightning(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function that runs the installed command in an empty folder, and returns all that it says."""
    folder = tmp_path_factory.mktemp("installed")
    # where a checkout may lie
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    install = [sys.executable, "-m", "pip", "--python", folder / "venv/bin/python", "install", "--quiet"]
    subprocess.run([*install, "--no-deps", wheel], check=True, env=environment)
    (packages,) = (folder / "venv/lib").glob("*/site-packages")
    # after the wheel's own; `.pth` files in there, as of an editable checkout, are not followed
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (folder / "empty").mkdir()

    def run(*arguments: str) -> str:
        command = [folder / "venv/bin/lightning", *arguments]
        done = subprocess.run(
            command, cwd=folder / "empty", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_command_finds_the_machine_the_experiments_and_the_verbs(lightning) -> None:
    assert "lightning fit --config" in lightning("doctor")
    lightning("fit", "--config", "vae", "--config", "hardware/cpu", "--trainer.fast_dev_run", "true")
    assert "usage: lightning compose" in lightning("compose", "--help")
