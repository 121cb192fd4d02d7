"""One run in W&B and in TensorBoard: what both were given, read back from disk and compared item by item."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard_log import read_log
from wandb_log import history, read_records

from lightning_modules.cli import main

pytestmark = pytest.mark.slow

EXPERIMENT = """
experiment: toy
model:
  class_path: toy_experiment.ToyModule
  init_args: {network: {class_path: toy_experiment.Scale}, val_log_mel: [3, 1, 2]}
data: {class_path: toy_experiment.ToyDataModule}
trainer:
  accelerator: cpu
  max_epochs: 3
  log_every_n_steps: 1
  enable_progress_bar: false
  callbacks:
    - class_path: lightning_modules.callbacks.AudioLogger
      init_args: {num_clips: 1, num_generated: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two_logs")
    (folder / "toy.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DATA_DIR", str(folder / "data"))
        main(["fit", "--config=toy.yaml", "--run_id=one", "--trainer.logger", "TensorBoardLogger"])
    return folder / "runs/toy/one"


@pytest.fixture(scope="module")
def wandb_log(run: Path) -> Path:
    (log,) = run.glob("wandb/offline-run-*/run-*.wandb")
    return log


@pytest.fixture(scope="module")
def rows(wandb_log: Path) -> list[dict[str, Any]]:
    return list(history(wandb_log))


def test_scalars(run: Path, rows: list[dict[str, Any]]) -> None:
    theirs: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int | float) and not name.startswith(("_", "trainer/")):
                theirs.setdefault(name, {})[row["trainer/global_step"]] = value
    shown = read_log(run / "tensorboard").scalars
    assert shown.keys() - {name for name in shown if name.startswith("best/")} == theirs.keys()
    for name, values in theirs.items():
        assert shown[name] == pytest.approx(values, rel=1e-6), name


def test_sounds_and_pictures(run: Path, wandb_log: Path, rows: list[dict[str, Any]]) -> None:
    log, files = read_log(run / "tensorboard"), wandb_log.parent / "files"
    count = 0
    for row in rows:
        step = row["trainer/global_step"]
        for name, value in row.items():
            if name.startswith("audio/"):
                for each, caption in zip(value["audio"], value["captions"], strict=True):
                    assert log.audio[f"{name}/{caption}"][step] == (files / each["path"]).read_bytes()
                    count += 1
            elif name.startswith("spectrogram/"):
                for path, caption in zip(value["filenames"], value["captions"], strict=True):
                    assert log.images[f"{name}/{caption}"][step] == (files / path).read_bytes()
                    count += 1
    assert count == sum(len(steps) for kind in (log.audio, log.images) for steps in kind.values()) == 15


def test_tables(run: Path, wandb_log: Path, rows: list[dict[str, Any]]) -> None:
    texts = read_log(run / "tensorboard").texts["samples"]
    tables = {row["trainer/global_step"]: row["samples"] for row in rows if "samples" in row}
    assert texts.keys() == tables.keys()
    for step, table in tables.items():
        content = json.loads((wandb_log.parent / "files" / table["path"]).read_text())
        head, _, *lines = [line.strip("| ").split(" | ") for line in texts[step].splitlines()]
        assert head == content["columns"]
        assert [line[:4] for line in lines] == [[str(cell) for cell in row[:4]] for row in content["data"]]


def test_best_values(run: Path, wandb_log: Path) -> None:
    scalars = read_log(run / "tensorboard").scalars
    summary: dict[str, float] = {}
    for record in read_records(wandb_log):
        if record.WhichOneof("record_type") == "summary":
            for item in record.summary.update:
                value = json.loads(item.value_json)
                if isinstance(value, dict) and "min" in value:
                    summary[item.nested_key[0]] = value["min"]
    assert summary["val/log_mel_distance"] == 1.0
    for name, value in summary.items():
        assert list(scalars[f"best/{name}"].values())[-1] == pytest.approx(value, rel=1e-6)


def test_options(run: Path, wandb_log: Path) -> None:
    options = read_log(run / "tensorboard").options
    (first, *_) = [each.run for each in read_records(wandb_log) if each.WhichOneof("record_type") == "run"]
    config = {item.key: json.loads(item.value_json) for item in first.config.update if item.key}
    assert options["model/init_args/val_log_mel"] == str(config["model"]["init_args"]["val_log_mel"])
    assert options["trainer/max_epochs"] == config["trainer"]["max_epochs"] == 3
