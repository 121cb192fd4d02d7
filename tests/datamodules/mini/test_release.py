import csv
import errno
import hashlib
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from datamodules.errors import ReleaseError
from datamodules.mini import MINI_PERFORMANCES, MINI_VERSION, release, render_mini, write_mini_midi
from datamodules.mini.performance import TICKS_PER_SECOND

COLUMNS = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration".split(",")

# A change of any byte of the release must be deliberate: raise MINI_VERSION, then copy the new digest.
EXPECTED_VERSION = "1"
EXPECTED_DIGEST = "b764ab0e462208a3a2f1ab66afa237225f67e3bc17da312c3174b078a49f0013"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "mini.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digest(folder: Path) -> str:
    """SHA-256 over the names and the SHA-256 of all files."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def midi_notes(path: Path) -> list[tuple[float, int, int]]:
    """Onset in seconds, pitch and velocity of every note."""
    now, notes = 0.0, []
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "note_on" and message.velocity > 0:
            notes.append((now, message.note, message.velocity))
    return notes


def test_bytes(mini_release: Path) -> None:
    assert (MINI_VERSION, digest(mini_release)) == (EXPECTED_VERSION, EXPECTED_DIGEST)


def test_metadata_has_the_official_columns_and_both_forms_agree(mini_release: Path) -> None:
    table = rows(mini_release)
    assert list(table[0]) == COLUMNS
    text = (mini_release / "mini.json").read_text(encoding="ascii")
    columns = json.loads(text)
    assert list(columns) == COLUMNS
    assert r"Fr\u00e9d\u00e9ric" in text and r"\/" in text  # ASCII, `/` escaped, as pandas writes it
    for index, row in enumerate(table):
        for column in COLUMNS:
            assert str(columns[column][str(index)]) == row[column]


def test_size_and_variety(mini_release: Path) -> None:
    table = rows(mini_release)
    assert len(table) >= 10 and len({row["canonical_composer"] for row in table}) >= 6
    assert all(35 <= float(row["duration"]) <= 50 for row in table)
    assert 7 * 60 < sum(float(row["duration"]) for row in table) < 9 * 60
    counts = {split: sum(row["split"] == split for row in table) for split in MINI_PERFORMANCES}
    assert counts == MINI_PERFORMANCES
    assert counts["train"] >= 8 and counts["validation"] >= 1 and counts["test"] >= 1


def test_no_composition_is_in_two_splits(mini_release: Path) -> None:
    """Movements and pieces of one opus or sonata count as one composition."""
    splits: dict[str, set[str]] = {}
    for row in rows(mini_release):
        title = row["canonical_title"]
        work = next(
            (title[: title.index(mark)] for mark in (", No.", " No. 4 in", " No. 20") if mark in title), title
        )
        splits.setdefault(f"{row['canonical_composer']}: {work}", set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values()), splits


def test_training_pieces_play_nearly_every_key_of_the_others(mini_release: Path) -> None:
    heard: dict[bool, set[int]] = {True: set(), False: set()}
    for row in rows(mini_release):
        notes = midi_notes(mini_release / row["midi_filename"])
        heard[row["split"] == "train"].update(pitch for _, pitch, _ in notes)
    assert len(heard[False] - heard[True]) <= 2
    assert min(heard[True]) <= 36 and max(heard[True]) >= 93


def test_audio_format_and_levels(mini_release: Path) -> None:
    rates: dict[str, list[int]] = {}
    for row in rows(mini_release):
        path = mini_release / row["audio_filename"]
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.channels) == ("WAV", "PCM_16", 2)
        rates.setdefault(row["split"], []).append(info.samplerate)
        sound, _ = soundfile.read(path)
        assert info.duration == pytest.approx(float(row["duration"]) + 2.6, abs=1e-3)
        assert -12 < 20 * np.log10(np.abs(sound).max()) < -0.5  # never clipped
        assert np.abs(sound.mean(axis=0)).max() < 1e-4  # no DC
        quiet = sound[: info.samplerate // 2]
        assert -82 < 10 * np.log10((quiet**2).mean()) < -74  # the noise floor before the first note
        assert 0.2 < np.corrcoef(sound.T)[0, 1] < 0.9
    everything = [rate for found in rates.values() for rate in found]
    assert set(everything) == {44_100, 48_000} == set(rates["train"])
    assert everything.count(48_000) >= 2 and everything.count(44_100) > len(everything) / 2


def test_midi_has_a_tempo_track_pedal_and_the_duration(mini_release: Path) -> None:
    pedalled = 0
    for row in rows(mini_release):
        file = mido.MidiFile(mini_release / row["midi_filename"])
        assert file.type == 1 and len(file.tracks) == 2
        assert [message.type for message in file.tracks[0]] == ["set_tempo", "time_signature", "end_of_track"]
        pedalled += any(message.is_cc(64) for message in file.tracks[1])
        now, last_release = 0.0, 0.0
        for message in file:
            now += message.time
            if message.type == "note_on" and message.velocity == 0:
                last_release = now
        assert last_release == pytest.approx(float(row["duration"]), abs=1e-6)
    assert pedalled >= 6


def test_the_first_sound_is_the_first_note(mini_release: Path) -> None:
    for row in rows(mini_release):
        sound, rate = soundfile.read(mini_release / row["audio_filename"])
        onset = round(midi_notes(mini_release / row["midi_filename"])[0][0] * rate)
        floor = np.abs(sound[: onset - rate // 1000]).max()
        assert floor < 2e-3
        assert np.abs(sound[onset : onset + rate // 20]).max() > 5 * floor


def test_the_pitches_of_the_midi_are_in_the_audio(mini_release: Path) -> None:
    """At a third of all notes' onsets the spectrum gains at the note's own first partials."""
    for row in rows(mini_release)[::4]:
        sound, rate = soundfile.read(mini_release / row["audio_filename"])
        size, gains = rate // 8, []
        window = np.hanning(size)
        for onset, pitch, _ in midi_notes(mini_release / row["midi_filename"])[::3]:
            start = round(onset * rate)
            before, after = (
                np.abs(np.fft.rfft(sound[first : first + size, 0] * window, 8 * size))
                for first in (start - size, start + rate // 100)
            )
            bins = [round(n * 440 * 2 ** ((pitch - 69) / 12) * 8 * size / rate) for n in (1, 2)]
            gains.append(
                max(20 * np.log10(after[b - 6 : b + 7].max() / before[b - 6 : b + 7].max()) for b in bins)
            )
        assert np.mean(np.array(gains) > 3.0) > 0.8, row["canonical_title"]


def test_the_second_call_reuses_the_release(tmp_path: Path, quick_scores: object) -> None:
    folder = render_mini(tmp_path, progress=False)
    assert folder == tmp_path / "mini"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert render_mini(tmp_path, progress=False) == folder
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, quick_scores: object) -> None:
    digests = {digest(render_mini(tmp_path / str(n), workers=n, progress=False)) for n in (1, 2, 3)}
    assert len(digests) == 1


def _damage_shorten(folder: Path) -> None:
    path = next(folder.rglob("*.wav"))
    path.write_bytes(path.read_bytes()[:-2])


def _damage_remove(folder: Path) -> None:
    next(folder.rglob("*.midi")).unlink()


def _damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def _damage_version(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(f'"version": "{MINI_VERSION}"', '"version": "0"'))


@pytest.mark.parametrize("damage", [_damage_shorten, _damage_remove, _damage_manifest, _damage_version])
def test_a_damaged_or_old_release_is_rendered_again(
    tmp_path: Path, quick_scores: object, damage: object
) -> None:
    folder = render_mini(tmp_path, progress=False)
    whole = digest(folder)
    damage(folder)
    (folder / "stray").write_text("not part of the release")
    assert digest(folder) != whole
    assert digest(render_mini(tmp_path, progress=False)) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) in (["mini"], [".mini.lock", "mini"])


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, quick_scores: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(release, "write_midi", full)
    with pytest.raises(ReleaseError, match=r"cannot be written to .*No space left.*\n.*250 MB free"):
        render_mini(tmp_path, progress=False)
    assert not (tmp_path / "mini").exists()
    assert [path.name for path in tmp_path.iterdir()] in ([], [".mini.lock"])


def test_a_failed_rendering_keeps_the_old_release(
    tmp_path: Path, quick_scores: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = render_mini(tmp_path, progress=False)
    before = digest(folder)
    monkeypatch.setattr(release, "MINI_VERSION", "next")
    monkeypatch.setattr(release, "write_midi", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render_mini(tmp_path, progress=False)
    assert digest(folder) == before


def _render_until_killed(folder: Path, written: "multiprocessing.synchronize.Event") -> None:
    write = release.write_midi

    def hang(*arguments: object) -> None:
        write(*arguments)
        written.set()
        time.sleep(60)

    release.write_midi = hang
    render_mini(folder, progress=False)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_killed_rendering_is_not_taken_for_whole(tmp_path: Path, quick_scores: object) -> None:
    context = multiprocessing.get_context("fork")
    written = context.Event()
    process = context.Process(target=_render_until_killed, args=(tmp_path, written))
    process.start()
    assert written.wait(300)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (tmp_path / "mini").exists()
    assert list((tmp_path / ".mini.partial").rglob("*.wav"))  # half a release lies there
    assert release.is_complete(render_mini(tmp_path, progress=False))
    assert not (tmp_path / ".mini.partial").exists()


def _render(folder: Path) -> None:
    render_mini(folder, progress=False)


def test_two_processes_at_once_make_one_release(tmp_path: Path, quick_scores: object) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_render, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert release.is_complete(tmp_path / "mini")


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers=0: give at least 1"):
        render_mini(tmp_path, workers=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ReleaseError, match=r"cannot be written to .*file.*\n.*give a folder that can be written"
    ):
        render_mini(tmp_path / "file", progress=False)


def test_ticks_are_finer_than_a_millisecond_and_a_half() -> None:
    assert 1 / TICKS_PER_SECOND < 1.5e-3


def test_midi_files_alone_are_those_of_the_whole(mini_release: Path, tmp_path: Path) -> None:
    alone = write_mini_midi(tmp_path)
    names = {path.relative_to(alone) for path in alone.rglob("*.midi")}
    assert names == {path.relative_to(mini_release) for path in mini_release.rglob("*.midi")}
    for name in [*names, "mini.csv", "mini.json"]:
        assert (alone / name).read_bytes() == (mini_release / name).read_bytes()
    assert not list(alone.rglob("*.wav"))
    before = (alone / "mini.csv").stat().st_mtime_ns
    write_mini_midi(tmp_path)
    assert (alone / "mini.csv").stat().st_mtime_ns == before
