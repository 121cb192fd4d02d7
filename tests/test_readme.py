"""Every command and the Python example of the README and of its two neighbours work (on a shorter run)."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lightning_modules.cli import main, tool_verbs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / name for name in ("README.md", "experiments/README.md", "tests/benchmarks/README.md")]
COMMANDS = sorted(
    {
        " ".join(command.split())
        for path in DOCUMENTS
        for command in re.findall(
            r"(?:^ {4}|`|&& )(lightning [a-z_]+ [^`\n]+)", path.read_text(), re.MULTILINE
        )
    }
)
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
OWN_MODEL = "my_model"
RUN = "runs/vae/<id>"
SHORT = ["--trainer.max_steps=2", "--trainer.val_check_interval=1", "--trainer.accelerator=cpu"]


def test_the_readme_has_the_two_commands_of_a_newcomer():
    assert "    pip install -e . && lightning fit --config experiments/vae.yaml\n" in README
    assert '    pip install -e ".[test]" && pytest\n' in README


@pytest.fixture(scope="module")
def finished_run(tiny_run_data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default experiment, two steps long, on a tiny release."""
    folder = tmp_path_factory.mktemp("readme")
    soundfile.write(folder / "piano.wav", 0.1 * np.random.default_rng(0).normal(size=(22_050, 2)), 44_100)
    main(
        [
            "fit",
            f"--config={ROOT}/experiments/vae.yaml",
            f"--runs_dir={folder}/runs",
            "--run_id=one",
            "--model.latent_size=4",
            *tiny_run_data,
            *SHORT,
        ]
    )
    return folder / "runs/vae/one"


STARTING = [command for command in COMMANDS if RUN not in command and OWN_MODEL not in command]
TOOLS = [command for command in STARTING if command.split()[1] in tool_verbs()]


@pytest.mark.parametrize("command", [command for command in STARTING if command not in TOOLS])
def test_commands_that_start_something_compose(command, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as end:
        main([*shlex.split(command)[1:], *([] if "--help" in command else ["--print_config"])])
    assert end.value.code in (0, None)
    assert "model" in capsys.readouterr().out


@pytest.mark.parametrize("command", [command for command in TOOLS if "--help" not in command])
def test_options_of_tool_verbs_are_understood(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    verb = importlib.import_module(f"lightning_modules.cli.commands.{command.split()[1]}")
    understood = []
    monkeypatch.setattr(verb, "run", understood.append)
    main(shlex.split(command)[1:])
    assert len(understood) == 1


def slow_if_export(command: str) -> object:
    """The longest, which inference/test_export.py goes through with a small model."""
    return pytest.param(command, marks=pytest.mark.slow if "export" in command else ())


@pytest.mark.parametrize("command", [slow_if_export(command) for command in COMMANDS if RUN in command])
def test_commands_on_a_run_work(command, finished_run, monkeypatch):
    monkeypatch.chdir(finished_run.parents[2])
    main(shlex.split(command.replace(RUN, str(finished_run)).replace("2400", "3"))[1:])


def test_the_python_example_works(finished_run):
    example = EXAMPLES[0]
    waveform = torch.zeros(2, 1, 1000)
    names = {"waveform": waveform}
    exec(example.replace(RUN, str(finished_run)), names)
    assert names["audio"].shape == waveform.shape


def test_a_model_of_ones_own_trains_and_is_scored(tiny_run_data, tmp_path, monkeypatch):
    (tmp_path / f"{OWN_MODEL}.py").write_text(EXAMPLES[1])
    assert len(EXAMPLES[1].splitlines()) <= 30
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    fit, test = [shlex.split(command)[1:] for command in COMMANDS if OWN_MODEL in command]
    monkeypatch.chdir(tmp_path)
    main([*fit, *tiny_run_data, *SHORT])
    main(test)
    sys.modules.pop(OWN_MODEL)
    run = tmp_path / "runs/mine/one"
    assert (run / "checkpoints/best.ckpt").is_file() and (run / "test/report.html").is_file()
    assert "log_mel_distance" in (run / "test/scores.csv").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_pictures_and_neighbours_are_there(document):
    for path in re.findall(r"\]\(([^):]+)\)", document.read_text()):
        assert (document.parent / path).exists(), path


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 140
