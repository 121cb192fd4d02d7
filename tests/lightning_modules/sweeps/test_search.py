"""The search: what is suggested, what is given up, what a journal file keeps."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import HyperbandPruner

from lightning_modules.errors import SweepError
from lightning_modules.sweeps import search
from lightning_modules.sweeps.sweep_file import SweepPlan

X, Y = FloatDistribution(0.0, 1.0), CategoricalDistribution([0.0, 1.0, 2.0])


def make_plan(method: str = "bayes", goal: str = "minimize", **config: object) -> SweepPlan:
    config |= {"method": method, "metric": {"name": "loss", "goal": goal}}
    return SweepPlan("bowl", config, {"x": X, "y": Y}, {})


def outcome(value: float | None, state: str = "COMPLETE") -> dict:
    return {"run_id": "r", "state": state, "value": value, "seconds": 1.0, "reason": None}


def ask_and_finish(plan: SweepPlan, study: optuna.Study, seed: int = 0) -> dict:
    trial = search.ask(plan, study, seed)
    assert trial is not None
    x, y = trial.params["x"], trial.params["y"]
    search.finish(study, trial, outcome((x - 0.3) ** 2 + 0.01 * (y - 2.0) ** 2))
    return trial.params


def test_bayesian_search_goes_to_the_bottom_of_the_bowl(tmp_path: Path) -> None:
    distances = []
    for seed in range(3):
        study = search.open_study(make_plan(), tmp_path / f"{seed}.log")
        points = [ask_and_finish(make_plan(), study, seed)["x"] for _ in range(24)]
        distances += [abs(x - 0.3) for x in points[12:]]
    assert np.median(distances) < 0.12, "random search would be 0.25 away"


@pytest.mark.parametrize("method", ["bayes", "random"])
def test_suggestions_depend_on_seed_and_position_alone(tmp_path: Path, method: str) -> None:
    plan = make_plan(method)
    studies = [search.open_study(plan, tmp_path / f"{number}.log") for number in range(3)]
    one, same, other = (
        [ask_and_finish(plan, study, seed) for _ in range(6)]
        for study, seed in zip(studies, (0, 0, 1), strict=True)
    )
    assert one == same != other
    assert len({point["x"] for point in one}) == 6
    again = search.open_study(plan, tmp_path / "0.log")
    assert ask_and_finish(plan, again) == ask_and_finish(plan, studies[1])


def test_a_grid_is_walked_once(tmp_path: Path) -> None:
    space = {"a": IntDistribution(1, 2), "b": FloatDistribution(0.0, 1.0, step=0.5)}
    plan = SweepPlan("grid", {"method": "grid", "metric": {"name": "loss"}}, space, {})
    study = search.open_study(plan, tmp_path / "journal.log")
    study.add_trial(search.finished_default(plan, {"a": 1, "b": 0.5}, [1.0], outcome(1.0)))
    points = []
    while (trial := search.ask(plan, study, 0)) is not None:
        points.append((trial.params["a"], trial.params["b"]))
        search.finish(study, trial, outcome(1.0))
    assert points == [(1, 0.0), (1, 1.0), (2, 0.0), (2, 0.5), (2, 1.0)], "all but the default"


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_hyperband_ends_a_trial_that_falls_behind(tmp_path: Path, goal: str) -> None:
    sign = 1.0 if goal == "minimize" else -1.0
    plan = make_plan("random", goal, early_terminate={"type": "hyperband", "max_iter": 2, "s": 1, "eta": 2})
    study = search.open_study(plan, tmp_path / "journal.log")
    pruner = HyperbandPruner(min_resource=2, max_resource=2, reduction_factor=2)  # one bracket, judged at 2
    ended = []
    for level in (4.0, 3.0, 2.0, 5.0, 2.5, 6.0):
        trial = search.ask(plan, study, 0)
        assert trial is not None
        assert not search.report(study, trial, [sign * level], pruner), "too early to judge"
        values: Sequence[float] = [sign * level, sign * level, sign * level]
        ended.append(search.report(study, trial, values, pruner))
        assert len(study.trials[trial.number].intermediate_values) == 3
        search.finish(study, trial, outcome(sign * level))
    # the better half of those seen so far goes on: 4 | 3 | 2 | of 5 4 3 2 not 5 | of 5 4 3 2.5 2 2.5 | not 6
    assert ended == [False, False, False, True, False, True]


def test_numbers_of_hyperband_are_those_of_the_file() -> None:
    def numbers(**early: int) -> tuple:
        pruner = search.make_pruner(make_plan(early_terminate={"type": "hyperband", **early}))
        return pruner._min_resource, pruner._max_resource, pruner._reduction_factor

    assert numbers(min_iter=2, eta=2) == (2, "auto", 2)
    assert numbers(min_iter=5) == (5, "auto", 3)
    assert numbers(max_iter=27, s=2) == (3, 27, 3)
    assert isinstance(search.make_pruner(make_plan()), optuna.pruners.NopPruner)


def test_a_trial_that_was_cut_off_is_asked_for_again(tmp_path: Path) -> None:
    plan = make_plan("random")
    study = search.open_study(plan, tmp_path / "journal.log")
    trial = search.ask(plan, study, 0)
    assert trial is not None
    noted = search.ask(plan, study, 0)
    assert noted is not None
    noted.set_user_attr("outcome", outcome(0.5))  # killed between the note and the end
    again = search.open_study(plan, tmp_path / "journal.log")
    search.repeat_cut_off(again)
    assert [each.number for each in search.ended_trials(again)] == [1]
    assert again.trials[1].value == 0.5
    repeated = search.ask(plan, again, 99)
    assert repeated is not None
    assert (repeated.number, repeated.params) == (2, trial.params)


def test_a_journal_that_is_cut_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    plan, path = make_plan("random"), tmp_path / "journal.log"
    study = search.open_study(plan, path)
    for _ in range(2):
        ask_and_finish(plan, study)
    whole = path.read_bytes()
    known = {(trial.number, tuple(trial.params.items())) for trial in study.trials}
    for length in range(0, len(whole), 31):
        path.write_bytes(whole[:length])
        cut = search.open_study(plan, path)
        assert {(t.number, tuple(t.params.items())) for t in search.ended_trials(cut)} <= known
        ask_and_finish(plan, cut)
        assert len(search.ended_trials(search.open_study(plan, path))) >= 1


@pytest.mark.parametrize(
    "line", [b"nonsense", b'{"op_code": 4}', b"[]", b'{"op_code": 99, "worker_id": "a"}']
)
def test_a_damaged_journal_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal.log"
    ask_and_finish(make_plan(), search.open_study(make_plan(), path))
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:3], line, *lines[4:]]) + b"\n")
    with pytest.raises(SweepError, match=r"journal.log is damaged \((.|\n)*another --name"):
        search.open_study(make_plan(), path)


HOSTILE: dict[str, dict] = {
    "an option that is not searched": {"fixed_params": {"--trainer.logger": "x"}},
    "an option beyond its bounds": {"fixed_params": {"x": 1e30}},
    "a class path": {"fixed_params": {"y": "{class_path: subprocess.Popen}"}},
    "options that are none": {"fixed_params": "x"},
    "another attribute": {"constraints": "abc"},
    "a rung of text": {"completed_rung_0": "abc"},
}
OUTCOMES: dict[str, object] = {
    "nothing": None,
    "no table": 5,
    "a table without values": {},
    "a state that there is not": {**outcome(1.0), "state": "RUNNING"},
    "a value of text": {**outcome(1.0), "value": "low"},
    "no number": {**outcome(1.0), "value": float("nan")},
    "no value": outcome(None),
    "endless": {**outcome(1.0), "seconds": float("inf")},
    "a reason of another type": {**outcome(1.0), "reason": []},
}


def begun(tmp_path: Path) -> tuple[SweepPlan, optuna.Study]:
    plan = make_plan()
    study = search.open_study(plan, tmp_path / "journal.log")
    study.add_trial(search.finished_default(plan, {"x": 0.5, "y": 1.0}, [1.0], outcome(1.0)))
    ask_and_finish(plan, study)
    return plan, study


@pytest.mark.parametrize("method", ["bayes", "random"])
def test_a_sweeps_own_trials_are_accepted_at_every_stage(tmp_path: Path, method: str) -> None:
    early = {"type": "hyperband", "min_iter": 1}
    plan, path = make_plan(method, early_terminate=early), tmp_path / "journal.log"
    study, pruner = search.open_study(plan, path), search.make_pruner(plan)
    study.add_trial(search.finished_default(plan, {"x": 5.0, "y": 1.0}, [2.0, 1.0], outcome(1.0)))
    for state in ["COMPLETE", "PRUNED", "FAIL"] * 4:
        trial = search.ask(plan, study, 0)
        assert trial is not None
        search.report(study, trial, [trial.params["x"], float("nan"), 1.0], pruner)
        search.check_trials(plan, search.open_study(plan, path), path)  # as after a kill
        search.finish(study, trial, outcome(None if state == "FAIL" else 1.0, state))
        search.check_trials(plan, search.open_study(plan, path), path)
    search.ask(plan, study, 0)
    search.repeat_cut_off(study)
    search.check_trials(plan, search.open_study(plan, path), path)


def test_trials_that_no_sweep_makes_are_refused_before_any_runs(tmp_path: Path) -> None:
    for number, attributes in enumerate(HOSTILE.values()):
        (folder := tmp_path / str(number)).mkdir()
        plan, study = begun(folder)
        search.check_trials(plan, study, folder / "journal.log")
        study.enqueue_trial({})
        (waiting,) = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
        for name, value in attributes.items():
            study._storage.set_trial_system_attr(waiting._trial_id, name, value)
        with pytest.raises(SweepError, match=r"journal.log is damaged \(trial 2: (.|\n)*another --name"):
            search.check_trials(plan, study, folder / "journal.log")


@pytest.mark.parametrize("value", OUTCOMES.values(), ids=OUTCOMES)
def test_outcomes_that_no_trial_has_are_refused(tmp_path: Path, value: object) -> None:
    plan, study = begun(tmp_path)
    trial = search.ask(plan, study, 0)
    assert trial is not None
    trial.set_user_attr("outcome", value)
    with pytest.raises(SweepError, match=r"journal.log is damaged \(trial 2: "):
        search.check_trials(plan, study, tmp_path / "journal.log")


def test_a_study_of_another_kind_is_refused(tmp_path: Path) -> None:
    study = search.open_study(make_plan(goal="maximize"), tmp_path / "journal.log")
    with pytest.raises(SweepError, match="the study: ValueError: is of another kind"):
        search.check_trials(make_plan(), study, tmp_path / "journal.log")
    study = search.open_study(make_plan(), tmp_path / "other.log")
    search.ask(make_plan(), study, 0)
    with pytest.raises(SweepError, match="trial 0: ValueError: the default has not ended"):
        search.check_trials(make_plan(), study, tmp_path / "other.log")


def test_journals_are_regular_files_of_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.log"
    monkeypatch.setattr(search, "LARGEST_BYTES", 200_000)
    for make in (
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(tmp_path / "elsewhere"),
        lambda: path.write_text("[" * 100_000 + "\n"),
        lambda: path.write_text("[" * 200_001),
    ):
        make()
        with pytest.raises(SweepError, match=r"journal.log is damaged"):
            search.open_study(make_plan(), path)
        path.unlink()
    assert not list(tmp_path.iterdir())
