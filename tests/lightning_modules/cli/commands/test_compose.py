"""`lightning compose`: from nothing to a MIDI file, its sound and its picture."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mido
import pytest
import soundfile
import torch
from PIL import Image
from toy_models import RATE, make_player, make_vae, save

from lightning_modules.cli import main
from lightning_modules.networks import NoteTransformer
from lightning_modules.note_prior import NotePrior


def make_prior() -> NotePrior:
    torch.manual_seed(0)
    return NotePrior(NoteTransformer(411, width=16, layers=1, heads=2), 64)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `lightning fit` leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "note_prior/one"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("experiment: note_prior\n")
    save(make_prior(), folder / "checkpoints/best.ckpt")
    return folder


def start(checkpoint: Path, output: Path, *arguments: object) -> dict:
    main(["compose", str(checkpoint), *map(str, arguments), "--output", str(output), "--device", "cpu"])
    return json.loads((output / "manifest.json").read_text())


def test_notes_sound_and_picture(run_folder: Path, tmp_path: Path, capsys):
    player = save(make_player(), tmp_path / "player.ckpt")
    manifest = start(run_folder, tmp_path / "out", "--seconds", 30, "--render", player, "--gain_db", -6)
    midi, sound, _ = manifest["files"]
    assert [each["file"] for each in manifest["files"]] == ["piece.mid", "piece.wav", "piece.png"]
    messages = list(mido.MidiFile(tmp_path / "out/piece.mid"))
    struck = [each for each in messages if each.type == "note_on" and each.velocity]
    assert len(struck) == midi["num_notes"] > 5
    assert sum(each.time for each in messages) <= 30.0 + 1e-6
    waveform, rate = soundfile.read(tmp_path / "out/piece.wav")
    assert rate == RATE and len(waveform) == sound["num_samples"] > 10 * RATE
    assert 0.0 < abs(waveform).max() < 1.0
    assert Image.open(tmp_path / "out/piece.png").width == 1100
    assert manifest["checkpoint"].endswith("one/checkpoints/best.ckpt") and manifest["seed"] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "piece.mid",
        "piece.wav",
        "piece.png",
        "manifest.json",
    }
    assert f"{midi['num_notes']} notes" in capsys.readouterr().out


def test_a_seed_makes_the_same_bytes(run_folder: Path, tmp_path: Path):
    made = [start(run_folder, tmp_path / f"{n}", "--seconds", 20, "--seed", 5)["files"] for n in range(2)]
    assert all([f["sha256"] for f in files] == [f["sha256"] for f in made[0]] for files in made)
    other = start(run_folder, tmp_path / "other", "--seconds", 20, "--seed", 6)["files"]
    assert other[0]["sha256"] != made[0][0]["sha256"]


def struck(file: mido.MidiFile) -> list[tuple[float, int]]:
    """Seconds and pitch of each note; those of one time in the order of pitch."""
    now, found = 0.0, []
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append((round(now, 3), message.note))
    return sorted(found)


def test_a_prompt_is_continued(run_folder: Path, tmp_path: Path):
    start(run_folder, tmp_path / "first", "--seconds", 30)
    prompt = tmp_path / "first/piece.mid"
    start(run_folder, tmp_path / "second", "--seconds", 30, "--prompt", prompt, "--prompt_seconds", 20)
    first, second = (mido.MidiFile(tmp_path / name / "piece.mid") for name in ("first", "second"))
    notes = [struck(file) for file in (first, second)]
    differs = (n for n, (a, b) in enumerate(zip(*notes, strict=False)) if a != b)
    shared = next(differs, len(notes[0]))
    assert 3 <= shared < len(notes[1])


def test_several_pieces_and_their_report(run_folder: Path, tmp_path: Path):
    manifest = start(
        run_folder, tmp_path / "out", "--seconds", 20, "--seed", 5, "--num_pieces", 2, "--report"
    )
    names = [each["file"] for each in manifest["files"]]
    assert names == ["piece.mid", "piece.png", "piece-2.mid", "piece-2.png"]
    alone = start(run_folder, tmp_path / "alone", "--seconds", 20, "--seed", 6)
    assert alone["files"][0]["sha256"] == manifest["files"][2]["sha256"]
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("Piano roll:") == 2 and "<audio" not in page
    assert "seed 6, temperature 1, top-p 0.95" in page


def test_without_a_name_the_run_gets_the_folder(run_folder: Path):
    main(["compose", str(run_folder), "--seconds", "20", "--device", "cpu"])
    assert (run_folder / "compose/manifest.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "0"], "--seconds is 0"),
        (["--top_p", "0"], "--top_p is 0"),
        (["--top_p", "1.1"], "--top_p is 1.1"),
        (["--temperature", "-1"], "--temperature is -1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--num_pieces", "0"], "--num_pieces is 0"),
        (["--prompt_seconds", "3"], "--prompt_seconds is given without --prompt"),
        (["--prompt", "none.mid"], "none.mid: no such file"),
        (["--render", "none.ckpt"], "none.ckpt does not exist"),
    ],
)
def test_what_makes_no_sense(run_folder: Path, tmp_path: Path, capsys, arguments, message):
    with pytest.raises(SystemExit):
        start(run_folder, tmp_path / "out", *arguments)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.mid"))


def test_models_that_cannot(run_folder: Path, tmp_path: Path, capsys):
    vae = save(make_vae(), tmp_path / "vae.ckpt")
    for arguments, message in (
        ((vae, tmp_path / "out"), "VAE composes nothing: it is no model of notes\n"),
        ((run_folder, tmp_path / "out", "--render", vae), "VAE of this checkpoint plays no notes"),
        ((tmp_path, tmp_path / "out"), "holds no checkpoints/best.ckpt"),
    ):
        with pytest.raises(SystemExit):
            start(*arguments)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_killed_in_the_middle_nothing_half_has_a_name(run_folder: Path, tmp_path: Path):
    command = [sys.executable, "-m", "lightning_modules", "compose", str(run_folder)]
    options = ["--seconds", "100000", "--output", str(tmp_path / "out"), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    process = subprocess.Popen([*command, *options], env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while not list(tmp_path.glob("out/.piece.mid.*.part")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(2.0)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".part"]
