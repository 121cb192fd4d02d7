"""Pieces of a note prior while it trains: in the run's folder, in W&B and in TensorBoard, read back."""

import csv
import functools
import io
import os
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import soundfile
import torch
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image
from tensorboard_log import read_log
from toy_experiment import ToyDataModule, ToyModule
from toy_models import make_player, save

from datamodules import MaestroNotesDataModule
from datamodules.release.notes import read_played
from lightning_modules import NotePrior, load_module
from lightning_modules.audio.files import LOUDEST
from lightning_modules.audio.midi_sink import MidiSink
from lightning_modules.callbacks import PieceLogger
from lightning_modules.errors import OptionError
from lightning_modules.loggers.csv_logger import RunCSVLogger
from lightning_modules.networks import NoteTransformer
from lightning_modules.runs.metrics import read_rows

SECONDS = 20.0
PIECES = functools.partial(PieceLogger, num_pieces=2, seconds=SECONDS, most_tokens=200)


def make_prior(size: int = 411) -> NotePrior:
    torch.manual_seed(0)
    network = NoteTransformer(size, width=16, layers=1, heads=2, dropout=0.5)  # which draws in every step
    return NotePrior(network, 32, functools.partial(torch.optim.AdamW, lr=1e-2))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MaestroNotesDataModule:
    cache = tmp_path_factory.mktemp("notes")
    return MaestroNotesDataModule(cache_dir=cache, window_tokens=32, batch_size=4, progress=False)


def fit(folder: Path, data: pl.LightningDataModule, *callbacks: pl.Callback, loggers: tuple = ()) -> None:
    """Four steps, validated after each second one."""
    module = make_prior()
    torch.manual_seed(1)
    trainer = pl.Trainer(
        max_steps=4,
        max_epochs=-1,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        limit_val_batches=2,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        accelerator="cpu",
        default_root_dir=folder,
        logger=[RunCSVLogger(folder), *loggers],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    trainer.fit(module, datamodule=data)


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_player(), tmp_path_factory.mktemp("player") / "player.ckpt")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: MaestroNotesDataModule, player: Path) -> Path:
    """A run with all three loggers, and a model that plays the pieces."""
    folder = tmp_path_factory.mktemp("run")
    import wandb

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DATA_DIR", str(folder / "data"))
        loggers = (WandbLogger(save_dir=folder), TensorBoardLogger(folder, name="tensorboard"))
        fit(folder, data, PIECES(render=str(player)), loggers=loggers)
        wandb.finish()
    return folder


def pictures(run: Path, step: int) -> list[bytes]:
    return [(run / f"samples/step_{step:06d}/piece_{index}.png").read_bytes() for index in (0, 1)]


@pytest.mark.slow
def test_pieces_lie_in_the_run_s_folder(run: Path) -> None:
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["step_000002", "step_000004"]
    for step in (2, 4):
        folder = run / f"samples/step_{step:06d}"
        names = [f"piece_{index}.{kind}" for index in (0, 1) for kind in ("mid", "png", "wav")]
        assert sorted(path.name for path in folder.iterdir()) == names
        pieces = [read_played((folder / f"piece_{index}.mid").read_bytes()) for index in (0, 1)]
        for piece in pieces:
            assert len(piece.notes.pitch) > 2 and piece.notes.offset.max() <= SECONDS + 1e-3
        assert not np.array_equal(pieces[0].notes.pitch, pieces[1].notes.pitch)  # another seed
        for content in pictures(run, step):
            assert Image.open(io.BytesIO(content)).size == (1100, 250)
        sound, rate = soundfile.read(folder / "piece_0.wav", always_2d=True)
        assert len(sound) == 22 * rate and np.isfinite(sound).all() and np.abs(sound).max() > 1e-3
    with (run / "metrics/tables/pieces.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["piece"]) for row in rows] == [
        (step, piece) for step in ("2", "4") for piece in ("piece_0", "piece_1")
    ]
    assert int(rows[-1]["notes"]) == len(pieces[1].notes.pitch)


@pytest.mark.slow
def test_pieces_lie_in_wandb_s_media_folder(run: Path) -> None:
    (media,) = run.glob("wandb/offline-run-*/files/media")
    stored = [path.read_bytes() for path in (media / "images/piano_roll").glob("*.png")]
    assert sorted(stored) == sorted([*pictures(run, 2), *pictures(run, 4)])
    sounds = [path.read_bytes() for path in (media / "audio/audio").glob("*.wav")]
    assert sorted(sounds) == sorted(path.read_bytes() for path in run.glob("samples/*/piece_*.wav"))


@pytest.mark.slow
def test_pieces_lie_in_tensorboard_s_event_file(run: Path) -> None:
    log = read_log(run / "tensorboard/version_0")
    for index in (0, 1):
        (tag,) = [tag for tag in log.images if tag.endswith(f"piece_{index}")]
        for step in (2, 4):
            stored, known = (
                np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
                for content in (log.images[tag][step], pictures(run, step)[index])
            )
            np.testing.assert_array_equal(stored, known)
        assert set(log.audio[next(tag for tag in log.audio if tag.endswith(f"piece_{index}"))]) == {2, 4}


def test_losses_are_those_of_a_training_without(
    tmp_path: Path, data: MaestroNotesDataModule, player: Path
) -> None:
    fit(tmp_path / "without", data)
    fit(tmp_path / "with", data, PIECES(num_pieces=1, every_n_validations=2, render=str(player)))
    assert {path.name for path in tmp_path.glob("with/samples/step_000004/*")} == {
        *("piece_0.mid", "piece_0.png", "piece_0.wav")
    }
    assert [path.name for path in tmp_path.glob("with/samples/*")] == ["step_000004"]
    kept = []
    for folder in (tmp_path / "with", tmp_path / "without"):
        (file,) = folder.glob("**/version_*/metrics.csv")
        _, rows = read_rows(file)
        names = ("train/nats_per_token", "val/nats_per_token", "val/nats_per_note")
        kept.append([row[name] for row in rows for name in names if row.get(name)])
    assert len(kept[0]) == 8 and kept[0] == kept[1]


def test_a_folder_that_cannot_be_written(tmp_path: Path, data: MaestroNotesDataModule) -> None:
    (tmp_path / "samples").touch()  # no folder
    with pytest.warns(UserWarning, match="Cannot write samples"):
        fit(tmp_path, data, PIECES())


class LeaveFree(pl.Callback):
    """Fills a disk when training begins, but for some bytes."""

    def __init__(self, disk: Path, num_bytes: int) -> None:
        self.disk = disk
        self.num_bytes = num_bytes

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        size = os.statvfs(self.disk)
        (self.disk / "filler").write_bytes(bytes(size.f_bavail * size.f_bsize - self.num_bytes))


@pytest.mark.parametrize("num_bytes", [200_000, 900_000])
def test_a_disk_that_fills_costs_the_sound_alone(
    num_bytes: int, small_disk: Path, data: MaestroNotesDataModule, player: Path
) -> None:
    """In the middle of the sound that waits, 704 kB of float32, or of the file that is made of it, 352 kB."""
    pieces = PIECES(num_pieces=1, every_n_validations=2, render=str(player))
    with pytest.warns(UserWarning, match=r"piece_0\.wav: cannot be written \(.*\); training goes on"):
        fit(small_disk, data, LeaveFree(small_disk, num_bytes), pieces)
    written = [path.name for path in (small_disk / "samples/step_000004").iterdir()]
    assert sorted(written) == ["piece_0.mid", "piece_0.png"]


def test_loud_pieces_are_turned_down_as_rendered_ones_are(
    tmp_path: Path, data: MaestroNotesDataModule, player: Path
) -> None:
    pieces = PIECES(render=str(player))
    module = load_module(player)
    render = type(module).render
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(module), "render", lambda *arguments: 1e3 * render(*arguments))
        with MidiSink(tmp_path / "piece.mid") as midi:
            midi.note(0.5, 1.0, 60, 100)
        sound, _ = soundfile.read(pieces._play(module, data, tmp_path / "piece"))
    assert np.abs(sound).max() == pytest.approx(LOUDEST, abs=1e-4)


def test_other_models_and_other_data_are_refused(tmp_path: Path, data: MaestroNotesDataModule) -> None:
    with pytest.raises(OptionError, match="ToyModule composes nothing"):
        pl.Trainer(max_steps=1, logger=False, enable_checkpointing=False, callbacks=[PIECES()]).fit(
            ToyModule(8000, 1600), datamodule=ToyDataModule()
        )
    with pytest.raises(OptionError, match="ToyDataModule, has no tokens of notes"):
        fit(tmp_path, ToyDataModule(), PIECES())
    torch_prior = save(make_prior(), tmp_path / "prior.ckpt")
    with pytest.raises(OptionError, match="a NotePrior that plays no notes"):
        fit(tmp_path, data, PIECES(render=str(torch_prior)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_pieces": 0}, "PieceLogger's num_pieces is 0"),
        ({"seconds": 0.0}, "PieceLogger's seconds is 0.0"),
        ({"temperature": -1.0}, "PieceLogger's temperature is -1.0"),
        ({"top_p": 1.5}, "PieceLogger's top_p is 1.5"),
        ({"most_tokens": 0}, "PieceLogger's most_tokens is 0"),
        ({"every_n_validations": 0}, "PieceLogger's every_n_validations is 0"),
        ({"seed": -1}, "PieceLogger's seed is -1"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        PieceLogger(**options)
