"""A disk that is full, in bytes or in files, does not end a training."""

import os
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from tensorboard_log import read_log
from torch import nn
from toy_experiment import ToyModule

from lightning_modules.cli import main
from lightning_modules.runs.metrics import read_rows

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]


class Large(nn.Module):
    """Half a megabyte of weights, of which one is used."""

    def __init__(self, size: int = 130_000) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.full((size,), 0.1))

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.weight[0] * waveform


class Filler(ToyModule):
    """Fills the disk that it trains on after four of its steps, and makes room again after eight."""

    def __init__(self, sample_rate: int, clip_samples: int, how: str = "bytes") -> None:
        super().__init__(sample_rate, clip_samples, network=Large())
        self.how = how

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        disk = Path(self.trainer.default_root_dir).parents[1]
        if self.global_step == 5:
            remount(disk, "ro") if self.how == "read-only" else fill(disk, self.how)
        if self.global_step == 9:
            remount(disk, "rw") if self.how == "read-only" else free(disk)


def fill(disk: Path, how: str) -> None:
    with pytest.raises(OSError, match="No space left"):
        for number in range(100_000):
            with (disk / f"filler-{number}").open("wb") as file:
                if how == "bytes":
                    while True:
                        os.write(file.fileno(), bytes(4096))


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def free(disk: Path) -> None:
    for filler in disk.glob("filler-*"):
        filler.unlink()


@pytest.mark.parametrize(
    "how", ["bytes", *(pytest.param(how, marks=pytest.mark.slow) for how in ("files", "read-only"))]
)
def test_training_goes_on_and_keeps_the_last_good_checkpoint(
    how: str,
    small_disk: Path,
    toy_yaml: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    capfd: pytest.CaptureFixture,
) -> None:
    monkeypatch.setenv("LIGHTNING_TRUST", f"toy_experiment,{Filler.__module__}")
    if how == "read-only":  # a lock is a file that is open for writing, which keeps Linux from remounting
        monkeypatch.setattr("lightning_modules.cli.trainer.training_alone", lambda folder: nullcontext())
    config = toy_yaml.read_text().replace("toy_experiment.ToyModule", f"{Filler.__module__}.Filler")
    start, _, end = config.partition("    network:\n      class_path: toy_experiment.Scale\n")
    logger = "  callbacks:\n    - class_path: lightning_modules.callbacks.audio_logger.AudioLogger\n"
    toy_yaml.write_text(f"{start}    how: {how}\n{end}{logger}")
    command = ["fit", "--config", str(toy_yaml), "--run_id", "one", "--runs_dir", str(small_disk), *QUIET]
    main([*command, "--trainer.max_epochs", "3", "--trainer.logger", "TensorBoardLogger"])
    assert "Traceback" not in capfd.readouterr().err
    said = " ".join(str(warning.message) for warning in recwarn)
    assert "Cannot write the checkpoint" in said and "training goes on" in said
    assert "Cannot write samples" in said
    assert how == "files" or "toy/one/tensorboard/ (" in said
    last = torch.load(small_disk / "toy/one/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 12, "written when there was room again"
    assert not list(small_disk.rglob("*.part"))
    _, rows = read_rows(small_disk / "toy/one/metrics/version_0/metrics.csv")
    assert {row["step"] for row in rows} == {str(step) for step in range(12)}, "every step's figures"
    assert read_log(small_disk / "toy/one/tensorboard").scalars["train/loss"].keys() >= {0, 1, 2, 3}


@pytest.mark.parametrize("how", ["bytes", "files", "read-only"])
def test_a_disk_that_is_full_at_the_start_is_one_sentence(
    how: str, small_disk: Path, toy_yaml: Path, capsys: pytest.CaptureFixture
) -> None:
    remount(small_disk, "ro") if how == "read-only" else fill(small_disk, how)
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", str(toy_yaml), "--run_id", "one", "--runs_dir", str(small_disk), *QUIET])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert "error: Cannot write" in said and "--runs_dir" in said
