"""W&B that is slow, down or broken: training does not wait for it and does not stop."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from wandb_log import history
from wandb_server import API_KEY, blackhole, serving

from lightning_modules.loggers import wandb_logger
from lightning_modules.loggers.csv_logger import RunCSVLogger
from lightning_modules.loggers.wandb_logger import Monitor, RunWandbLogger, WandbOptions
from lightning_modules.runs.folder import Run


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(wandb_logger, "rank_zero_info", said.append)
    return said


@pytest.fixture(autouse=True)
def fresh_wandb() -> Iterator[None]:
    wandb.teardown()
    yield
    wandb.teardown()


def make_logger(tmp_path: Path, mode: str, run_id: str = "one", resumed: bool = False) -> RunWandbLogger:
    folder = tmp_path / "vae" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, folder, "fit", resumed)
    return RunWandbLogger(run, mode, {"a": 1}, WandbOptions(), Monitor("val/x", "min"))


def logged(log: Path, count: int) -> list[dict]:
    """The rows in a log; W&B's own process may close the file a moment after the run was finished."""
    end = time.monotonic() + 60.0
    while len(rows := list(history(log))) < count and time.monotonic() < end:
        time.sleep(0.1)
    return rows


class SlowRun:
    """A W&B run that hangs until it is let go, and then fails."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.logged: list[dict] = []
        self.url = "http://somewhere"

    def define_metric(self, *_: object, **__: object) -> None: ...

    def log(self, values: dict) -> None:
        self.go.wait(20)
        self.logged.append(values)
        raise ConnectionError("broken pipe\nand more")

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


def test_logging_returns_at_once_and_failures_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    run = SlowRun()
    monkeypatch.setattr(wandb, "init", lambda **_: run)
    logger = make_logger(tmp_path, "online")
    start = time.monotonic()
    for step in range(100):
        logger.log_metrics({"val/x": step}, step)
    assert time.monotonic() - start < 15.0, "where one call of W&B's takes 20 s"
    assert run.logged == [], "W&B hangs in the first call"
    run.go.set()
    logger.finalize("failed")
    assert [values["val/x"] for values in run.logged] == list(range(100)), "in order, each is tried"
    assert run.exit_code == 1
    assert said == [
        "W&B: http://somewhere",
        "W&B: not everything is logged (broken pipe); training goes on",
    ]


def test_a_start_that_hangs_does_not_hold_up_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    """Online, against a port that takes connections and never answers."""
    monkeypatch.setattr(wandb_logger, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(wandb_logger, "INIT_TIMEOUT_SECONDS", 4.0)
    with blackhole() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        monkeypatch.setenv("WANDB_MODE", "online")
        logger = make_logger(tmp_path, "online")
        start = time.monotonic()
        for step in range(10):
            logger.log_metrics({"val/x": step}, step)
        assert time.monotonic() - start < 3.5, "where the start takes 4 s"
        logger.finalize("success")
    assert logger.is_offline
    assert logger.where is not None
    rows = logged(next(Path(logger.where).glob("*.wandb")), count=10)
    assert [row["val/x"] for row in rows] == list(range(10)), "nothing of the time before is lost"
    assert said[0].startswith("W&B: cannot start online (")
    assert said[1] == f"W&B: offline; `wandb leet {logger.where}` shows it, `wandb sync` uploads it"


def test_a_start_that_takes_too_long_is_no_error_where_lightning_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    """The Trainer asks for `experiment` before it trains, with `hasattr`."""
    slow = SlowRun()
    monkeypatch.setattr(wandb_logger, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(wandb_logger, "INIT_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(wandb, "init", lambda **_: slow.go.wait(20) and slow)
    logger = make_logger(tmp_path, "offline")
    assert not hasattr(logger, "experiment")
    slow.go.set()
    assert logger.experiment is slow


def test_a_backend_that_goes_down_in_mid_run_loses_nothing_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(wandb_logger, "FINISH_TIMEOUT_SECONDS", 1.0)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        monkeypatch.setenv("WANDB_MODE", "online")
        logger = make_logger(tmp_path, "online")
        logger.log_metrics({"val/x": 0.0}, 0)
        assert logger.experiment.id == "one"
        server.broken = True
        start = time.monotonic()
        for step in range(1, 10):
            logger.log_metrics({"val/x": float(step)}, step)
        assert time.monotonic() - start < 5.0
        logger.finalize("success")
        assert time.monotonic() - start < 60.0, "the end does not wait for long, either"
    (log,) = tmp_path.glob("vae/one/wandb/run-*/run-one.wandb")
    assert [row["val/x"] for row in logged(log, count=10)] == [float(step) for step in range(10)]


def test_runs_of_one_process_do_not_leak_into_each_other(tmp_path: Path, said: list[str]) -> None:
    """Nor into a run that the user has started, in a notebook for instance."""
    own = wandb.init(mode="offline", dir=str(tmp_path), id="own", settings=wandb.Settings(console="off"))
    loggers = [make_logger(tmp_path, "offline", run_id) for run_id in ("one", "two")]
    for step in range(3):
        for number, logger in enumerate(loggers):
            logger.log_metrics({"val/x": 10 * number + step}, step)
    loggers[0].finalize("success")
    loggers[1].log_metrics({"val/x": 99}, 3)
    loggers[1].finalize("success")
    assert wandb.run is own, "the user's run goes on"
    own.log({"mine": 1})
    own.finish()
    counts = {"run-one": 3, "run-two": 4, "run-own": 1}
    logs = {path.stem: logged(path, counts[path.stem]) for path in tmp_path.rglob("*.wandb")}
    assert [row["val/x"] for row in logs["run-one"]] == [0, 1, 2]
    assert [row["val/x"] for row in logs["run-two"]] == [10, 11, 12, 99]
    assert [row.get("mine") for row in logs["run-own"]] == [1]
    again = make_logger(tmp_path, "offline", "three")
    assert again.experiment.id == "three"
    assert dict(again.experiment.config) == {"a": 1}
    again.finalize("success")


def test_a_continued_run_keeps_its_best_and_repeats_no_step(tmp_path: Path, said: list[str]) -> None:
    first = make_logger(tmp_path, "offline")
    table = RunCSVLogger(first.run.root)
    for step, value in enumerate([3.0, 1.0, 2.0]):
        for logger in (first, table):
            logger.log_metrics({"val/x": value, "lr": 0.1}, step)
            logger.save()
    first.log_metrics({"picture": "old"}, 2)
    first.finalize("failed")
    second = make_logger(tmp_path, "offline", resumed=True)
    for step, value in [(1, 1.0), (2, 2.0), (3, 5.0)]:
        table.log_metrics({"val/x": value, "lr": 0.1}, step)  # of the continued run, and no past of it
        table.save()
        second.log_metrics({"val/x": value, "lr": 0.1}, step)
        second.log_metrics({"new": 7, "picture": f"of {step}"}, step)
    run = second.experiment
    assert dict(run.summary["val/x"]) == {"min": 1.0}, "of both parts"
    second.finalize("success")
    *_, log = sorted(tmp_path.rglob("*.wandb"))
    names = ("trainer/global_step", "val/x", "new", "picture")
    rows = [tuple(row.get(name) for name in names) for row in logged(log, count=4)]
    assert rows == [(1, None, 7, None), (2, None, 7, None), (3, 5.0, None, None), (3, None, 7, "of 3")]


def test_names_are_the_options_then_the_environments_then_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_logger(tmp_path, "offline").init_options["group"] == "vae"
    monkeypatch.setenv("WANDB_RUN_GROUP", "from the environment")
    assert make_logger(tmp_path, "offline").init_options["group"] == "from the environment"
    run = Run(tmp_path, tmp_path, "fit", False)
    options = WandbOptions(project="p", entity="e", name="n", group="g", job_type="j", tags=["t"], notes="s")
    init = RunWandbLogger(run, "offline", {}, options, Monitor(None, "min")).init_options
    names = ("project", "entity", "name", "group", "job_type", "tags", "notes")
    assert [init[name] for name in names] == ["p", "e", "n", "g", "j", ["t"], "s"]
