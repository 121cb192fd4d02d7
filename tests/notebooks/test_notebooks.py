"""The notebooks: committed without outputs, and each works from the first cell to the last."""

import os
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
NAMES = ["01_explore_maestro", "02_vae_latent_space", "03_wavegan", "04_compare_runs", "05_notes_to_sound"]


def test_they_are_the_five_of_the_readme():
    assert [path.stem for path in NOTEBOOKS] == NAMES
    readme = (NOTEBOOKS[0].parents[1] / "README.md").read_text()
    positions = [readme.index(f"notebooks/{name}.ipynb") for name in NAMES]
    assert positions == sorted(positions)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            assert "/home/" not in cell.source and "/root/" not in cell.source


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks' small runs go: later ones find those of earlier ones."""
    return tmp_path_factory.mktemp("notebooks") / "runs"


@pytest.fixture
def environment(runs, monkeypatch) -> None:
    changes = {
        "MAESTRO_RUNS": str(runs),
        "NOTEBOOK_STEPS": "40",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    for name in ("MAESTRO_RELEASE", "MAESTRO_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    root = str(NOTEBOOKS[0].parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))


PICTURES = dict(zip(NAMES, (4, 5, 4, 1, 5), strict=True))
SOUNDS = dict(zip(NAMES, (7, 10, 3, 0, 5), strict=True))
QUICKEST = "01_explore_maestro"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem == QUICKEST else pytest.mark.slow) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_each_runs_from_the_first_cell_to_the_last(path, runs, environment):
    nbclient = pytest.importorskip("nbclient", reason="the extra `test` brings nbclient")
    notebook = nbformat.read(path, as_version=4)
    if path.stem == "02_vae_latent_space":
        check = "assert all(not torch.equal(*pair) for pair in zip(waveform, waveform.roll(1, 0)))"
        notebook.cells.append(nbformat.v4.new_code_cell(check))  # its clips differ from each other
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": path.parent}})
    client.execute()  # raises with the cell's own traceback
    if keep := os.environ.get("NOTEBOOK_OUTPUT"):  # to look at the pages: jupyter nbconvert --to html
        nbformat.write(notebook, Path(keep) / path.name)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [key for output in outputs for key in output.get("data", ())]
    assert "text/html" in shown
    assert shown.count("image/png") >= PICTURES[path.stem]
    sound = sum(str(output.get("data", {}).get("text/html", "")).count("<audio") for output in outputs)
    assert sound >= SOUNDS[path.stem]
