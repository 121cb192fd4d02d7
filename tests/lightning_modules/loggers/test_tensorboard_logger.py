"""A run in TensorBoard, read back from its event files and compared with the other logs of the same run."""

import csv
import math
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import soundfile
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard_log import read_log
from toy_experiment import ToyDataModule, ToyModule

from lightning_modules.callbacks.audio_logger import AudioLogger, write_group
from lightning_modules.cli import main
from lightning_modules.errors import InstallationError
from lightning_modules.loggers.tensorboard_logger import RunTensorBoardLogger, TensorBoardMedia
from lightning_modules.loggers.wandb_logger import Monitor
from lightning_modules.metrics.directions import better_direction
from lightning_modules.runs.folder import Run

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
  enable_model_summary: false
  callbacks:
    - class_path: lightning_modules.callbacks.AudioLogger
      init_args: {num_clips: 1, num_generated: 1}
    - class_path: lightning_modules.callbacks.Evaluation
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs, a third in a continued run, and a test: with TensorBoard."""
    folder = tmp_path_factory.mktemp("tensorboard")
    (folder / "toy.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "disabled")
        patch.setenv("LIGHTNING_TRUST", "toy_experiment")
        logger = ["--trainer.logger", "TensorBoardLogger"]
        main(["fit", "--config=toy.yaml", "--run_id=one", "--trainer.max_epochs=2", *logger])
        last = "runs/toy/one/checkpoints/last.ckpt"
        main(["fit", f"--ckpt_path={last}", "--trainer.max_epochs=3"])
        main(["test", f"--ckpt_path={last}"])
    return folder / "runs/toy/one"


def csv_scalars(root: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for file in sorted(root.glob("metrics/version_*/metrics.csv")):
        for row in csv.DictReader(file.open()):
            for name, text in row.items():
                if text and name != "step":
                    found.setdefault(name, {})[int(row["step"])] = float(text)
    return found


def test_every_scalar_is_that_of_the_csv_file(run: Path) -> None:
    for root in (run, run / "test"):
        shown = {
            name: each for name, each in read_log(root / "tensorboard").scalars.items() if "best/" not in name
        }
        expected = csv_scalars(root)
        assert shown.keys() == expected.keys()
        for name, values in expected.items():
            assert shown[name] == pytest.approx(values, rel=1e-6), name


def test_best_values_are_there_when_they_get_better(run: Path) -> None:
    """Against the running extremes of the CSV file, also across the two starts of the run."""
    scalars = read_log(run / "tensorboard").scalars
    logged = csv_scalars(run)
    shown = {
        name.removeprefix("best/"): values for name, values in scalars.items() if name.startswith("best/")
    }
    assert {"train/loss", "val/log_mel_distance", "val/si_sdr"} <= shown.keys()
    for name, values in shown.items():
        sign = 1 if better_direction(name) == "min" else -1
        best, expected = math.inf, {}
        for step, value in sorted(logged[name].items()):
            if sign * value < best:
                best, expected[step] = sign * value, value
        assert values == pytest.approx(expected, rel=1e-6), name


def test_what_is_no_better_is_no_best_value(tmp_path: Path) -> None:
    logger = RunTensorBoardLogger(tmp_path)
    for step, (distance, ratio) in enumerate([(3.0, 1.0), (1.0, 0.5), (2.0, 2.0), (math.nan, math.nan)]):
        logger.log_metrics({"val/log_mel_distance": distance, "val/si_sdr": ratio, "val/kl": 1.0}, step)
    logger.finalize("success")
    scalars = read_log(tmp_path).scalars
    assert {name: values for name, values in scalars.items() if "best/" in name} == {
        "best/val/log_mel_distance": {0: 3.0, 1: 1.0},
        "best/val/si_sdr": {0: 1.0, 2: 2.0},
    }


def test_sounds_and_pictures_are_the_files_of_the_run(run: Path) -> None:
    log = read_log(run / "tensorboard")
    for names, shown in (("*.wav", log.audio), ("*.png", log.images)):
        files = sorted((run / "samples").glob(f"step_*/{names}"))
        found = {
            (step, tag.rpartition("/")[2]): content
            for tag, by_step in shown.items()
            for step, content in by_step.items()
        }
        assert found == {(int(file.parent.name[5:]), file.stem): file.read_bytes() for file in files}
    assert set(log.audio) == {
        "audio/original/clip_0_original",
        "audio/reconstruction/clip_0_reconstruction",
        "audio/sample/sample_0",
    }
    assert set(log.images) == {"spectrogram/clip/clip_0", "spectrogram/sample/sample_0"}


def test_tables_are_those_of_the_run_folder(run: Path) -> None:
    for root, name in ((run, "samples"), (run / "test", "test/scores")):
        (texts,) = [read_log(root / "tensorboard").texts[name]]
        rows = list(csv.DictReader((root / "metrics/tables" / f"{name.replace('/', '_')}.csv").open()))
        for step, text in texts.items():
            head, _, *lines = [
                [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.split("\n")
            ]
            expected = [[row[column] for column in head] for row in rows if int(row["step"]) == step]
            assert [[Path(cell).name for cell in line] for line in lines] == [
                [Path(cell).name for cell in line] for line in expected
            ]
            assert lines


def test_options_are_those_of_the_config(run: Path) -> None:
    options = read_log(run / "tensorboard").options
    assert options["model/init_args/val_log_mel"] == "[3.0, 1.0, 2.0]"
    assert options["trainer/log_every_n_steps"] == 1.0
    assert options["data_identity/performances"] == 16.0


def test_a_logger_of_lightning_gets_sounds_and_pictures_too(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path / "logs", name="", version="")
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_epochs=1,
        logger=logger,
        callbacks=[AudioLogger()],
        **quiet,
    )
    trainer.fit(ToyModule(8000, 1600), datamodule=ToyDataModule())
    assert len(read_log(tmp_path / "logs").audio["audio/sample/sample_0"]) == 1


def test_stereo_stays_stereo_and_cells_may_hold_anything(tmp_path: Path) -> None:
    logger = RunTensorBoardLogger(tmp_path / "logs")
    media = TensorBoardMedia(logger)
    write_group(tmp_path, "sample_0", {"sample": torch.linspace(-1, 1, 8000).reshape(2, 4000)}, 8000)
    media.log_audio("audio/sample", [tmp_path / "sample_0.wav"], 1)
    media.log_table("t", ["a", "b"], [["x|y\nz", None]], 1)
    logger.finalize("success")
    log = read_log(tmp_path / "logs")
    (content,) = log.audio["audio/sample/sample_0"].values()
    (tmp_path / "again.wav").write_bytes(content)
    assert soundfile.info(tmp_path / "again.wav").channels == 2
    assert log.texts["t"] == {1: "| a | b |\n| --- | --- |\n| x\\|y z | None |"}


def test_a_full_disk_does_not_end_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = RunTensorBoardLogger()
    logger.bind(Run(tmp_path / "a/b", tmp_path / "a/b", "fit", resumed=False), {}, Monitor(None, "min"))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(logger.experiment), "add_scalar", refuse)
    with pytest.warns(UserWarning, match=r"tensorboard.* \(No space left on device\); training goes on"):
        logger.log_metrics({"train/loss": 1.0}, 1)
    assert logger.where == f"tensorboard --logdir {tmp_path}/a/b/tensorboard"
    monkeypatch.undo()
    logger.after_save_checkpoint(ModelCheckpoint())  # which was written: there is room again
    logger.log_metrics({"train/loss": 2.0}, 2)
    logger.finalize("success")
    assert read_log(tmp_path / "a/b/tensorboard").scalars["train/loss"] == {2: 2.0}


def test_a_file_in_the_place_of_the_folder_does_not_end_training(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    logger = RunTensorBoardLogger(tmp_path / "logs")
    with pytest.warns(UserWarning, match=r"Cannot write .*logs.*; training goes on"):
        logger.log_metrics({"train/loss": 1.0}, 1)
        TensorBoardMedia(logger).log_table("t", ["a"], [["b"]], 1)
    logger.finalize("success")


def test_without_the_package_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        InstallationError, match=r'TensorBoard is not installed\n.*pip install -e "\.\[tensorboard\]"'
    ):
        RunTensorBoardLogger()
