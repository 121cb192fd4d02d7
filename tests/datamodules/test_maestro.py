"""MaestroDataModule as its users see it: options in, batches out, errors that help."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import docstring_parser
import lightning.pytorch as pl
import numpy as np
import pytest
import soundfile
import torch
from jsonargparse import ArgumentParser

from datamodules import MaestroDataModule
from datamodules.batch import Batch, PcmBatch
from datamodules.cache.preparation import Preparation
from datamodules.errors import AudioError, CacheError, DataError, OptionError, ReleaseError


@pytest.fixture
def make(tiny_release: Path, tmp_path: Path) -> Callable[..., MaestroDataModule]:
    """A function that makes the data module of the tiny release; options as keywords."""

    def make_module(**options: object) -> MaestroDataModule:
        defaults = {
            "release": "v3.0.0",
            "source": tiny_release,
            "cache_dir": tmp_path / "caches",
            "clip_samples": 4000,
            "eval_clip_seconds": 1.0,
            "batch_size": 4,
            "progress": False,
        }
        return MaestroDataModule(**{**defaults, **options})  # type: ignore[arg-type]

    return make_module


@pytest.fixture
def ready(make: Callable[..., MaestroDataModule]) -> Callable[..., MaestroDataModule]:
    """The same, prepared and set up."""

    def make_ready(**options: object) -> MaestroDataModule:
        module = make(**options)
        module.prepare_data()
        module.setup()
        return module

    return make_ready


def test_loaders_ship_clips_of_their_split(ready: Callable[..., MaestroDataModule]) -> None:
    module = ready()
    assert [p.split for p in module.performances] == ["train"] * 3 + ["validation", "test"]
    train = list(module.train_dataloader())
    assert len(train) == 9  # 2 + 3 + 4 s are 144,000 samples: 36 clips of 4,000, in batches of 4
    assert all(batch.pcm.shape == (4, 1, 4000) and batch.pcm.dtype == torch.int16 for batch in train)
    assert {p for batch in train for p in batch.performance.tolist()} == {0, 1, 2}
    (validation,) = module.val_dataloader()
    assert validation.pcm.shape == (2, 1, 16_000)
    assert (validation.performance.tolist(), validation.start_sample.tolist()) == ([3, 3], [0, 16_000])
    for loader in (module.test_dataloader(), module.predict_dataloader()):
        (batch,) = loader
        assert (batch.performance.tolist(), batch.start_sample.tolist()) == ([4, 4], [0, 16_000])


@pytest.mark.parametrize("channels", [1, 2])
def test_a_clip_sounds_like_its_place_in_the_recording(
    ready: Callable[..., MaestroDataModule], tiny_release: Path, channels: int
) -> None:
    """Compared with a plain decimation of the 48 kHz recording, whose notes lie far below 8 kHz."""
    module = ready(channels=channels)
    (shipped,) = module.test_dataloader()
    batch = module.on_after_batch_transfer(shipped, 0)
    assert isinstance(batch, Batch)
    recording, rate = soundfile.read(tiny_release / "2014/e.wav")
    assert rate == 48_000
    expected = recording[::3].T if channels == 2 else recording[::3].mean(axis=1)[None]  # (C, T)
    for waveform, start in zip(batch.waveform, batch.start_sample.tolist(), strict=True):
        # a clip that started one sample off would be off by 0.01 and more
        error = waveform[:, 300:15_700].numpy() - expected[:, start + 300 : start + 15_700]
        assert np.sqrt(np.square(error).mean()) < 3e-4


def test_training_clips_do_not_depend_on_workers(ready: Callable[..., MaestroDataModule]) -> None:
    def epochs(workers: int) -> list[PcmBatch]:
        loader = ready(workers=workers, gain_db=(-6.0, 6.0), flip_polarity=True).train_dataloader()
        batches = []
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # as Lightning does
            batches += list(loader)
        return batches

    in_process = epochs(0)
    assert not torch.equal(in_process[0].start_sample, in_process[9].start_sample)
    for workers in (1, 2):
        for expected, batch in zip(in_process, epochs(workers), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(expected[:3], batch[:3], strict=True))


def test_the_trainer_delivers_batches(make: Callable[..., MaestroDataModule]) -> None:
    """Through fit, test and predict: float waveforms, other clips in each epoch, every eval clip once."""

    class Listener(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.starts: dict[int, list[int]] = {}

        def training_step(self, batch: Batch, index: int) -> torch.Tensor:
            assert batch.waveform.dtype == torch.float32 and batch.waveform.abs().max() <= 1
            self.starts.setdefault(self.current_epoch, []).extend(batch.start_sample.tolist())
            return self.weight * batch.waveform.mean()

        def test_step(self, batch: Batch, index: int) -> None:
            self.log("clips", float(len(batch.waveform)), reduce_fx="sum", batch_size=1)

        def predict_step(self, batch: Batch, index: int) -> torch.Size:
            return batch.waveform.shape

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module, listener = make(), Listener()
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(accelerator="cpu", max_epochs=2, enable_model_summary=False, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(listener, module)
        assert [len(starts) for starts in listener.starts.values()] == [36, 36]
        assert listener.starts[0] != listener.starts[1]
        assert trainer.test(listener, module, verbose=False)[0]["clips"] == 2
        assert trainer.predict(listener, module) == [torch.Size([2, 1, 16_000])]


def test_identity_describes_the_data_in_plain_values(ready: Callable[..., MaestroDataModule]) -> None:
    identity = ready().identity
    cache = identity.pop("cache")
    assert identity == {
        "release": "v3.0.0",
        "sample_rate": 16_000,
        "channels": 1,
        "train_performances": 3,
        "validation_performances": 1,
        "test_performances": 1,
    }
    assert cache == ready(seed=5, batch_size=2).identity["cache"]
    assert cache != ready(channels=2).identity["cache"]
    assert cache != ready(max_performances=3).identity["cache"]


def test_a_subset_shares_the_cache_of_the_whole(ready: Callable[..., MaestroDataModule]) -> None:
    small = ready(max_performances=3)
    assert [p.split for p in small.performances].count("train") == 2
    whole = ready()
    assert len(whole.performances) == 5
    assert small.cache.folder == whole.cache.folder


def test_the_embedded_release_is_rendered_on_first_use(
    tmp_path: Path, make_release: Callable, recording: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(folder: Path, workers: int | None = None, progress: bool = True) -> Path:
        splits = ("train", "validation", "test")
        return make_release(folder / "mini", [recording(s, split=s) for s in splits], stem="mini")

    monkeypatch.setattr("datamodules.mini.render_mini", render, raising=False)
    monkeypatch.setenv("MAESTRO_CACHE", str(tmp_path / "home"))
    module = MaestroDataModule(clip_samples=4000, progress=False)
    module.prepare_data()
    module.setup("fit")
    assert len(module.performances) == 3
    assert (tmp_path / "home/releases/mini/mini.csv").exists()
    assert module.cache.folder.is_relative_to(tmp_path / "home/pcm")


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"release": "v9"}, r"release='v9' is not a known release"),
        ({"sample_rate": -16_000}, r"sample_rate=-16000 is too small\n.*Hz"),
        ({"channels": 0}, r"channels=0 is not supported\n.*1, 2"),
        ({"clip_samples": -1}, r"clip_samples=-1 is too small\n.*at least 1 samples"),
        ({"clip_samples": 1.5}, r"clip_samples=1\.5 is not a whole number\n.*in samples"),
        ({"eval_clip_seconds": 0}, r"eval_clip_seconds=0 is out of range\n.*seconds: above 0"),
        ({"eval_clip_seconds": 256_000}, r"eval_clip_seconds=256000 is out of range\n.*is in seconds"),
        ({"eval_clip_seconds": 1e-5}, r"eval_clip_seconds=1e-05 is less than one sample"),
        ({"batch_size": 0}, r"batch_size=0 is too small"),
        ({"eval_batch_size": -4}, r"eval_batch_size=-4 is too small"),
        ({"clips_per_epoch": 0}, r"clips_per_epoch=0 is too small"),
        ({"gain_db": (3.0, -3.0)}, r"gain_db=\(3\.0, -3\.0\) is no range"),
        ({"max_hours": -1.0}, r"max_hours=-1\.0 is out of range"),
        ({"max_performances": 0}, r"max_performances=0 is too small"),
        ({"max_bad_performances": -1}, r"max_bad_performances=-1 is too small"),
        ({"workers": -2}, r"workers=-2 is too small"),
        ({"prepare_threads": 0}, r"prepare_threads=0 is too small"),
        ({"seed": -1}, r"seed=-1 is too small"),
    ],
)
def test_options_that_make_no_sense(options: dict, pattern: str) -> None:
    with pytest.raises(OptionError, match=pattern):
        MaestroDataModule(**options)


def test_a_clip_longer_than_every_recording(make: Callable[..., MaestroDataModule]) -> None:
    module = make(clip_samples=64_001)
    module.prepare_data()
    pattern = (
        r"clip_samples: a clip of 64001 samples \(4\.00 s\) is longer than every recording "
        r"of the split 'train'\n.*the longest has 64000 samples \(4\.00 s\)"
    )
    with pytest.raises(OptionError, match=pattern):
        module.setup("fit")
    module = make(eval_clip_seconds=5.0)
    module.setup("validate")
    with pytest.raises(OptionError, match=r"eval_clip_seconds: a clip of 80000 samples .* 'validation'"):
        module.val_dataloader()


def test_shorter_recordings_are_left_out_with_a_warning(ready: Callable[..., MaestroDataModule]) -> None:
    with pytest.warns(
        UserWarning, match=r"\(3\.25 s\) is longer than 2 of the 3 recordings of the split 'train'"
    ):
        module = ready(clip_samples=52_000)
        assert {p for batch in module.train_dataloader() for p in batch.performance.tolist()} == {2}


def test_a_split_without_performances(ready: Callable[..., MaestroDataModule]) -> None:
    module = ready(composers=["Franz Liszt"])
    assert len(list(module.train_dataloader())) > 0
    with pytest.raises(
        OptionError, match=r"no performances in the split 'validation'\n.*limit_val_batches 0"
    ):
        module.val_dataloader()


def test_a_cache_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "releases").touch()
    with pytest.raises(CacheError, match=r"cannot write in .*releases: File exists\n.*`cache_dir`"):
        MaestroDataModule(cache_dir=tmp_path).prepare_data()


def test_setup_before_prepare(make: Callable[..., MaestroDataModule]) -> None:
    with pytest.raises(CacheError, match=r"there is no cache in .*\n.*prepare_data\(\)"):
        make().setup()
    with pytest.raises(CacheError, match=r"is not set up\n.*prepare_data\(\) and setup\(\)"):
        make().train_dataloader()


def test_a_cache_that_lacks_performances(make: Callable[..., MaestroDataModule]) -> None:
    make(max_performances=3).prepare_data()
    with pytest.raises(CacheError, match=r"1 of 5 performances are not in the cache"):
        make().setup()


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_audio(path: Path, waveform: np.ndarray, subtype: str) -> None:
    soundfile.write(path, waveform, 44_100, subtype=subtype)


SILENCE = np.zeros((88_200, 2))


@pytest.mark.parametrize(
    ("spoil", "error", "pattern"),
    [
        (lambda wav: wav.unlink(), AudioError, r"a\.wav: no such file"),
        (lambda wav: os.truncate(wav, 1000), AudioError, r"a\.wav: truncated, 351,844 bytes"),
        (lambda wav: overwrite(wav, b""), AudioError, r"a\.wav: the file is empty \(0 bytes\)"),
        (
            lambda wav: write_audio(wav, SILENCE * np.nan, "FLOAT"),
            AudioError,
            r"a\.wav: a sample is NaN or infinite at 0\.00 s",
        ),
        (lambda wav: write_audio(wav, SILENCE, "PCM_U8"), AudioError, r"a\.wav: sample format PCM_U8"),
        (lambda wav: write_audio(wav, np.zeros((88_200, 3)), "PCM_16"), AudioError, r"a\.wav: 3 channels"),
        (
            lambda wav: (wav.parent.parent / "maestro-v3.0.0.csv").write_text("a,b\n"),
            ReleaseError,
            "lacks the column",
        ),
    ],
)
def test_bad_input_stops_prepare_data(
    make: Callable[..., MaestroDataModule],
    tiny_release: Path,
    spoil: Callable,
    error: type[DataError],
    pattern: str,
) -> None:
    spoil(tiny_release / "2009/a.wav")
    with pytest.raises(error, match=pattern):
        make().prepare_data()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda wav: write_audio(wav, SILENCE, "PCM_24"),
        lambda wav: write_audio(wav, SILENCE, "FLOAT"),
        lambda wav: write_audio(wav, SILENCE[:, 0], "PCM_16"),
    ],
)
def test_other_sample_formats_are_converted(
    ready: Callable[..., MaestroDataModule], tiny_release: Path, spoil: Callable
) -> None:
    spoil(tiny_release / "2009/a.wav")
    assert ready().cache.samples[0] == 32_000


def test_tolerated_bad_recordings_are_left_out(
    make: Callable[..., MaestroDataModule], tiny_release: Path
) -> None:
    (tiny_release / "2009/a.wav").unlink()
    module = make(max_bad_performances=1)
    with pytest.warns(UserWarning, match=r"1 recording\(s\) cannot be used and are skipped:\n.*a\.wav"):
        module.prepare_data()
    module.setup()
    assert [p.audio for p in module.performances] == ["2009/b.wav", "2014/c.wav", "2009/d.wav", "2014/e.wav"]
    (batch,) = module.val_dataloader()
    assert batch.performance.tolist() == [2, 2]


def test_command_line_types() -> None:
    """What YAML and the command line may write."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(MaestroDataModule, "data")
    arguments = {
        "release": "v3.0.0",
        "source": "somewhere",
        "workers": 2,
        "gain_db": [-6, 0],
        "years": [2009, 2014],
        "max_hours": 2,
    }
    config = parser.parse_object(
        {"data": {"class_path": "datamodules.MaestroDataModule", "init_args": arguments}}
    )
    module = parser.instantiate(config).data
    assert isinstance(module, MaestroDataModule)
    assert (module.workers, module.augmentation.gain_db, module.preparation.years) == (
        2,
        (-6, 0),
        [2009, 2014],
    )
    parsed = parser.parse_args(["--data=datamodules.MaestroDataModule", "--data.workers=auto"])
    assert parser.instantiate(parsed).data.workers == 0


def test_options_of_the_preparation_are_explained_alike_in_both_places():
    texts = []
    for owner in (Preparation, MaestroDataModule):
        found = docstring_parser.parse(owner.__doc__).params
        texts.append({tuple(each.args): " ".join(each.description.split()) for each in found})
    preparation, module = texts
    preparation = {("param", name): text for (_, name), text in preparation.items()}
    assert preparation["param", "release"].startswith(module["param", "release"].rstrip("."))
    of_no_release = {("param", "release"), ("param", "source")}  # there, for recordings of other modules
    assert {name: module[name] for name in preparation.keys() - of_no_release} == {
        name: text for name, text in preparation.items() if name not in of_no_release
    }
