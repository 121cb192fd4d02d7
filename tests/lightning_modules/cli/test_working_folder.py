"""What lies in the working folder is imported where a person names it, and nowhere else."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from lightning_modules.cli.working_folder import (
    WorkingFolder,
    let_named_modules_be_imported,
    named_modules,
)

MARKING = "from pathlib import Path\nPath({mark!r}).touch()\ndef start(): pass\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTNING_TRUST")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["fit", "--model", "own.A", "--data=data_of_mine.sub.B"], {"own", "data_of_mine"}),
        (["fit", "--trainer.callbacks+=[{class_path: own.C}, more.D]"], {"own", "more"}),
        (["fit", "--data.source", "/archives/maestro.zip", "--run_id", "one"], set()),
        (["fit", "--x", "${data.init_args.rate}"], set()),
    ],
)
def test_names_on_a_command_line(words: list[str], names: set[str], folder: Path) -> None:
    assert named_modules(words) == names


def test_names_in_configs_and_of_trust(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.yaml").write_text("model: {class_path: own.A, init_args: {parts: [{class_path: more.B}]}}")
    Path("planted.ckpt").touch()
    monkeypatch.setenv("LIGHTNING_TRUST", "other.part, another")
    found = named_modules(["fit", "--config", "a.yaml", "--ckpt_path", "planted.ckpt"])
    assert found == {"own", "more", "other", "another"}, "and no file that is given"


def test_a_module_that_is_named_brings_its_neighbours(folder: Path) -> None:
    (folder / "own_part.py").write_text("import own_neighbour\n")
    (folder / "own_neighbour.py").touch()
    let_named_modules_be_imported(["fit", "--model", "other.A"])
    assert find_spec("own_part") is None and str(folder) not in sys.path
    let_named_modules_be_imported(["fit", "--model", "own_part.A"])
    assert find_spec("own_neighbour") is None, "before"
    assert import_module("own_part").own_neighbour is import_module("own_neighbour")
    assert [type(finder) for finder in sys.meta_path].count(WorkingFolder) == 1


@pytest.mark.parametrize(
    "start",
    [
        [sys.executable, "-m", "lightning_modules"],
        pytest.param([str(Path(sys.executable).with_name("lightning"))], marks=pytest.mark.slow),
    ],
    ids=["module", "script"],
)
def test_what_lies_beside_a_checkpoint_is_not_run(start: list[str], tmp_path: Path) -> None:
    """As torch.py, as an optional package that torch looks for, or as a plug-in of torch."""
    mark = tmp_path / "mark"
    for name in ("torch", "json", "wandb", "tensorboardX", "planted"):
        (tmp_path / f"{name}.py").write_text(MARKING.format(mark=str(mark)))
    plug_in = tmp_path / "planted-1.0.dist-info"
    plug_in.mkdir()
    (plug_in / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    (plug_in / "entry_points.txt").write_text("[torch.backends]\nplanted = planted:start\n")
    run = subprocess.run(
        [*start, "generate", "absent.ckpt"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert "absent.ckpt does not exist" in run.stderr
    assert not mark.exists()
