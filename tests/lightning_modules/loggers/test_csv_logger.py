"""The CSV file of a run: whole, without repetitions, and the memory of what was logged before."""

import math
import os
from pathlib import Path

import pytest

from lightning_modules.loggers.csv_logger import (
    ExperimentWriter,
    Past,
    RunCSVLogger,
    logged_before,
)
from lightning_modules.runs.metrics import read_rows


def log(logger: RunCSVLogger, rows: dict[int, dict[str, float]]) -> None:
    for step, values in rows.items():
        logger.log_metrics(values, step)
        logger.save()


def rows_of(folder: Path, version: int = 0, name: str = "metrics.csv") -> list[tuple[str, ...]]:
    return [(row["step"], row["a"]) for row in read_rows(folder / f"metrics/version_{version}" / name)[1]]


def test_a_value_that_is_logged_again_for_its_step_is_written_once(tmp_path: Path):
    logger = RunCSVLogger(tmp_path)
    for values in ({"a": 1.0, "epoch": 0}, {"a": 1.0, "epoch": 0}, {"a": math.nan}, {"a": math.nan}):
        log(logger, {3: values})
    log(logger, {4: {"a": math.nan}})
    names, rows = read_rows(tmp_path / "metrics/version_0/metrics.csv")
    assert [(row["step"], row["a"]) for row in rows] == [("3", "1.0"), ("3", "nan"), ("4", "nan")]
    assert set(names) == {"step", "a", "epoch"}


def test_a_column_that_appears_later(tmp_path: Path):
    log(RunCSVLogger(tmp_path), {1: {"a": 1.0}, 2: {"b": 2.0}})
    _, rows = read_rows(tmp_path / "metrics/version_0/metrics.csv")
    assert [(row["step"], row["a"], row["b"]) for row in rows] == [("1", "1.0", ""), ("2", "", "2.0")]


def test_a_continued_run_moves_what_it_is_about_to_log_again(tmp_path: Path):
    log(RunCSVLogger(tmp_path), {step: {"a": float(step)} for step in range(4)})
    continued = RunCSVLogger(tmp_path)
    continued.rewind(2)
    log(continued, {2: {"a": 20.0}})
    assert rows_of(tmp_path) == [("0", "0.0"), ("1", "1.0")]
    assert rows_of(tmp_path, name="superseded-1.csv") == [("2", "2.0"), ("3", "3.0")]
    assert rows_of(tmp_path, version=1) == [("2", "20.0")]
    continued.rewind(1)
    assert rows_of(tmp_path, name="superseded-2.csv") == [("1", "1.0")], "nothing is overwritten"


def test_what_was_logged_before(tmp_path: Path):
    assert logged_before(tmp_path) == {}
    log(RunCSVLogger(tmp_path), {1: {"a": 3.0, "b": 1.0}, 2: {"a": math.inf}, 5: {"a": math.nan}})
    RunCSVLogger(tmp_path).rewind(2)
    assert logged_before(tmp_path) == {"a": Past(5, 3.0, 3.0), "b": Past(1, 1.0, 1.0)}, "superseded rows too"
    log(RunCSVLogger(tmp_path), {3: {"a": -1.0}})
    assert logged_before(tmp_path)["a"] == Past(5, -1.0, 3.0), "and those of all versions"


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path):
    log(RunCSVLogger(tmp_path), {1: {"a": 3.0}, 2: {"a": 4.0}})
    file = tmp_path / "metrics/version_0/metrics.csv"
    file.write_text(file.read_text().rstrip("\n") + "5")
    assert rows_of(tmp_path) == [("1", "3.0")]


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    logger = RunCSVLogger(tmp_path)
    log(logger, {1: {"a": 1.0}})
    file = tmp_path / "metrics/version_0/metrics.csv"
    before = file.read_bytes()

    def fail(self: ExperimentWriter) -> None:
        with file.open("a") as stream:
            stream.write("2,")  # half a line
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match=r"metrics\.csv.*trying again"):
        patch.setattr(ExperimentWriter, "save", fail)
        log(logger, {2: {"a": 2.0}})
    assert file.read_bytes() == before
    log(logger, {3: {"a": 3.0}})
    assert rows_of(tmp_path) == [("1", "1.0"), ("2", "2.0"), ("3", "3.0")]
