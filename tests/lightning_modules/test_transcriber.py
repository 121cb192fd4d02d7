"""The transcriber as a LightningModule: what it learns from, the thresholds it keeps, its scores."""

import functools

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer

from datamodules.batch import Batch, NoteBatch
from lightning_modules.base import can_reconstruct, can_sample, load_module
from lightning_modules.errors import OptionError
from lightning_modules.networks.transcriber import Transcriber
from lightning_modules.transcriber import PianoTranscriber

RATE, CLIP = 8000, 8192


def make_module(**options) -> PianoTranscriber:
    torch.manual_seed(0)
    network = Transcriber(RATE, width=8, dilations=(1, 2))
    return PianoTranscriber(RATE, CLIP, network, functools.partial(torch.optim.AdamW, lr=1e-2), **options)


def make_batch(seed: int = 0, clips: int = 4, with_notes: bool = True) -> Batch:
    """Two decaying tones of four harmonics in each clip."""
    random = np.random.default_rng(seed)
    onset, pitch = np.sort(random.uniform(0.1, 0.8, (clips, 2))), random.integers(50, 70, (clips, 2))
    velocity = random.integers(30, 127, (clips, 2))
    time = np.arange(CLIP) / RATE
    waveform = np.zeros((clips, 1, CLIP))
    for index in np.ndindex(clips, 2):
        since = np.clip(time - onset[index], 0, None)
        for number in range(1, 5):
            angle = 2 * np.pi * number * 440 * 2 ** ((pitch[index] - 69) / 12) * since
            waveform[index[0], 0] += velocity[index] / 1000 / number * np.sin(angle) * np.exp(-6 * since)
    sample = onset * RATE
    zeros = torch.zeros(clips, 2)
    notes = NoteBatch(
        pitch=torch.from_numpy(pitch),
        onset_sample=torch.from_numpy(np.floor(sample).astype(np.int64)),
        onset_fraction=torch.from_numpy(sample - np.floor(sample)).float(),
        offset=torch.from_numpy(onset + 0.2).float(),
        sounding_offset=torch.from_numpy(onset + 0.3).float(),
        velocity=torch.from_numpy(velocity).float(),
        pedals_at_onset=torch.zeros(clips, 2, 3),
        mask=zeros == 0,
        pedals=torch.zeros(clips, 3, 1),
        mean_velocity=torch.zeros(clips),
        start_sample=torch.zeros(clips, dtype=torch.int64),
        gain=torch.ones(clips),
    )
    place = torch.zeros(clips, dtype=torch.int64)
    return Batch(torch.from_numpy(waveform).float(), place, place, notes if with_notes else None)


class Tones(LightningDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader([make_batch(seed) for seed in range(150)], batch_size=None)

    def val_dataloader(self):
        return torch.utils.data.DataLoader([make_batch(1000)], batch_size=None)

    test_dataloader = val_dataloader


def trainer(folder, **options) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(accelerator="cpu", logger=False, default_root_dir=folder, **quiet, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[PianoTranscriber, Trainer]:
    module, fit = make_module(), trainer(tmp_path_factory.mktemp("fit"), max_epochs=1)
    fit.fit(module, Tones())
    return module, fit


def test_it_learns_to_hear_notes_it_was_not_trained_on(trained):
    module, fit = trained
    (found,) = fit.test(module, Tones(), verbose=False)
    assert found["test/note_f_score"] > 0.8
    assert found["test/note_f_score"] == pytest.approx(fit.callback_metrics["test/note_f_score"].item())


def test_thresholds_are_of_the_validation_split_and_in_the_checkpoint(trained, tmp_path):
    module, fit = trained
    fit.save_checkpoint(tmp_path / "a.ckpt")
    opened = load_module(tmp_path / "a.ckpt", torch.device("cpu"))
    for name in ("onset_threshold", "sounding_threshold"):
        assert getattr(opened.transcriber, name) == getattr(module.transcriber, name)
    waveform = make_batch(7).waveform
    for one, other in zip(opened(waveform), module.eval()(waveform), strict=True):
        torch.testing.assert_close(one, other)


def test_without_notes_the_option_is_named():
    with pytest.raises(OptionError) as caught:
        make_module().training_step(make_batch(with_notes=False), 0)
    assert "with_notes" in caught.value.remedy


def test_a_network_of_another_rate_is_refused():
    with pytest.raises(OptionError, match="16000 Hz"):
        PianoTranscriber(RATE, CLIP, Transcriber(16_000, width=2))


def test_it_makes_no_sound():
    module = make_module()
    assert not can_sample(module) and not can_reconstruct(module)
