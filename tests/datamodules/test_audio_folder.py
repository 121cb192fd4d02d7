"""A folder of recordings as people have them: from 30 odd files to a trained model."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
import torch

from datamodules import AudioFolderDataModule
from datamodules.cache import preparation
from datamodules.errors import AudioError, OptionError
from lightning_modules import load_module
from lightning_modules.cli import main

ROOT = Path(__file__).parents[2]
RATES = (8000, 22_050, 44_100, 48_000, 96_000)
DEPTHS = ("PCM_U8", "PCM_16", "PCM_24", "FLOAT")
BAD = ("cut.flac", "empty.wav", "nothing.wav", "phone.m4a", "text.wav", "three samples.wav")


def tone(path: Path, rate: int, channels: int = 1, seconds: float = 0.7, **kind: str) -> None:
    """A decaying note whose pitch the file's name decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 200 + sum(path.stem.encode()) % 997
    waveform = 0.5 * np.exp(-2 * time) * np.sin(2 * np.pi * pitch * time)
    soundfile.write(path, waveform[:, None] * np.linspace(1, 0.5, channels), rate, **kind)


def write_30_files(root: Path) -> None:
    """WAV at five rates and four depths, other kinds and odd names; six of all cannot be used."""
    for number in range(17):
        rate, depth = RATES[number % 5], DEPTHS[number % 4]
        tone(root / f"wav/{number:02} {rate} {depth}.wav", rate, 1 + number % 3, subtype=depth)
    tone(root / "other/a.flac", 44_100, 2)
    # the same stem, and the same sound
    soundfile.write(root / "other/a.wav", soundfile.read(root / "other/a.flac", dtype="int16")[0], 44_100)
    tone(root / "other/b.ogg", 48_000, format="OGG", subtype="VORBIS")
    tone(root / "other/c.mp3", 44_100, 2, format="MP3", subtype="MPEG_LAYER_III")
    tone(root / "other/deep/er/d.AIFF", 22_050, 6, format="AIFF")
    tone(root / "other/\U0001f3b9 \u266b caf\u00e9.wav", 16_000)
    tone(root / f"other/{'n' * 200}.wav", 44_100)
    (root / "empty.wav").touch()
    (root / "text.wav").write_text("this is no sound")
    (root / "phone.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    soundfile.write(root / "three samples.wav", np.full(3, 0.1), 44_100)
    soundfile.write(root / "nothing.wav", np.empty(0), 44_100)
    tone(root / "cut.flac", 44_100, seconds=3.0)
    content = (root / "cut.flac").read_bytes()
    (root / "cut.flac").write_bytes(content[: len(content) // 2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "my recordings"
    write_30_files(root)
    return root


@pytest.fixture
def ready(folder: Path, tmp_path: Path) -> Callable[..., AudioFolderDataModule]:
    """A function that makes the data module, prepared and set up."""

    def make(**options: object) -> AudioFolderDataModule:
        defaults = {
            "source": folder,
            "cache_dir": tmp_path / "cache",
            "clip_samples": 4000,
            "eval_clip_seconds": 0.5,
            "progress": False,
        }
        module = AudioFolderDataModule(**{**defaults, **options})  # type: ignore[arg-type]
        module.prepare_data()
        module.setup()
        return module

    return make


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded from here on."""
    names: list[str] = []
    convert = preparation.CacheBuilder._convert_once

    def note(self, performance, on_block):
        names.append(performance.audio)
        return convert(self, performance, on_block)

    monkeypatch.setattr(preparation.CacheBuilder, "_convert_once", note)
    return names


def test_one_command_trains_on_30_odd_files(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    assert sum(path.is_file() for path in folder.rglob("*")) == 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAESTRO_CACHE", str(tmp_path / "cache"))
    experiments = [f"--config={ROOT}/experiments/{name}.yaml" for name in ("vae", "data/audio_folder")]
    short = ["--model.latent_size=4", "--data.eval_clip_seconds=0.5", "--data.clip_samples=4096"]
    steps = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--trainer.accelerator=cpu"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        main(["fit", *experiments, f"--data.source={folder}", "--run_id=one", *short, *steps])
    (bad,) = [str(each.message) for each in caught if "cannot be used" in str(each.message)]
    assert sorted(re.findall(r"- .*/my recordings/(.*?): ", bad)) == sorted(BAD)
    for reason in (
        "file is empty",
        "not readable as audio",
        "holds no samples",
        "less than 0.1 s",
        "WAV or FLAC",
    ):
        assert reason in bad
    checkpoint = Path("runs/vae/one/checkpoints/best.ckpt")
    assert load_module(checkpoint).reconstruct(torch.zeros(1, 1, 1000)).shape == (1, 1, 1000)
    main(["test", f"--ckpt_path={checkpoint}", "--trainer.accelerator=cpu"])
    scores = (checkpoint.parents[1] / "test/scores.csv").read_text()
    assert "log_mel_distance" in scores and "Traceback" not in capsys.readouterr().err


def test_recordings_and_their_splits(ready, folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 recording\(s\) sound exactly as another .*other/a\.") as caught:
        module = ready()
    assert len([each for each in caught if "cannot be used" in str(each.message)]) == 1
    assert len(module.performances) == 23 and {p.split for p in module.performances} == {
        "train",
        "validation",
        "test",
    }
    seconds = module.cache.samples / 16_000
    assert seconds == pytest.approx(0.7, abs=0.06)  # MP3 and Vorbis pad
    assert {entry.source_rate for entry in module.cache.entries} == {*RATES, 16_000}
    row = [p.title for p in module.performances].index("d")  # six channels, from 1 to 0.5
    heard = module.cache.pcm(row)[:, 0] / 32768
    source, rate = soundfile.read(folder / "other/deep/er/d.AIFF")
    assert rate == 22_050
    rms, expected = (np.sqrt(np.square(each).mean()) for each in (heard, source.mean(1)))
    assert rms == pytest.approx(expected, rel=1e-3)


def test_a_file_that_is_added_is_all_that_is_decoded(ready, folder: Path, converted: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = ready()
        converted.clear()
        tone(folder / "later.flac", 44_100)
        after = ready(source=f"{folder.parent}/./{folder.name}/")  # another spelling of the same place
    assert sorted(converted) == sorted([*BAD, "later.flac"])
    splits = {p.audio: p.split for p in after.performances}
    assert {p.audio: p.split for p in before.performances}.items() <= splits.items()
    assert before.preparation.status().folder == after.preparation.status().folder


def test_a_kill_loses_nothing_that_is_finished(
    ready, folder: Path, tmp_path: Path, converted, monkeypatch
) -> None:
    original = preparation.CacheBuilder._collect

    def killed_after_ten(self, future, performance, entries, failures):
        original(self, future, performance, entries, failures)
        if len(entries) == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(preparation.CacheBuilder, "_collect", killed_after_ten)
    with pytest.raises(KeyboardInterrupt):
        ready(prepare_threads=1)
    monkeypatch.setattr(preparation.CacheBuilder, "_collect", original)
    (manifest,) = (tmp_path / "cache/pcm").glob("*/manifest.json")
    finished = set(json.loads(manifest.read_text())["performances"])
    assert len(finished) == 10
    converted.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(ready().performances) == 23
    assert not finished & set(converted)


def test_notes_come_from_midi_files_beside_the_recordings(tmp_path: Path) -> None:
    root = tmp_path / "pieces"
    midi = pretty_midi.PrettyMIDI()
    midi.instruments.append(pretty_midi.Instrument(0))
    midi.instruments[0].notes.append(pretty_midi.Note(velocity=80, pitch=69, start=0.1, end=0.9))
    for number in range(12):
        tone(root / f"{number}.flac", 44_100, seconds=1.0)
        midi.write(str(root / f"{number}.mid"))
    module = AudioFolderDataModule(
        root, tmp_path / "cache", clip_samples=4000, eval_clip_seconds=0.5, with_notes=True, progress=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of splits
        module.prepare_data()
        module.setup()
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert batch.notes is not None
    assert set(batch.notes.pitch[batch.notes.mask].tolist()) == {69}
    assert not list((tmp_path / "cache").rglob("*.mid"))  # a person's own files are at hand, and may change


def test_a_folder_whose_files_are_all_bad_says_so(tmp_path: Path) -> None:
    for name in ("a.wav", "b.mp3"):
        (tmp_path / name).write_text("no sound")
    module = AudioFolderDataModule(tmp_path, tmp_path / "cache", progress=False)
    with pytest.raises(AudioError, match=r"none of the 2 sound files in .*\n.*a\.wav: not readable"):
        module.prepare_data()
    with pytest.raises(OptionError, match=r"source is not given.*\n.*--data.source ~/recordings"):
        AudioFolderDataModule(cache_dir=tmp_path).prepare_data()
