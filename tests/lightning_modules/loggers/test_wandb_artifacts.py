"""Versions of checkpoints: each new best, and the last."""

import os
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_modules.loggers.wandb_artifacts import CheckpointArtifacts


def write(path: Path, step: int) -> Path:
    """Replace a checkpoint by another, as they are replaced in training."""
    torch.save({"global_step": step}, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)
    later = time.time_ns() + 1_000_000_000 * (step + 1)
    os.utime(path, ns=(later, later))
    return path


@pytest.fixture
def callback(tmp_path: Path) -> ModelCheckpoint:
    callback = ModelCheckpoint(tmp_path, monitor="val/x")
    callback.best_model_path, callback.best_model_score = str(tmp_path / "best.ckpt"), torch.tensor(0.5)
    return callback


def test_a_new_best_is_one_version(tmp_path: Path, callback: ModelCheckpoint):
    artifacts = CheckpointArtifacts("one")
    assert artifacts.new_best(callback) == [], "nothing is written yet"
    best = write(tmp_path / "best.ckpt", 10)
    (version,) = artifacts.new_best(callback)
    assert (version.name, version.file_name, version.aliases) == (
        "model-one",
        "best.ckpt",
        ["best", "step-10"],
    )
    assert version.metadata == {"global_step": 10, "monitor": "val/x", "score": 0.5}
    assert artifacts.new_best(callback) == [], "not a second time"
    write(best, 20)
    (newer,) = artifacts.new_best(callback)
    assert torch.load(version.path)["global_step"] == 10, "an upload that comes later has the old content"
    assert torch.load(newer.path)["global_step"] == 20


def test_the_last_comes_at_the_end(tmp_path: Path, callback: ModelCheckpoint):
    artifacts = CheckpointArtifacts("one")
    assert artifacts.last() == [], "no checkpoint was ever saved"
    artifacts.new_best(callback)
    assert artifacts.last() == []
    write(tmp_path / "last.ckpt", 30)
    (version,) = artifacts.last()
    assert (version.file_name, version.aliases, version.metadata) == (
        "last.ckpt",
        ["last", "step-30"],
        {"global_step": 30},
    )


def test_the_artifact_has_the_file_and_leaves_no_trace(tmp_path: Path, callback: ModelCheckpoint):
    artifacts = CheckpointArtifacts("one")
    write(tmp_path / "best.ckpt", 10)
    (version,) = artifacts.new_best(callback)
    artifact = version.artifact()
    assert (artifact.name, artifact.type, list(artifact.manifest.entries)) == (
        "model-one",
        "model",
        ["best.ckpt"],
    )
    assert artifact.metadata["global_step"] == 10
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]
