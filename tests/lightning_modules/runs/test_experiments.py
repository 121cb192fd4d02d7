"""Experiments by name, from any folder."""

from pathlib import Path

import pytest

from lightning_modules.base import GenerativeModule
from lightning_modules.cli import main
from lightning_modules.runs.experiments import experiment_file, experiment_names, with_experiment_files

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vae", "vae.yaml"),
        ("experiments/vae.yaml", "vae.yaml"),
        ("hardware/gpu", "hardware/gpu.yaml"),
        ("experiments/sweeps/vae.yaml", "sweeps/vae.yaml"),
    ],
)
def test_a_name_is_a_file_of_the_experiments(name: str, file: str) -> None:
    assert Path(experiment_file(name)) == ROOT / "experiments" / file


@pytest.mark.parametrize("name", ["", ".", "quartet", "vae.yaml", "../experiments/vae", "/experiments/vae"])
def test_what_is_no_name_stays_as_it_is(name: str) -> None:
    assert experiment_file(name) == name


def test_a_file_of_that_name_comes_first(elsewhere: Path) -> None:
    (elsewhere / "vae").touch()
    assert experiment_file("vae") == "vae"


def test_all_names() -> None:
    shipped = [path.relative_to(ROOT / "experiments") for path in (ROOT / "experiments").rglob("*.yaml")]
    assert sorted(experiment_names("**/*")) == sorted(str(path.with_suffix("")) for path in shipped)
    assert "vae" in experiment_names() and "hardware/gpu" not in experiment_names()


def test_both_forms_of_the_option_and_nothing_else() -> None:
    line = ["fit", "--config", "vae", "-c=hardware/cpu", "--config=x.yaml", "--experiment", "vae", "--config"]
    folder = ROOT / "experiments"
    assert with_experiment_files(line) == [
        *["fit", "--config", f"{folder}/vae.yaml", f"-c={folder}/hardware/cpu.yaml", "--config=x.yaml"],
        *["--experiment", "vae", "--config"],
    ]


def test_the_command_line_and_notebooks_know_them(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", "vae", "--print_config"])
    assert end.value.code == 0 and "class_path: lightning_modules.VAE" in capsys.readouterr().out
    assert type(GenerativeModule.from_config("vae")).__name__ == "VAE"
