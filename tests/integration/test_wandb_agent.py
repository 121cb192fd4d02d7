"""`wandb sweep` and a real `wandb agent` drive runs of this program, against a stand-in for the backend."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
import yaml
from wandb_server import API_KEY, WandbServer, serving

from lightning_modules.cli import main
from lightning_modules.sweeps.search import ended_trials, open_study
from lightning_modules.sweeps.sweep_file import load_sweep
from lightning_modules.sweeps.trial_process import trial_command

TOYS = Path(__file__).parents[1] / "toys"
EXPERIMENT = """
experiment: toy
model: {class_path: toy_experiment.ToyModule, init_args: {network: {class_path: toy_experiment.Scale}}}
data: {class_path: toy_experiment.ToyDataModule}
trainer:
  accelerator: cpu
  max_epochs: 2
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - class_path: lightning_modules.callbacks.audio_logger.AudioLogger
      init_args: {num_clips: 1, num_generated: 0}
"""
OPTION = "model.init_args.network.init_args.initial"
SWEEP = {
    "name": "toy",
    "project": "toys",
    "method": "bayes",
    "metric": {"name": "val/log_mel_distance", "goal": "minimize"},
    "command": ["${env}", sys.executable, "-m", "lightning_modules", "fit", "--config=toy.yaml", "${args}"],
    "parameters": {OPTION: {"min": 0.0, "max": 0.9}},
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """The backend; the working folder has an experiment and a sweep file."""
    (tmp_path / "toy.yaml").write_text(EXPERIMENT)
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    with serving() as server:
        monkeypatch.chdir(tmp_path)
        paths = [str(TOYS), str(TOYS.parents[1]), os.environ.get("PYTHONPATH", "")]
        for name, value in {
            "WANDB_BASE_URL": server.url,
            "WANDB_API_KEY": API_KEY,
            "WANDB_DATA_DIR": str(tmp_path / "data"),
            "WANDB_DIR": str(tmp_path),
            "WANDB_SILENT": "false",
            "PYTHONPATH": os.pathsep.join(paths),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("WANDB_MODE")
        wandb.teardown()
        yield server
        wandb.teardown()


def check(server: WandbServer, runs: int) -> None:
    """What arrived of a sweep's runs is what was searched for, and what the runs have on disk."""
    (sweep,) = server.sweeps.values()
    assert len(sweep.runs) == runs
    for name, parameters in sweep.runs.items():
        run = server.runs[name]
        initial = parameters[OPTION]["value"]
        assert run.fields["sweep"] == "sweep0", "W&B shows it in the sweep"
        assert run.config["model"]["init_args"]["network"]["init_args"]["initial"] == pytest.approx(initial)
        assert run.config["data_identity"]["release"] == "mini"
        assert run.exit_code == 0
        rows = [row for row in run.history if "val/log_mel_distance" in row]
        assert [row["trainer/global_step"] for row in rows] == [3, 7]
        assert run.summary["val/log_mel_distance"] == {
            "min": min(row["val/log_mel_distance"] for row in rows)
        }
        folder = Path("runs/toy") / name
        for kind in ("clip_0.png", "clip_0_reconstruction.wav"):
            assert (folder / "samples/step_000008" / kind).read_bytes() in run.files.values(), kind
    assert len({run.config["model"]["init_args"]["network"]["init_args"]["initial"] for run in
                (server.runs[name] for name in sweep.runs)}) == runs  # fmt: skip


@pytest.mark.slow
def test_the_same_file_is_searched_without_an_account(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trials of `lightning sweep` are runs of the same program with the same option."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    main(["sweep", "sweep.yaml", "--count=2", "--sweeps_dir=sweeps"])
    default, *tried = ended_trials(open_study(load_sweep(Path("sweep.yaml")), Path("sweeps/toy/journal.log")))
    assert len(tried) == 2
    for trial in (default, *tried):
        config = yaml.safe_load(
            (Path("sweeps/toy") / trial.user_attrs["outcome"]["run_id"] / "config.yaml").read_text()
        )
        assert config["model"]["init_args"]["network"]["init_args"]["initial"] == trial.params[OPTION]
        assert len(trial.intermediate_values) == 2
    assert server.sweeps == {}, "W&B hears nothing of it"


@pytest.mark.slow
def test_wandb_agent_drives_four_runs_by_the_command_line(server: WandbServer) -> None:
    made = subprocess.run(["wandb", "sweep", "sweep.yaml"], capture_output=True, text=True, timeout=120)
    (path,) = re.findall(r"wandb agent (\S+)", made.stderr + made.stdout)
    assert path == "local/toys/sweep0"
    agent = subprocess.run(
        ["wandb", "agent", "--count", "4", path], capture_output=True, text=True, timeout=600
    )
    assert agent.returncode == 0, agent.stderr[-3000:]
    check(server, runs=4)


@pytest.mark.slow
def test_wandb_agent_drives_runs_in_this_process(server: WandbServer) -> None:
    """The agent for notebooks: it fetches what to run in the same way, and calls a function."""
    sweep = wandb.sweep(SWEEP)

    def train() -> None:
        parameters = yaml.safe_load(Path(os.environ["WANDB_SWEEP_PARAM_PATH"]).read_text())
        chosen = {name: entry["value"] for name, entry in parameters.items() if name != "wandb_version"}
        _, _, _, _, *arguments = trial_command(SWEEP["command"], chosen, [])
        main(arguments)

    wandb.agent(sweep, train, project="toys", count=2)
    check(server, runs=2)
