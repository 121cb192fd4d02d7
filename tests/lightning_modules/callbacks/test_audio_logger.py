"""Audio and pictures while a model trains."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import soundfile
import torch
from toy_experiment import NoiseClips, ToyDataModule, ToyModule

from lightning_modules.base import Reconstructs
from lightning_modules.callbacks.audio_logger import AudioLogger


class Blind(ToyModule):
    lacks = frozenset({Reconstructs})

    def reconstruct(self, waveform: torch.Tensor) -> torch.Tensor:
        raise AssertionError("must not be called")


class Dice(ToyModule):
    """Draws a random number in each training step."""

    def training_step(self, batch, batch_idx):
        self.drawn = [*getattr(self, "drawn", []), torch.rand(()).item()]
        return super().training_step(batch, batch_idx)


def fit(folder: Path, module: ToyModule, *callbacks: pl.Callback, **options: object) -> None:
    torch.manual_seed(1)
    trainer = pl.Trainer(
        **{"max_epochs": 1, **options},
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    trainer.fit(module, datamodule=ToyDataModule())


def read(path: Path) -> np.ndarray:
    audio, rate = soundfile.read(path, dtype="float32")
    assert rate == 8000
    return audio


def test_clips_are_spread_over_the_split_and_paired_with_reconstructions(tmp_path: Path) -> None:
    module = ToyModule(8000, 1600)
    fit(tmp_path, module, AudioLogger(num_clips=2, num_generated=1))
    folder = tmp_path / "samples" / "step_000004"
    assert sorted(path.name for path in folder.iterdir()) == [
        "clip_0.png",
        "clip_0_original.wav",
        "clip_0_reconstruction.wav",
        "clip_1.png",
        "clip_1_original.wav",
        "clip_1_reconstruction.wav",
        "sample_0.png",
        "sample_0.wav",
    ]
    validation = NoiseClips(16, 1, 1600, seed=1).waveform
    weight = module.network.weight.item()
    for name, index in (("clip_0", 0), ("clip_1", 8)):  # 4 batches of 4: the first clips of batches 0 and 2
        clip = validation[index, 0].numpy()
        step = 2 / 32768  # of 16-bit samples
        np.testing.assert_allclose(read(folder / f"{name}_original.wav"), clip, atol=step)
        np.testing.assert_allclose(read(folder / f"{name}_reconstruction.wav"), weight * clip, atol=step)
    header = (folder / "clip_0.png").read_bytes()[:8]
    assert header == b"\x89PNG\r\n\x1a\n"


def test_generated_clips_hear_the_same_noise_each_time(tmp_path: Path) -> None:
    logger = AudioLogger(num_clips=0, num_generated=1, generated_seconds=0.05)
    frozen = ToyModule(8000, 1600)
    frozen.network.weight.requires_grad_(False)
    frozen.training_step = lambda batch, batch_idx: None  # type: ignore[method-assign]
    fit(tmp_path, frozen, logger, max_epochs=2, limit_train_batches=1)
    # nothing was trained, so the step did not move: the second epoch's folder got another name
    first, second = (read(path) for path in sorted((tmp_path / "samples").glob("*/sample_0.wav")))
    assert first.shape == (400,)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first).max() > 0.01


def test_random_numbers_of_training_are_not_touched(tmp_path: Path) -> None:
    without, with_ = Dice(8000, 1600), Dice(8000, 1600)
    fit(tmp_path / "a", without, max_epochs=2)
    fit(tmp_path / "b", with_, AudioLogger(num_clips=1, num_generated=1), max_epochs=2)
    assert (tmp_path / "b" / "samples").exists()
    assert without.drawn == with_.drawn


def test_every_few_epochs_and_the_last(tmp_path: Path) -> None:
    fit(
        tmp_path,
        ToyModule(8000, 1600),
        AudioLogger(every_n_validations=2, num_clips=0, num_generated=1),
        max_epochs=4,
    )
    steps = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert steps == ["step_000004", "step_000012", "step_000016"]  # epochs 1, 3 and, as the last, 4


def test_a_model_that_cannot_reconstruct_is_only_sampled(tmp_path: Path) -> None:
    fit(tmp_path, Blind(8000, 1600), AudioLogger(num_clips=2, num_generated=1))
    names = sorted(path.name for path in (tmp_path / "samples" / "step_000004").iterdir())
    assert names == ["sample_0.png", "sample_0.wav"]


def test_long_clips_are_cut(tmp_path: Path) -> None:
    fit(tmp_path, ToyModule(8000, 1600), AudioLogger(num_clips=1, num_generated=0, clip_seconds=0.1))
    assert read(tmp_path / "samples" / "step_000004" / "clip_0_reconstruction.wav").shape == (800,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_validations": 0}, "every_n_validations is 0\n.*give at least 1"),
        ({"num_clips": -1}, "num_clips is -1\n.*give at least 0"),
        ({"num_generated": -2}, "num_generated is -2\n.*give at least 0"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioLogger(**options)
