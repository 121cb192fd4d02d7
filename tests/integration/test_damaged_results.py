"""Damaged and hostile files of every kind that a run leaves: a sentence, no traceback, no hang.

Good files of each kind are changed byte by byte, and value by value, five hundred times each, always in the
same way.
"""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fuzzing import CHANGE, EDITS, Edits, changed, damaged, fuzzed, outcome, within_limits
from hypothesis import strategies as st
from toy_models import make_vae, save
from toy_results import write_tested_run

from lightning_modules import load_module
from lightning_modules.checkpoints.file import KEY
from lightning_modules.checkpoints.repository import CONFIG_NAME, WEIGHTS_NAME
from lightning_modules.cli import main
from lightning_modules.inference.density import load_density, save_density
from lightning_modules.reports.sweep_results import results_table, verdict
from lightning_modules.runs.resume import checkpoint_step
from lightning_modules.sweeps import search
from lightning_modules.sweeps.sweep_file import SweepPlan

pytestmark = pytest.mark.slow

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
Change = tuple[float, object]


def command(*words: str) -> str:
    """What a command says in the end: nothing, or one error in words."""
    said = io.StringIO()
    with within_limits(), redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            main([*words])
        except SystemExit as end:
            assert end.code in (0, 1, 2), end.code
            assert not end.code or ("error" in said.getvalue() and "Traceback" not in said.getvalue())
    return said.getvalue()


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_vae(), tmp_path_factory.mktemp("vae") / "vae.ckpt")


def test_checkpoints(vae: Path, tmp_path: Path) -> None:
    good, path = vae.read_bytes(), tmp_path / "a.ckpt"
    weights = load_module(vae).state_dict()

    @fuzzed(EDITS)
    def check(edits: Edits) -> None:
        path.write_bytes(damaged(good, edits))
        outcome(lambda: checkpoint_step(path))
        opened = outcome(lambda: load_module(path))
        if not isinstance(opened, type):  # what is opened is what was saved
            found = opened.state_dict()  # type: ignore[attr-defined]
            assert all(torch.equal(found[name], weights[name]) for name in weights)

    check()


def test_checkpoints_of_other_values(vae: Path, tmp_path: Path) -> None:
    good, path = torch.load(vae, weights_only=True), tmp_path / "a.ckpt"

    @fuzzed(CHANGE)
    def check(change: Change) -> None:
        about = {name: value for name, value in good.items() if name != "state_dict"}
        torch.save({**changed(about, *change), "state_dict": good["state_dict"]}, path)
        outcome(lambda: checkpoint_step(path))
        outcome(lambda: load_module(path))

    check()


def test_descriptions_of_other_values(vae: Path, tmp_path: Path) -> None:
    good, path = torch.load(vae, weights_only=True), tmp_path / "a.ckpt"

    @fuzzed(CHANGE)
    def check(change: Change) -> None:
        module = changed(good[KEY]["module"], *change)
        torch.save({**good, KEY: {**good[KEY], "module": module}}, path)
        outcome(lambda: load_module(path))

    check()


def test_folders_of_models(vae: Path, tmp_path: Path) -> None:
    load_module(vae).save_pretrained(tmp_path)
    good = {name: (tmp_path / name).read_bytes() for name in (CONFIG_NAME, WEIGHTS_NAME)}

    @fuzzed(st.tuples(st.sampled_from(sorted(good)), EDITS, CHANGE, st.booleans()))
    def check(case: tuple[str, Edits, Change, bool]) -> None:
        name, edits, change, by_value = case
        for each, content in good.items():
            (tmp_path / each).write_bytes(damaged(content, edits) if each == name else content)
        if by_value:
            about = changed(json.loads(good[CONFIG_NAME]), *change)
            (tmp_path / CONFIG_NAME).write_text(json.dumps(about))
        outcome(lambda: load_module(tmp_path))

    check()


def test_continued_checkpoints_of_other_values(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", str(toy_yaml), "--run_id", "one", *QUIET])
    path = Path("runs/toy/one/checkpoints/last.ckpt")
    good = torch.load(path, weights_only=True)
    kept = ("state_dict", KEY, "pytorch-lightning_version", "random_state")

    @fuzzed(CHANGE)
    def check(change: Change) -> None:
        shutil.rmtree("runs/toy/one/metrics", ignore_errors=True)
        about = {name: value for name, value in good.items() if name not in kept}
        torch.save({**good, **changed(about, *change)}, path)
        command("fit", "--ckpt_path", str(path), "--trainer.max_steps", "9", *QUIET)

    check()


def test_densities(tmp_path: Path) -> None:
    path = tmp_path / "a.density.npz"
    save_density(make_vae().prior, path, "a.ckpt")
    good = path.read_bytes()

    @fuzzed(EDITS)
    def check(edits: Edits) -> None:
        path.write_bytes(damaged(good, edits))
        outcome(lambda: load_density(path))

    check()


def test_densities_of_other_values(tmp_path: Path) -> None:
    path = tmp_path / "a.density.npz"
    save_density(make_vae().prior, path, "a.ckpt")
    with np.load(path) as content:
        arrays = dict(content)
    header = json.loads(str(arrays.pop("header")))

    @fuzzed(CHANGE)
    def check(change: Change) -> None:
        np.savez(path, header=np.array(json.dumps(changed(header, *change))), **arrays)
        outcome(lambda: load_density(path))

    check()


@pytest.mark.parametrize(
    "name",
    [
        "test/scores.json",
        "test/listening/listening.json",
        "health.json",
        "config.yaml",
        "metrics/version_0/metrics.csv",
    ],
)
def test_results(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two runs that are compared, one is damaged."""
    monkeypatch.chdir(tmp_path)
    health = [{"step": 1, "problem": "silence", "message": "It is silent.", "advice": "Train."}]
    for run in ("runs/toy/one", "runs/toy/two"):
        write_tested_run(Path(run), seconds=0.1, health=health)
    path = Path("runs/toy/one", name)
    good = path.read_bytes()
    is_json = path.suffix == ".json"

    def compare() -> None:
        command("compare", "runs/toy/one", "runs/toy/two", "--output", "page.html")

    @fuzzed(EDITS)
    def check_bytes(edits: Edits) -> None:
        path.write_bytes(damaged(good, edits))
        compare()

    @fuzzed(CHANGE)
    def check_values(change: Change) -> None:
        path.write_text(json.dumps(changed(json.loads(good), *change)))
        compare()

    check_bytes()
    if is_json:
        check_values()


@pytest.mark.parametrize("by", ["bytes", "values"])
def test_the_config_of_a_run(
    by: str, toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", str(toy_yaml), "--run_id", "one", *QUIET])
    config = Path("runs/toy/one/config.yaml")
    good = config.read_bytes()
    checkpoint = "runs/toy/one/checkpoints/last.ckpt"

    def look() -> None:
        command("validate", "--ckpt_path", checkpoint, "--print_config")

    @fuzzed(EDITS)
    def check_bytes(edits: Edits) -> None:
        config.write_bytes(damaged(good, edits))
        look()

    @fuzzed(CHANGE)
    def check_values(change: Change) -> None:
        config.write_text(yaml.safe_dump(changed(yaml.safe_load(good), *change)))
        look()

    {"bytes": check_bytes, "values": check_values}[by]()


@pytest.mark.parametrize("by", ["bytes", "values"])
def test_configs_that_are_named(
    by: str, toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = toy_yaml.read_bytes()

    @fuzzed(EDITS)
    def check_bytes(edits: Edits) -> None:
        toy_yaml.write_bytes(damaged(good, edits))
        command("fit", "--config", str(toy_yaml), "--print_config")

    @fuzzed(CHANGE)
    def check_values(change: Change) -> None:
        toy_yaml.write_text(yaml.safe_dump(changed(yaml.safe_load(good), *change)))
        command("fit", "--config", str(toy_yaml), "--print_config")

    {"bytes": check_bytes, "values": check_values}[by]()


def sweep_plan() -> SweepPlan:
    from optuna.distributions import FloatDistribution

    config = {"method": "random", "metric": {"name": "loss", "goal": "minimize"}}
    return SweepPlan("bowl", config, {"x": FloatDistribution(0.0, 1.0)}, {})


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a sweep with its default and three trials."""
    plan, path = sweep_plan(), tmp_path / "journal.log"
    study = search.open_study(plan, path)
    result = {"run_id": "r", "state": "COMPLETE", "value": 1.0, "seconds": 1.0, "reason": None}
    study.add_trial(search.finished_default(plan, {"x": 0.5}, [1.0], result))
    for _ in range(3):
        trial = search.ask(plan, study, 0)
        assert trial is not None
        search.finish(study, trial, result)
    return path


def go_on(path: Path) -> None:
    """Open a journal and ask it for all that a sweep asks of it."""
    plan = sweep_plan()
    study = search.open_study(plan, path)
    search.check_trials(plan, study, path)
    search.repeat_cut_off(study)
    trial = search.ask(plan, study, 0)
    assert trial is not None
    assert 0.0 <= trial.params["x"] <= 1.0
    if study.trials[0].state.is_finished():  # or nothing is left of it, and it runs anew
        assert verdict(plan, study)
        assert results_table(plan, study).row_count == len(search.ended_trials(study))


def test_journals(journal: Path) -> None:
    good = journal.read_bytes()

    @fuzzed(EDITS)
    def check(edits: Edits) -> None:
        journal.write_bytes(damaged(good, edits))
        outcome(lambda: go_on(journal))

    check()


def test_journals_of_other_values(journal: Path) -> None:
    good = [json.loads(line) for line in journal.read_text().splitlines()]

    @fuzzed(CHANGE)
    def check(change: Change) -> None:
        journal.write_text("".join(json.dumps(line) + "\n" for line in changed(good, *change)))
        outcome(lambda: go_on(journal))

    check()
