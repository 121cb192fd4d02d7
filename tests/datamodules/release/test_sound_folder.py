"""A person's own folder: which files are recordings, once each, and in which split."""

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.errors import AudioError, ReleaseError
from datamodules.release.sound_folder import SoundFolder, read_sound_folder, split_of


def write(path: Path, seconds: float = 0.2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * 8000), 0.1), 8000)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "recordings"
    for number in range(30):
        write(root / f"session {number % 3}/take {number}.wav")
    return root


def splits_in(folder: Path) -> dict[str, str]:
    return {each.audio: each.split for each in read_sound_folder(folder)[1]}


def test_the_split_is_the_hash_of_the_name() -> None:
    """By hand: the first byte of SHA-256 below 25.6 is a tenth of all."""
    for name in (f"a{number}.wav" for number in range(300)):
        first = hashlib.sha256(name.removesuffix(".wav").encode()).digest()[0]
        if first not in (25, 51):  # where the second byte decides
            assert split_of(name) == ("validation" if first < 26 else "test" if first < 52 else "train")
    names = [f"folder/{number}.flac" for number in range(5000)]
    shares = {
        split: sum(split_of(name) == split for name in names) / 5000 for split in ("validation", "test")
    }
    assert shares == pytest.approx({"validation": 0.1, "test": 0.1}, abs=0.015)
    assert split_of("take 1.mp3") == split_of("take 1.WAV")
    assert split_of("caf\u00e9.wav") == split_of("cafe\u0301.wav")


def test_a_file_that_is_added_moves_no_other(folder: Path) -> None:
    before = splits_in(folder)
    assert set(before.values()) == {"train", "validation", "test"}
    for number in range(20):
        write(folder / f"later/{number}.wav")
        assert before.items() <= splits_in(folder).items()


def test_every_split_of_a_small_folder_has_a_recording(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.wav")
    with pytest.warns(UserWarning, match=r"too few recordings to leave the choice .*train/, validation/"):
        splits = splits_in(tmp_path)
    assert sorted(splits.values()) == ["test", "train", "validation"]
    for name in ("0.wav", "1.wav"):
        (tmp_path / name).unlink()
    with pytest.raises(ReleaseError, match=r"holds 1 recording\(s\) that can be read\n.*at least 3"):
        read_sound_folder(tmp_path)


def test_folders_named_after_the_splits_are_the_splits(tmp_path: Path) -> None:
    for name in ("train/a.wav", "train/deep/b.wav", "val/c.wav", "test/d.wav", "elsewhere/e.wav", "f.wav"):
        write(tmp_path / name)
    archive, performances = read_sound_folder(tmp_path)
    splits = {each.audio: each.split for each in performances if each.audio not in archive.refused}
    assert splits == {
        "test/d.wav": "test",
        "train/a.wav": "train",
        "train/deep/b.wav": "train",
        "val/c.wav": "validation",
    }
    assert set(archive.refused) == {"elsewhere/e.wav", "f.wav"}
    with pytest.raises(AudioError, match="lies in none of the folders"), archive.open("f.wav"):
        pass


def test_links_and_their_targets_count_once(tmp_path: Path) -> None:
    root, other = tmp_path / "recordings", tmp_path / "other"
    for name in ("m.wav", "deep/n.wav"):
        write(root / name)
    write(other / "p.wav")
    (root / "a.wav").symlink_to(root / "m.wav")
    os.link(root / "m.wav", root / "z.wav")
    (root / "b").symlink_to(root / "deep")
    (root / "deep/up").symlink_to(root)  # a circle
    (root / "c.wav").symlink_to(other / "p.wav")
    (root / "d.wav").symlink_to(other / "gone.wav")
    archive = SoundFolder(root)
    assert archive.members() == ["c.wav", "deep/n.wav", "m.wav"]
    assert archive.refused == {"d.wav": "a link that leads nowhere"}
    with archive.open("c.wav") as stream:
        assert stream.size == (other / "p.wav").stat().st_size


def test_facts_of_a_recording(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / f"{number}.wav")
    soundfile.write(tmp_path / "deep.flac", np.zeros((11_025, 3)), 22_050)
    (tmp_path / "deep.MID").write_bytes(b"notes")
    (tmp_path / "._deep.wav").write_bytes(b"of macOS")
    (tmp_path / "notes.txt").write_text("no sound")
    performances = {each.audio: each for each in read_sound_folder(tmp_path)[1]}
    assert len(performances) == 11
    deep = performances["deep.flac"]
    assert (deep.title, deep.midi, deep.duration) == ("deep", "deep.MID", 0.5)
    assert performances["1.wav"].midi == "1.mid"


def test_what_is_not_read_is_refused_by_name(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"{number}.wav")
    (tmp_path / "a.m4a").write_bytes(b"x")
    write(tmp_path / "two\nlines.wav")
    write(tmp_path / ("\u266b" * 82 + ".wav"))  # 250 bytes
    os.rename(write(tmp_path / "b.wav"), os.fsencode(tmp_path) + b"/\xff.wav")
    archive, performances = read_sound_folder(tmp_path)
    reasons = sorted(archive.refused.values())
    assert [reason.partition(";")[0] for reason in reasons] == [
        "its name has characters that cannot be printed",
        "its name has characters that cannot be printed",
        "its name has more than 240 bytes",
        "not a kind of sound file that is read",
    ]
    assert len(performances) == 24


def test_nothing_there_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"is no folder"):
        read_sound_folder(tmp_path / "absent")
    with pytest.raises(ReleaseError, match=r"no sound files: no files at all\n.*\.wav, .*\.flac"):
        read_sound_folder(tmp_path)
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(ReleaseError, match=r"no sound files: 1 other file\(s\), such as readme.txt"):
        read_sound_folder(tmp_path)


def test_enough_recordings_need_no_warning(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_sound_folder(folder)
