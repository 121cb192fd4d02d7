"""Sweeps on this machine: they search, stop early, survive kills and failures, and say what came out."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from lightning_modules.cli import main
from lightning_modules.errors import SweepError
from lightning_modules.sweeps.local_sweep import LocalSweep, options_of, short_name
from lightning_modules.sweeps.search import ended_trials, open_study
from lightning_modules.sweeps.sweep_file import load_sweep

TOY = Path(__file__).parents[2] / "toys" / "toy_trial.py"
X, Y = "model.init_args.x", "model.init_args.y"
SPACE = {X: {"min": 0.0, "max": 1.0}, Y: {"values": [0.0, 1.0, 2.0]}}


def sweep_file(folder: Path, **changes: object) -> Path:
    content = {
        "name": "bowl",
        "method": "random",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "command": [sys.executable, str(TOY), "${args}"],
        "parameters": SPACE,
        **changes,
    }
    path = folder / "bowl.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def said() -> list[str]:
    return []


def sweep(folder: Path, said: list[str], *options: str, **changes: object) -> LocalSweep:
    plan = load_sweep(sweep_file(folder, **changes))
    return LocalSweep(plan, folder / "sweeps" / "bowl", options, say=said.append)


def bowl(x: float, y: float) -> float:
    return (x - 0.3) ** 2 + 0.01 * (y - 2.0) ** 2 + 0.25


def outcomes(study: optuna.Study) -> list[dict]:
    return [trial.user_attrs["outcome"] for trial in ended_trials(study)]


def test_every_trial_has_its_value_and_the_first_is_the_default(tmp_path: Path, said: list[str]) -> None:
    trials = sweep(tmp_path, said).run(count=3).trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert trials[0].params == {X: 0.9, Y: 0.0}, "read from its run"
    for trial in trials:
        assert trial.state == optuna.trial.TrialState.COMPLETE
        assert trial.value == pytest.approx(bowl(trial.params[X], trial.params[Y]))
        assert len(trial.intermediate_values) == 4
    assert (tmp_path / "sweeps/bowl/trial_003/config.yaml").is_file()
    assert len({trial.params[X] for trial in trials}) == 4
    assert said[0].startswith("default … (output in ")
    assert said[2].startswith("trial 1 (1 of 3): x=")


def test_a_default_outside_the_space_is_the_measure_all_the_same(tmp_path: Path, said: list[str]) -> None:
    space = {X: {"min": 0.0, "max": 0.5}, Y: {"values": [0.0, 1.0]}}
    study = sweep(tmp_path, said, parameters=space, method="bayes").run(count=6)
    default = study.trials[0]
    assert (default.params, options_of(default)) == ({Y: 0.0}, {X: 0.9, Y: 0.0})
    assert default.value == pytest.approx(bowl(0.9, 0.0))
    assert all(set(trial.params) == {X, Y} for trial in study.trials[1:])


def test_constants_are_given_to_every_trial_and_nested_names_are_joined(
    tmp_path: Path, said: list[str]
) -> None:
    nested = {"init_args": {"parameters": {"x": {"value": 0.5}, "y": {"min": 0.0, "max": 2.0}}}}
    study = sweep(tmp_path, said, parameters={"model": {"parameters": nested}}).run(count=1)
    default, tried = study.trials
    assert default.params == {Y: 0.0}
    assert default.value == pytest.approx(bowl(0.5, 0.0)), "x is 0.9 without"
    assert tried.value == pytest.approx(bowl(0.5, tried.params[Y]))
    assert f"y={tried.params[Y]:.3g} …" in said[2]


@pytest.mark.parametrize("at", ["trial_003", pytest.param("default", marks=pytest.mark.slow)])
def test_a_kill_loses_no_finished_trial_and_the_sweep_goes_on_as_if_nothing_had_been(
    tmp_path: Path, at: str
) -> None:
    file = sweep_file(tmp_path, method="bayes")
    whole, cut = ([f"--sweeps_dir={tmp_path / name}", "--count=4"] for name in ("whole", "cut"))
    program = "import sys; from lightning_modules.cli import main; main(sys.argv[1:])"
    paths = os.pathsep.join([str(TOY.parents[2]), os.environ.get("PYTHONPATH", "")])
    killer = ["--options", f"--kill_parent_at={at}"]
    command = [sys.executable, "-c", program, "sweep", str(file), *cut, *killer]
    killed = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = tmp_path / "cut/bowl"
    before = open_study(load_sweep(file), folder / "journal.log").trials
    assert [trial.state.name for trial in before] == (
        ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING"] if at == "trial_003" else []
    )
    with (folder / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code":5,"worker')  # a line that the kill cut off
    (folder / "journal.log.lock").symlink_to("of the process that was killed")
    # the second attempt has another run id, so that it is not killed again
    main(["sweep", str(file), *cut, *killer])
    main(["sweep", str(file), *whole, "--options=--kill_parent_at=nobody"])
    after, undisturbed = (
        ended_trials(open_study(load_sweep(file), tmp_path / name / "bowl/journal.log"))
        for name in ("cut", "whole")
    )
    assert after[: max(len(before) - 1, 0)] == before[:-1]
    assert len(after) == 5
    assert [(t.params, t.value) for t in after] == [(t.params, t.value) for t in undisturbed]
    logs = sorted(path.stem for path in (folder / "logs").iterdir())
    assert len(logs) == 6, "what was finished did not run again"
    main(["sweep", str(file), *cut, *killer])
    assert len(list((folder / "logs").iterdir())) == 6


def test_results_are_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    main(["sweep", str(sweep_file(tmp_path)), f"--sweeps_dir={tmp_path}/sweeps", "--count=3"])
    folder = tmp_path / "sweeps/bowl"
    rows = list(csv.DictReader((folder / "results.csv").open()))
    values = [float(row["val/loss"]) for row in rows]
    assert values == sorted(values)
    assert len(rows) == 4
    best, default = rows[0], next(row for row in rows if row["trial"] == "0")
    assert float(default["val/loss"]) == pytest.approx(bowl(0.9, 0.0))
    text = " ".join(capsys.readouterr().out.split())
    assert (
        f"Better than the default: trial {best['trial']} with val/loss {values[0]:.4g} against 0.65" in text
    )
    for name in ("parallel_coordinates", "slices", "history", "validations"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_failed_trials_are_recorded_with_their_reason_and_do_not_end_the_sweep(
    tmp_path: Path, said: list[str]
) -> None:
    space = {X: {"values": [0.1, 2.0]}, Y: {"value": 1.0}}
    study = sweep(tmp_path, said, "--fail_above=1.5", method="grid", parameters=space).run(count=9)
    states = {trial.params[X]: trial.user_attrs["outcome"]["state"] for trial in study.trials[1:]}
    assert states == {0.1: "COMPLETE", 2.0: "FAIL"}
    (failed,) = [each for each in outcomes(study) if each["state"] == "FAIL"]
    assert failed["reason"] == "exit status 1: error: x is 2.0"
    assert failed["value"] is None
    assert said[-1] == "The grid has been searched through."


def test_too_many_failures_end_the_sweep_and_a_mended_one_goes_on(tmp_path: Path, said: list[str]) -> None:
    one = sweep(tmp_path, said, "--fail_above=1.5", parameters={X: {"min": 2.0, "max": 3.0}})
    for ended in (4, 7):
        with pytest.raises(
            SweepError, match=r"3 trials in a row failed, the last with: exit status 1: error: x"
        ):
            one.run(count=9)
        assert len(ended_trials(open_study(one.plan, one.folder / "journal.log"))) == ended


def test_a_failing_default_ends_the_sweep(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SweepError, match=r"The default config failed(.|\n)*logs/default.log"):
        sweep(tmp_path, said, "--fail_above=0.5").run(count=2)


def test_a_metric_that_is_not_logged_is_a_failure_that_names_what_is(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SweepError, match=r"val/los was never logged \(logged: epoch, step, train/loss, val/"):
        sweep(tmp_path, said, metric={"name": "val/los", "goal": "minimize"}).run(count=1)


def test_a_trial_that_is_told_to_stop_is_stopped_at_once(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sweep(tmp_path, said, "--sleep=0.4", early_terminate={"type": "hyperband", "min_iter": 1})
    monkeypatch.setattr(optuna.pruners.HyperbandPruner, "prune", lambda *_: True)
    default, tried = one.run(count=1).trials
    assert default.state.name == "COMPLETE", "what others are compared with is not stopped"
    assert tried.state.name == "PRUNED"
    values = tried.intermediate_values.values()
    assert 1 <= len(values) < 4
    assert tried.user_attrs["outcome"]["value"] == min(values)
    assert "Hyperband, after" in said[-1]


def test_another_sweep_in_the_same_folder_is_refused(tmp_path: Path, said: list[str]) -> None:
    sweep(tmp_path, said).run(count=1)
    with pytest.raises(SweepError, match=r"begun with other content \(options of the sweep differ\)"):
        sweep(tmp_path, said, "--sleep=0.1").run(count=2)
    with pytest.raises(SweepError, match="give the new sweep another --name"):
        sweep(tmp_path, said, method="bayes").run(count=2)


def test_a_program_that_is_not_there(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SweepError, match=r"program 'no-such-program' cannot be started \(No such file"):
        sweep(tmp_path, said, command=["no-such-program", "${args}"]).run(count=1)


@pytest.mark.parametrize("name", [".lock", "logs"])
def test_links_in_a_sweeps_folder_are_named(tmp_path: Path, said: list[str], name: str) -> None:
    one = sweep(tmp_path, said)
    one.folder.mkdir(parents=True)
    (one.folder / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(SweepError, match=r"The sweep cannot be kept in .*bowl \("):
        one.run(count=1)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["..", "../elsewhere", "a/b", "/tmp/x"])
def test_a_name_that_leads_out_of_the_folder_of_sweeps(
    tmp_path: Path, capsys: pytest.CaptureFixture, name: str
) -> None:
    for arguments in ([str(sweep_file(tmp_path)), f"--name={name}"], [str(sweep_file(tmp_path, name=name))]):
        with pytest.raises(SystemExit) as status:
            main(["sweep", *arguments, f"--sweeps_dir={tmp_path}/sweeps"])
        assert status.value.code == 1
        assert f"The sweep's name {name!r} does not name a folder" in capsys.readouterr().err
    assert not (tmp_path / "sweeps").exists()


def test_short_names() -> None:
    assert short_name("model.init_args.optimizer.init_args.lr") == "optimizer.lr"
    assert short_name("data.init_args.batch_size") == "batch_size"
    assert short_name("seed_everything") == "seed_everything"
