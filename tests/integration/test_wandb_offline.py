"""Without an account: what W&B's own reader finds in the log of a run that was killed and continued."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb_log import history
from wandb_server import API_KEY, serving

from lightning_modules.cli import main

pytestmark = pytest.mark.slow

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
EXPERIMENT = """
experiment: toy
model:
  class_path: toy_experiment.ToyModule
  init_args: {network: {class_path: toy_experiment.Scale}, val_log_mel: [3, 1, 2, 4]}
data: {class_path: toy_experiment.ToyDataModule}
trainer:
  accelerator: cpu
  max_epochs: 4
  log_every_n_steps: 1
  callbacks:
    - class_path: lightning_modules.callbacks.audio_logger.AudioLogger
      init_args: {num_clips: 1, num_generated: 0}
"""
TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run that SIGKILL ended at step 10 of 16 and that went on from step 8."""
    folder = tmp_path_factory.mktemp("offline")
    (folder / "toy.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DATA_DIR", str(folder / "data"))
        paths = [str(TOYS), str(TOYS.parents[1]), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        command = [sys.executable, "-m", "lightning_modules", "fit", "--config=toy.yaml", "--run_id=one"]
        killed = subprocess.run(
            [*command, "--model.kill_at_step=10", *QUIET], capture_output=True, text=True, timeout=120
        )
        assert killed.returncode == -9, killed.stderr
        last = "runs/toy/one/checkpoints/last.ckpt"
        main(["fit", f"--ckpt_path={last}", "--model.kill_at_step=-1", *QUIET])
        yield folder / "runs/toy/one"


@pytest.fixture(scope="module")
def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.fixture(scope="module")
def records(logs: list[Path]) -> list[dict[str, Any]]:
    """All that W&B's reader finds, in order."""
    lines: list[str] = []
    for log in logs:
        shown = subprocess.run(
            ["wandb", "leet", "inspect", "--json", str(log)], capture_output=True, text=True
        )
        assert shown.returncode == 0, shown.stderr
        lines += shown.stdout.splitlines()
    return [json.loads(line) for line in lines]


def items(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def test_it_is_one_run(records: list[dict[str, Any]], logs: list[Path]) -> None:
    runs = [record["run"] for record in records if record["type"] == "run"]
    assert len(logs) == 2
    assert {run["run_id"] for run in runs} == {"one"}
    assert {run["run_group"] for run in runs} == {"toy"}


def test_the_config_is_there(records: list[dict[str, Any]]) -> None:
    run = next(record["run"] for record in records if record["type"] == "run")
    config = run["config"]["update"]
    assert config["model"]["init_args"]["val_log_mel"] == [3, 1, 2, 4]
    assert config["trainer"]["max_epochs"] == 4


def test_every_scalar_once_and_in_order_as_in_the_csv_file(
    records: list[dict[str, Any]], folder: Path
) -> None:
    rows = items(records)
    losses = {row["trainer/global_step"]: row["train/loss"] for row in rows if "train/loss" in row}
    steps = [row["trainer/global_step"] for row in rows if "train/loss" in row]
    assert steps == list(range(16))
    text = (folder / "metrics/version_1/metrics.csv").read_text()
    assert all(str(losses[step]) in text for step in range(10, 16))
    assert [row["val/log_mel_distance"] for row in rows if "val/log_mel_distance" in row] == [3, 1, 2, 4]


def test_audio_and_images_in_order(records: list[dict[str, Any]], folder: Path) -> None:
    rows = [row for row in items(records) if "audio/reconstruction._type" in row]
    assert [row["trainer/global_step"] for row in rows] == [4, 8, 12, 16]
    for row in rows:
        (audio,) = row["audio/reconstruction.audio"]
        (stored,) = folder.glob(f"wandb/offline-run-*/files/{audio['path']}")
        step = row["trainer/global_step"]
        assert (
            stored.read_bytes()
            == (folder / f"samples/step_{step:06d}/clip_0_reconstruction.wav").read_bytes()
        )
    pictures = [row for row in items(records) if "spectrogram/clip._type" in row]
    assert [row["spectrogram/clip.captions"] for row in pictures] == [["clip_0"]] * 4


def test_our_reader_agrees_with_wandbs(records: list[dict[str, Any]], logs: list[Path]) -> None:
    def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        found = {}
        for name, value in row.items():
            nested = isinstance(value, dict)
            found |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
        return found

    ours = [flat(row) for log in logs for row in history(log)]
    theirs = [flat(row) for row in items(records)]
    assert ours == theirs


def test_wandb_sync_makes_one_run_of_it(
    logs: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving() as server:
        for name, value in {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": API_KEY}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("WANDB_MODE")
        command = ["wandb", "sync", "--yes", *(str(log.parent) for log in logs)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert set(server.runs) == {"one"}
        rows = server.runs["one"].history
    wandb.teardown()
    assert [row["trainer/global_step"] for row in rows if "train/loss" in row] == list(range(16))
    steps = [row["_step"] for row in rows]
    assert steps == sorted(set(steps))
