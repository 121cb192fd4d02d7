"""MaestroNotesDataModule as its users see it."""

import pickle
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from datamodules import MaestroNotesDataModule
from datamodules.batch import TokenBatch
from datamodules.errors import CacheError, OptionError, ReleaseError
from datamodules.mini.midi import write_midi
from datamodules.mini.performance import TICKS_PER_SECOND, perform
from datamodules.mini.release import SCORES


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture
def make(cache_dir: Path) -> Callable[..., MaestroNotesDataModule]:
    def make_module(**options: object) -> MaestroNotesDataModule:
        module = MaestroNotesDataModule(**{"cache_dir": cache_dir, "progress": False, **options})  # type: ignore[arg-type]
        module.prepare_data()
        module.setup()
        return module

    return make_module


@pytest.fixture
def midi_release(tiny_release: Path) -> Path:
    """The tiny release with MIDI beside its recordings, without the recordings."""
    for number, path in enumerate(sorted(tiny_release.rglob("*.wav"))):
        write_midi(perform(SCORES[number], number), path.with_suffix(".midi"))
        path.unlink()
    return tiny_release


def test_the_embedded_release_is_there_in_a_moment(make, cache_dir: Path) -> None:
    module = make(window_tokens=64, batch_size=4)
    assert not list(cache_dir.rglob("*.wav"))
    counts = {name: module.identity[f"{name}_performances"] for name in ("train", "validation", "test")}
    assert counts == {"train": 9, "validation": 1, "test": 2}
    batches = list(module.train_dataloader())
    assert len(batches) == -(-(10_344 // 64) // 4)
    assert all(isinstance(batch, TokenBatch) and batch.tokens.shape == (4, 65) for batch in batches)
    counted = sum(int(batch.counted().sum()) for batch in module.val_dataloader())
    assert counted == sum(len(piece) + 1 for piece in module.pieces_of("validation").values())


def test_workers_make_the_same_batches(make) -> None:
    one, other = (list(make(workers=workers, window_tokens=256).train_dataloader()) for workers in (0, 1))
    assert len(one) == len(other) > 1
    for batch, again in zip(one, other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))


def test_official_splits_of_a_release_without_recordings(make, midi_release: Path) -> None:
    module = make(release="v3.0.0", source=midi_release, composers=["Franz Schubert"])
    assert [p.split for p in module.performances] == ["train", "train", "validation", "test"]
    assert set(module.pieces_of("test")) == {3}


def test_an_archive_behind_an_address_is_read_once(make, midi_release: Path, web, server, pack) -> None:
    pack(midi_release, web / "maestro-v3.0.0-midi.zip")
    address = f"{server.url}/maestro-v3.0.0-midi.zip"
    module = make(release="v3.0.0", source=address)
    assert len(module.performances) == 5
    (web / "maestro-v3.0.0-midi.zip").unlink()
    again = make(release="v3.0.0", source=address)
    assert all(
        (again.pieces_of("train")[row] == piece).all() for row, piece in module.pieces_of("train").items()
    )


def test_the_official_archive_without_audio() -> None:
    from datamodules.releases import find_release

    assert find_release("v3.0.0").midi_url.endswith("/maestro/v3.0.0/maestro-v3.0.0-midi.zip")
    assert find_release("mini").midi_url is None


def test_a_folder_of_midi_files(make, tmp_path: Path) -> None:
    for number, score in enumerate(SCORES[:4]):
        write_midi(perform(score, number), tmp_path / f"{number}.mid")
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    with pytest.raises(ReleaseError, match=r"1 of 5 MIDI files cannot be used: bad\.mid"):
        make(release=None, source=tmp_path)
    with pytest.warns(UserWarning, match=r"1 MIDI file\(s\) are left out: bad.mid"):
        module = make(release=None, source=tmp_path, max_bad_performances=1)
    assert len(module.performances) == 4
    assert module.identity["release"] == "folder"


def test_what_makes_no_sense(make, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="set source to a folder of MIDI files"):
        MaestroNotesDataModule(release=None)
    with pytest.raises(OptionError, match="window_tokens=1 is too small"):
        MaestroNotesDataModule(window_tokens=1)
    with pytest.raises(CacheError, match=r"12 of 12 performances are not.*\n.*prepare_data"):
        MaestroNotesDataModule(cache_dir=tmp_path).setup()
    with pytest.raises(OptionError, match="no performances in the split 'validation'"):
        make(splits=["train"]).val_dataloader()


def test_the_trainer_delivers_windows(make) -> None:
    class Counter(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.first: list[list[int]] = []

        def training_step(self, batch: TokenBatch, index: int) -> torch.Tensor:
            self.first.append(batch.tokens[0].tolist())
            return self.weight * batch.tokens.float().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module = Counter()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", enable_checkpointing=False, **quiet)
    trainer.fit(module, make(windows_per_epoch=4, batch_size=2, window_tokens=32))
    assert len(module.first) == 4 and len({tuple(first) for first in module.first}) == 4


def test_it_can_be_pickled(make) -> None:
    module = make()
    assert len(pickle.loads(pickle.dumps(module)).performances) == 12


def test_the_notes_of_a_midi_file_are_one_clip(tmp_path) -> None:
    path = tmp_path / "a.mid"
    performance = perform(SCORES[0], 0)
    write_midi(performance, path)
    data = MaestroNotesDataModule(cache_dir=tmp_path, progress=False)
    notes = data.note_batch(path.read_bytes(), 8000, 16_000)
    known = [note for note in performance.notes if note.onset_tick < 2 * TICKS_PER_SECOND]
    assert notes.mask.shape == (1, len(known)) and notes.mask.all()
    assert sorted(notes.pitch[0].tolist()) == sorted(note.pitch for note in known)
    onset = (notes.onset_sample + notes.onset_fraction)[0] / 8000
    played = sorted(note.onset_tick / TICKS_PER_SECOND for note in known)
    assert sorted(onset.tolist()) == pytest.approx(played, abs=1e-3)
    assert notes.gain.tolist() == [1.0]
