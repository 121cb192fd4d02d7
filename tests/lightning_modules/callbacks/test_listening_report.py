"""What a test leaves to listen to."""

from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from toy_experiment import NoiseClips, ToyDataModule, ToyModule
from toy_models import make_player
from toy_notes import note_batch

from datamodules.batch import Batch, Notes, part_of
from lightning_modules.base import Reconstructs, Samples
from lightning_modules.callbacks.listening_report import ClipChoice, ListeningReport
from lightning_modules.errors import OptionError
from lightning_modules.reports.listening_set import Note, read_audio, read_listening_set

RATE = 8000
TEST_SPLIT = NoiseClips(16, 1, 1600, seed=2).waveform


class Vocoder(ToyModule):
    lacks = frozenset({Samples})

    def sample(
        self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0
    ) -> torch.Tensor:
        raise AssertionError("must not be called")


class Sampler(ToyModule):
    lacks = frozenset({Reconstructs})

    def reconstruct(self, waveform: torch.Tensor) -> torch.Tensor:
        raise AssertionError("must not be called")


class Piece(NamedTuple):
    composer: str
    title: str
    year: int
    audio: str


class Archive(ToyDataModule):
    """Knows its pieces, and the notes of the first one."""

    performances = tuple(Piece("Haydn", f"Sonata {n}", 2009, f"2009/{n}.wav") for n in range(16))

    def notes(self, performance: int, start_sample: int, num_samples: int) -> Notes | None:
        assert (start_sample, num_samples) == (0, 1600)
        if performance:
            return None
        return Notes(*map(np.array, ([60, 64], [-0.1, 0.12345], [0.1, 0.2], [100, 64], [0.1, 0.2])))


def test(root: Path, module: ToyModule, data: pl.LightningDataModule | None = None, **options) -> Path:
    trainer = pl.Trainer(
        default_root_dir=root,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        callbacks=[ListeningReport(**options)],
    )
    trainer.test(module, data or ToyDataModule(), verbose=False)
    return root


test.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for its own


def test_originals_reconstructions_and_samples_are_on_disk_and_in_the_page(tmp_path: Path):
    module = ToyModule(RATE, 1600)
    root = test(tmp_path, module, num_clips=2, num_generated=1, generated_seconds=0.1)
    content = read_listening_set(root)
    assert [clip.title for clip in content.clips] == ["Performance 0", "Performance 1"]
    for index, clip in enumerate(content.clips):
        original = TEST_SPLIT[index].numpy()
        np.testing.assert_allclose(read_audio(root, clip.original), original, atol=2 / 32768)
        made = read_audio(root, str(clip.reconstruction))
        np.testing.assert_allclose(made, module.network.weight.item() * original, atol=2 / 32768)
    (sample,) = content.samples
    torch.manual_seed(0)
    expected = module.sample(1, 800)[0].detach().numpy()
    np.testing.assert_allclose(read_audio(root, sample), expected, atol=2 / 32768)
    assert (content.model, content.sample_rate) == ("toy_experiment.ToyModule", RATE)
    assert content.data == {"release": "mini", "performances": 16}
    page = (root / "report.html").read_text()
    assert page.count("<audio") == 5
    assert "Performance 1" in page


def test_pieces_and_notes_where_the_data_module_knows_them(tmp_path: Path):
    first, second = read_listening_set(test(tmp_path, ToyModule(RATE, 1600), Archive(), num_clips=2)).clips
    assert (first.title, first.subtitle, first.recording) == ("Sonata 0", "Haydn, 2009", "2009/0.wav")
    assert first.notes == (Note(60, -0.1, 0.1, 100), Note(64, 0.123, 0.2, 64))
    assert second.notes is None


@pytest.mark.parametrize(
    "known", ["takes/Blue in F.wav", Path("takes/Blue in F.wav"), Piece("", "", 0, "takes/Blue in F.wav")]
)
def test_data_of_ones_own_are_called_as_their_files(tmp_path: Path, known: object):
    data = Archive()
    data.performances = (known,) * 16  # type: ignore[assignment]
    first, _ = read_listening_set(test(tmp_path, ToyModule(RATE, 1600), data, num_clips=2)).clips
    assert (first.title, first.subtitle, first.recording) == ("Blue in F", "", "takes/Blue in F.wav")


def test_a_model_from_notes_renders(tmp_path: Path):
    notes, zeros = note_batch([[(60, 0.0, 0.1, 100)]], RATE), torch.zeros(1, dtype=torch.long)
    player = make_player()
    batch = Batch(torch.zeros(1, 1, 1600), zeros, zeros, notes)
    trainer = pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, callbacks=[ListeningReport()]
    )
    trainer.test(player, DataLoader([batch], batch_size=None), verbose=False)
    (clip,) = read_listening_set(tmp_path).clips
    assert (clip.reconstruction, clip.made) == ("clip_0_rendering.wav", "Rendering")
    expected = player.render(notes, 1600)[0].numpy()
    np.testing.assert_allclose(read_audio(tmp_path, clip.reconstruction), expected, atol=2 / 32768)
    assert "Mel spectrogram of Rendering" in (tmp_path / "report.html").read_text()


def test_a_model_that_cannot_reconstruct(tmp_path: Path):
    content = read_listening_set(test(tmp_path, Sampler(RATE, 1600), num_clips=1, num_generated=2))
    assert [clip.reconstruction for clip in content.clips] == [None]
    assert content.samples == ("sample_0.wav", "sample_1.wav")


def test_a_model_that_cannot_sample(tmp_path: Path):
    assert read_listening_set(test(tmp_path, Vocoder(RATE, 1600), num_clips=1)).samples == ()


def test_clips_are_cut(tmp_path: Path):
    (clip,) = read_listening_set(test(tmp_path, ToyModule(RATE, 1600), num_clips=1, clip_seconds=0.05)).clips
    assert clip.seconds == 0.05


def test_the_step_is_that_of_the_checkpoint(tmp_path: Path):
    module = ToyModule(RATE, 1600)
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = pl.Trainer(default_root_dir=tmp_path, max_steps=3, enable_model_summary=False, **options)
    trainer.fit(module, ToyDataModule())
    trainer.save_checkpoint(tmp_path / "three.ckpt")
    report = ListeningReport(num_clips=1, num_generated=0)
    tester = pl.Trainer(default_root_dir=tmp_path, callbacks=[report], **options)
    tester.test(module, ToyDataModule(), ckpt_path=tmp_path / "three.ckpt", verbose=False, weights_only=True)
    content = read_listening_set(tmp_path)
    assert (content.step, content.checkpoint) == (3, str(tmp_path / "three.ckpt"))


def one_clip(waveform: torch.Tensor) -> Batch:
    zero = torch.zeros(1, dtype=torch.long)
    return Batch(waveform, zero, zero)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_clips_are_the_first_of_each_performance_then_others_whatever_the_batches(batch_size: int):
    stream = [(performance, start) for performance in (7, 3) for start in (0, 100, 200)]
    choice = ClipChoice(4)
    for first in range(0, len(stream), batch_size):
        for performance, start in stream[first : first + batch_size]:
            if choice.wants(performance):
                choice.add(performance, start, one_clip(torch.full((1, 1, 2), float(start))))
    chosen = [(performance, start) for performance, start, _ in choice.clips()]
    assert chosen == [(7, 0), (7, 100), (7, 200), (3, 0)]
    assert [clip.waveform[0, 0, 0].item() for *_, clip in choice.clips()] == [0.0, 100.0, 200.0, 0.0]


def test_many_performances_give_one_clip_each():
    choice = ClipChoice(3)
    for performance in range(5):
        for start in (0, 100):
            if choice.wants(performance):
                choice.add(performance, start, one_clip(torch.zeros(1, 1, 2)))
    assert [clip[:2] for clip in choice.clips()] == [(0, 0), (1, 0), (2, 0)]


def test_a_clip_does_not_keep_its_batch_alive():
    zeros = torch.zeros(64, dtype=torch.long)
    clip = part_of(Batch(torch.zeros(64, 1, 1000), zeros, zeros), slice(3, 4), 0, 10, RATE)
    assert clip.waveform.untyped_storage().nbytes() == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_clips": -1}, "num_clips is -1\n.*give at least 0"),
        ({"num_generated": -1}, "num_generated is -1\n.*give at least 0"),
        ({"clip_seconds": 0.0}, r"clip_seconds is 0\.0\n.*above 0"),
        ({"generated_seconds": 601.0}, r"generated_seconds is 601\.0\n.*at most 600"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, float], message: str):
    with pytest.raises(OptionError, match=message):
        ListeningReport(**options)
