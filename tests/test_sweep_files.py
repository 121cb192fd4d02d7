"""The shipped sweep files: their options exist, their metric is logged, they train."""

import shlex
from pathlib import Path

import pytest
import yaml

from lightning_modules.cli import main
from lightning_modules.runs.folder import run_of_checkpoint
from lightning_modules.sweeps.search import ask, open_study
from lightning_modules.sweeps.sweep_file import load_sweep
from lightning_modules.sweeps.trial_process import logged_names, metric_history, options_of_run, trial_command

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))
# two steps, on clips as long as the models ask for
CLIPS = ["--data.clip_samples=16384", "--data.eval_clip_seconds=1.1"]
WINDOWS = ["--data.window_tokens=32", "--data.progress=false"]
SHORT = shlex.split(
    "--trainer.max_steps=2 --trainer.val_check_interval=1 --trainer.accelerator=cpu "
    "--trainer.enable_progress_bar=false --trainer.enable_model_summary=false"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_header_says_what_for_and_how(path: Path) -> None:
    purpose, command = path.read_text().splitlines()[:2]
    assert purpose.startswith("# Purpose:  ")
    assert f"lightning sweep experiments/sweeps/{path.name} --count" in command


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem != "vae"), id=path.stem) for path in FILES],
)
def test_a_suggestion_trains_and_logs_the_metric(
    path: Path, tiny_run_data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    plan = load_sweep(path)
    trial = ask(plan, open_study(plan, tmp_path / "journal.log"), seed=0)
    assert trial is not None
    chosen = trial.params
    data = (
        [f"--data.cache_dir={tmp_path}", *WINDOWS] if path.stem == "note_prior" else [*tiny_run_data, *CLIPS]
    )
    _, _, _, *arguments = trial_command(plan.config["command"], chosen, [*data, *SHORT])
    main([*arguments, f"--runs_dir={tmp_path}", "--experiment=trial", "--run_id=one"])
    run = run_of_checkpoint(tmp_path / "trial/one/checkpoints/last.ckpt")
    assert run is not None
    assert plan.metric in logged_names(run)
    assert len(metric_history(run, plan.metric)) == 2
    assert options_of_run(run, [*plan.space]) == pytest.approx(chosen)
    monitored = yaml.safe_load((run / "config.yaml").read_text())["checkpoint"]
    assert (monitored["monitor"], monitored["mode"]) == (plan.metric, "max" if plan.maximizes else "min")
