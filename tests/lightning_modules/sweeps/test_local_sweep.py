"""Sweeps on this machine: they search, stop early, survive kills and failures, and say what came out."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from lightning_modules.cli import main
from lightning_modules.errors import SweepError
from lightning_modules.sweeps.journal import Journal, Trial
from lightning_modules.sweeps.local_sweep import LocalSweep, short_name
from lightning_modules.sweeps.search import load_sweep, should_stop, suggest
from lightning_modules.sweeps.trial_process import metric_history, trial_command

TOY = Path(__file__).parents[2] / "toys" / "toy_trial.py"
SPACE = {
    "model.init_args.x": {"min": 0.0, "max": 1.0},
    "model.init_args.y": {"values": [0.0, 1.0, 2.0]},
}


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


def test_every_trial_has_its_value_and_the_first_is_the_default(tmp_path: Path, said: list[str]) -> None:
    trials = sweep(tmp_path, said).run(count=3)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert trials[0].parameters == {"model.init_args.x": 0.9, "model.init_args.y": 0.0}, "read from its run"
    for trial in trials:
        assert trial.state == "finished"
        assert trial.value == pytest.approx(bowl(*trial.parameters.values()))
        assert len(trial.history) == 4
    assert (tmp_path / "sweeps/bowl/trial_003/config.yaml").is_file()
    assert len({trial.parameters["model.init_args.x"] for trial in trials}) == 4
    assert said[0].startswith("default … (output in ")
    assert "trial 1 of 3: x=" in said[2]


def test_bayesian_search_goes_to_the_bottom_of_the_bowl(tmp_path: Path) -> None:
    plan = load_sweep(sweep_file(tmp_path, method="bayes"))
    trials: list[Trial] = []
    for number in range(14):
        x, y = suggest(plan, trials, seed=0).values()
        options = {"model.init_args.x": x, "model.init_args.y": y}
        trials.append(Trial(number, options, f"{number}", "finished", [bowl(x, y)], bowl(x, y)))
    later = [abs(trial.parameters["model.init_args.x"] - 0.3) for trial in trials[7:]]
    assert np.median(later) < 0.1, "random search would be 0.25 away"


def test_a_kill_loses_no_finished_trial_and_the_sweep_goes_on_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    file = sweep_file(tmp_path)
    whole, cut = ([f"--sweeps_dir={tmp_path / name}", "--count=4"] for name in ("whole", "cut"))
    program = "import sys; from lightning_modules.cli import main; main(sys.argv[1:])"
    paths = os.pathsep.join([str(TOY.parents[2]), os.environ.get("PYTHONPATH", "")])
    killer = "--options=--kill_parent_at=trial_003"
    command = [sys.executable, "-c", program, "sweep", str(file), *cut, killer]
    killed = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    journal = tmp_path / "cut/bowl/journal.jsonl"
    before = Journal(journal).trials()
    assert [trial.state for trial in before.values()] == ["finished", "finished", "finished", "running"]
    with journal.open("ab") as file_:
        file_.write(b'{"event": "end", "tri')  # a line that the kill cut off
    # the second attempt has another run id, so that it is not killed again
    main(["sweep", str(file), *cut, killer])
    main(["sweep", str(file), *whole, "--options=--kill_parent_at=nobody"])
    after = Journal(journal).trials()
    undisturbed = Journal(tmp_path / "whole/bowl/journal.jsonl").trials()
    assert [after[number] for number in range(3)] == [before[number] for number in range(3)]
    assert after[3].run_id == "trial_003-2"
    assert {n: (t.parameters, t.value) for n, t in after.items()} == {
        n: (t.parameters, t.value) for n, t in undisturbed.items()
    }


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
    assert (folder / "parallel_coordinates.png").read_bytes().startswith(b"\x89PNG")


def test_failed_trials_are_recorded_with_their_reason_and_do_not_end_the_sweep(
    tmp_path: Path, said: list[str]
) -> None:
    space = {"model.init_args.x": {"values": [0.1, 2.0]}, "model.init_args.y": {"value": 1.0}}
    trials = sweep(tmp_path, said, "--fail_above=1.5", method="grid", parameters=space).run(count=9)
    states = {trial.parameters["model.init_args.x"]: trial.state for trial in trials[1:]}
    assert states == {0.1: "finished", 2.0: "failed"}
    (failed,) = [trial for trial in trials if trial.state == "failed"]
    assert failed.reason == "exit status 1: error: x is 2.0"
    assert failed.value is None
    assert said[-1] == "The grid has been searched through."


def test_too_many_failures_end_the_sweep_and_a_mended_one_goes_on(tmp_path: Path, said: list[str]) -> None:
    space = {"model.init_args.x": {"min": 2.0, "max": 3.0}}
    one = sweep(tmp_path, said, "--fail_above=1.5", parameters=space)
    with pytest.raises(SweepError, match=r"3 trials in a row failed, the last with: exit status 1: error: x"):
        one.run(count=9)
    assert len(Journal(one.folder / "journal.jsonl").trials()) == 4
    with pytest.raises(SweepError, match="3 trials in a row"):
        one.run(count=9)
    assert len(Journal(one.folder / "journal.jsonl").trials()) == 7


def test_a_failing_default_ends_the_sweep(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SweepError, match=r"The default config failed(.|\n)*logs/default.log"):
        sweep(tmp_path, said, "--fail_above=0.5").run(count=2)


def test_a_metric_that_is_not_logged_is_a_failure_that_names_what_is(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SweepError, match=r"val/los was never logged \(logged: epoch, step, train/loss, val/"):
        sweep(tmp_path, said, metric={"name": "val/los", "goal": "minimize"}).run(count=1)


@pytest.mark.parametrize(
    ("history", "stops"),
    [
        ([], False),
        ([9.0], True),  # of 1, 2, 3 and 9 after one validation, the better half ends at 3
        ([2.5], False),
        ([2.5, 2.4], False),  # of 0.9, 1.8, 2.4 and 2.7 after two, it ends at 2.4
        ([2.5, 2.9], True),  # not its best counts, but where it is now
        ([2.5, 2.6], False),
    ],
)
def test_hyperband_ends_a_trial_that_falls_behind(tmp_path: Path, history: list[float], stops: bool) -> None:
    plan = load_sweep(sweep_file(tmp_path, early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2}))
    ended = [
        Trial(number, {}, f"{number}", "finished", [number, 0.9 * number, 0.8 * number])
        for number in (1, 2, 3)
    ]
    assert should_stop(plan, ended, Trial(4, {}, "running", history=history)) == stops
    without = load_sweep(sweep_file(tmp_path))
    assert not should_stop(without, ended, Trial(4, {}, "running", history=history))


def test_a_trial_that_is_told_to_stop_is_stopped_at_once(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sweep(tmp_path, said, "--sleep=0.4", early_terminate={"type": "hyperband", "min_iter": 1})
    monkeypatch.setattr("lightning_modules.sweeps.local_sweep.should_stop", lambda *_: True)
    trials = one.run(count=1)
    assert trials[0].state == "finished", "what others are compared with is not stopped"
    assert trials[1].state == "stopped"
    assert 1 <= len(trials[1].history) < 4
    assert trials[1].value == min(trials[1].history)
    assert "Hyperband, after" in trials[1].reason


def test_another_sweep_in_the_same_folder_is_refused(tmp_path: Path, said: list[str]) -> None:
    sweep(tmp_path, said).run(count=1)
    with pytest.raises(SweepError, match=r"begun with other content \(options of the sweep differ\)"):
        sweep(tmp_path, said, "--sleep=0.1").run(count=2)
    with pytest.raises(SweepError, match="give the new sweep another --name"):
        sweep(tmp_path, said, method="bayes").run(count=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "method: 'magic' is not one of"),
        ({"metric": None}, "metric: None is not of type 'object'"),
        ({"parameters": {"x": {"min": 2, "max": 1}}}, "x: min 2 is not less than max 1"),
    ],
)
def test_a_sweep_file_that_cannot_be_used(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(SweepError, match=message) as caught:
        load_sweep(sweep_file(tmp_path, **changes))
    assert "bowl.yaml cannot be used:\n  - " in str(caught.value)


def test_a_sweep_file_without_a_command_or_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("{method: random, metric: {name: a}, parameters: {x: {value: 1}}}")
    with pytest.raises(SweepError, match="it has no 'command'"):
        load_sweep(path)
    with pytest.raises(SweepError, match=r"nothing.yaml cannot be read"):
        load_sweep(tmp_path / "nothing.yaml")


def test_suggestions_depend_on_seed_and_position_alone(tmp_path: Path) -> None:
    plan = load_sweep(sweep_file(tmp_path))
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    one, same, other = suggest(plan, [], 0), suggest(plan, [], 0), suggest(plan, [], 1)
    assert one == same != other
    assert (np.random.get_state()[1] == before).all(), "the numbers of others are not touched"


def test_the_command_line_is_the_one_of_wandb_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILE", "vae.yaml")
    command = ["lightning", "fit", "--config", "${envvar:FILE}", "${args}", "${interpreter}"]
    words = trial_command(command, {"model.init_args.beta": 0.3, "data.release": "mini"}, ["--run_id=a"])
    start = [sys.executable, "-m", "lightning_modules", "fit", "--config", "vae.yaml"]
    args = ["--model.init_args.beta=0.3", "--data.release=mini"]
    assert words == [*start, *args, sys.executable, "--run_id=a"]


def test_values_are_read_while_they_are_written(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics/version_0/metrics.csv"
    metrics.parent.mkdir(parents=True)
    assert metric_history(tmp_path, "val/loss") == []
    metrics.write_text("step,val/loss\n1,0.5\n2,\n3,nan\n4,")
    assert metric_history(tmp_path, "val/loss")[0] == 0.5
    assert np.isnan(metric_history(tmp_path, "val/loss")[1])
    assert len(metric_history(tmp_path, "val/loss")) == 2


def test_a_journal_that_is_cut_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"event": "sweep"})
    trial = Trial(1, {"x": 0.5}, "trial_001")
    journal.started(trial)
    trial.state, trial.value = "finished", 0.25
    journal.ended(trial)
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert len(journal.events()) == sum(end <= length for end in ends)
        journal.append({"event": "next"})
        assert json.loads(path.read_text().splitlines()[-1]) == {"event": "next"}
        assert journal.events()[-1] == {"event": "next"}
    path.write_bytes(whole)
    assert journal.trials() == {1: trial}


def test_short_names() -> None:
    assert short_name("model.init_args.optimizer.init_args.lr") == "optimizer.lr"
    assert short_name("data.init_args.batch_size") == "batch_size"
    assert short_name("seed_everything") == "seed_everything"
