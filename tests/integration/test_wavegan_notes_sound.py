"""What the WaveGAN from notes sounds like, and what F hears in it.

Trains `experiments/wavegan_notes.yaml` and a little of `experiments/transcriber.yaml`, or takes the
checkpoints of MAESTRO_NOTES_CHECKPOINT and MAESTRO_TRANSCRIBER_CHECKPOINT:

    pytest -m slow tests/integration/test_wavegan_notes_sound.py -s
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datamodules import MaestroDataModule
from datamodules.mini.piano import Piano
from datamodules.release.notes import Played, read_played
from lightning_modules import load_module
from lightning_modules.audio.notes import HeardNotes, midi_file
from lightning_modules.base import GenerativeModule, resynthesise
from lightning_modules.cli import main
from lightning_modules.cli.rendering import PieceRenderer
from lightning_modules.inference.transcription import transcribe, transcriber_of
from lightning_modules.metrics.note_scores import note_f_score, struck_within
from lightning_modules.metrics.reconstruction import LogMelDistance, MultiScaleSpectralDistance

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
RATE = 16_000


def trained(experiment: str, variable: str, runs: Path, *options: str) -> Path:
    if given := os.environ.get(variable):
        return Path(given)
    start = time.monotonic()
    main(["fit", "--config", str(ROOT / f"experiments/{experiment}.yaml"), "--runs_dir", str(runs), *options])
    print(f"\n{experiment}: trained in {time.monotonic() - start:.0f} s")
    return next(runs.glob(f"{experiment}/*/checkpoints/best.ckpt"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("wavegan_notes", "MAESTRO_NOTES_CHECKPOINT", tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def player(checkpoint: Path) -> GenerativeModule:
    return load_module(checkpoint)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> GenerativeModule:
    steps = ["--trainer.max_steps", "180", "--trainer.val_check_interval", "180"]
    runs = tmp_path_factory.mktemp("runs")
    return load_module(trained("transcriber", "MAESTRO_TRANSCRIBER_CHECKPOINT", runs, *steps))


@pytest.fixture(scope="module")
def data() -> MaestroDataModule:
    module = MaestroDataModule(with_notes=True, progress=False)
    module.prepare_data()
    module.setup(None)
    return module


def render(player: GenerativeModule, played: Played, seconds: float) -> NDArray[np.float32]:
    """(C, T)."""
    blocks = PieceRenderer(player).blocks(played, round(seconds * RATE))
    return np.concatenate(list(blocks), axis=1)


def one_note(key: int, velocity: int) -> Played:
    return read_played(midi_file(HeardNotes.from_rows([(0.0, key, 1.5, velocity)])))


def test_unseen_pieces_sound_alike(player: GenerativeModule, data: MaestroDataModule) -> None:
    distances = {"log-mel, dB": LogMelDistance(RATE), "spectral": MultiScaleSpectralDistance()}
    for batch in data.test_dataloader():
        clips = batch.to_batch()
        with torch.no_grad():
            rendering = resynthesise(player, clips)
        for distance in distances.values():
            distance.update(rendering, clips.waveform)
    found = {name: distance.compute().item() for name, distance in distances.items()}
    print("\ntest split:", found)
    assert found["log-mel, dB"] <= 2.5
    assert found["spectral"] <= 0.9


def fundamental(waveform: NDArray[np.floating], about: float) -> float:
    """Frequency in Hz near `about` of a second of sound (T,), from 0.1 s on: the peak of its spectrum."""
    part = waveform[round(0.1 * RATE) :][:RATE] * np.hanning(RATE)
    level = np.log(np.abs(np.fft.rfft(part, 8 * RATE)) + 1e-12)  # 0.125 Hz a bin
    low, high = (round(about * 2 ** (cents / 1200) * 8) for cents in (-60, 60))
    peak = low + int(level[low : high + 1].argmax())
    before, top, after = level[peak - 1 : peak + 2]
    return (peak + 0.5 * (after - before) / (2 * top - before - after)) / 8


def test_a_scale_is_in_tune_with_the_recorded_piano(player: GenerativeModule) -> None:
    recorded, off = Piano(RATE), {}
    for key in range(36, 85):
        about = 440 * 2 ** ((key - 69) / 12)
        original = recorded.note(key, 80, 1.5).mean(0)
        original = np.pad(original, (0, max(0, 2 * RATE - len(original))))
        frequencies = [
            fundamental(each, about) for each in (render(player, one_note(key, 80), 1.5)[0], original)
        ]
        off[key] = 1200 * np.log2(frequencies[0] / frequencies[1])
    print("\ncents off, by key:", {key: round(float(value), 1) for key, value in off.items()})
    scale = [48 + octave + step for octave in (0, 12) for step in (0, 2, 4, 5, 7, 9, 11)]
    assert max(abs(off[key]) for key in scale) <= 3.0


def test_level_rises_with_each_velocity(player: GenerativeModule) -> None:
    """In one piece: a recording of soft notes alone is turned up, and so is the rendering of such a piece.

    From 16, as the softest high notes drown in the noise that recordings have, at -79 dB.
    """
    for key in (36, 60, 84):
        rows = [(0.5 * step, key, 0.5 * step + 0.3, step + 1) for step in range(127)]
        sound = render(player, read_played(midi_file(HeardNotes.from_rows(rows))), 0.5 * 127)
        levels = 10 * np.log10(np.square(sound.reshape(127, -1)[:, : RATE // 4]).mean(1))
        print(f"\nkey {key}: velocities 20, 60, 100: {levels[19]:.1f}, {levels[59]:.1f}, {levels[99]:.1f} dB")
        assert (np.diff(levels[15:]) > 0).all()


def test_a_transcriber_gives_an_unseen_piece_back(
    player: GenerativeModule, listener: GenerativeModule, data: MaestroDataModule
) -> None:
    scores = {}
    for row, piece in enumerate(data.performances):
        played = data.played(row) if piece.split == "test" else None
        if played is not None:
            seconds = float(played.notes.sounding_offset.max()) + 1.0
            heard = transcribe(transcriber_of(listener), [render(player, played, seconds)])
            scores[piece.title] = note_f_score(struck_within(played.notes, seconds), heard)
    print("\nF of renderings:", scores)
    assert np.mean(list(scores.values())) >= 0.85


PROGRAM = """
import resource, sys
from lightning_modules.cli import main
main(["render", sys.argv[1], sys.argv[2], "--output", sys.argv[3], "--device", "cpu"])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_an_hour_needs_no_more_memory_than_five_minutes(checkpoint: Path, tmp_path: Path) -> None:
    peaks, environment = {}, {**os.environ, "PYTHONPATH": str(ROOT)}
    for minutes in (5, 60):
        random = np.random.default_rng(0)
        rows = [
            (0.25 * step, int(random.integers(36, 85)), 0.25 * step + 0.5, int(random.integers(30, 110)))
            for step in range(minutes * 60 * 4)
        ]
        piece = tmp_path / f"{minutes}.mid"
        piece.write_bytes(midi_file(HeardNotes.from_rows(rows)))
        arguments = [str(checkpoint), str(piece), str(tmp_path / str(minutes))]
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, env=environment
        )
        assert run.returncode == 0, run.stderr[-2000:]
        peaks[minutes] = float(run.stdout.split()[-1])
        print("\n" + run.stdout)
    assert peaks[60] < peaks[5] + 40.0  # MiB; the notes and their times themselves take some
